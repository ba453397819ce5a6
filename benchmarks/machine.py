"""The machine of a measurement."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch

from gencls import __version__


def machine() -> dict[str, Any]:
    """The processor and the versions of the packages, for each line of results."""
    versions = {
        "python": platform.python_version(),
        "gencls": __version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "torch": str(torch.__version__),
    }
    return {"processor": processor_name(), "versions": versions}


def processor_name() -> str:
    """The model of the CPU."""
    information = Path("/proc/cpuinfo")
    if sys.platform == "linux" and information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
