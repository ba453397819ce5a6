"""Results as JSON lines, on disk as soon as they are measured, so that a command can go on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """The results so far; a line that was cut off when the machine stopped is passed over."""
    results = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with suppress(json.JSONDecodeError):
            results.append(json.loads(line))
    return results


def append(result: Row, path: Path) -> None:
    """Add a line to the results, below one that was cut off if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * (before[-1:] not in ("", "\n")) + json.dumps(result) + "\n")


def finished(rows: Iterable[Row], cells: Iterable[Any]) -> dict[Any, Row]:
    """The results that belong to these cells, which are dataclasses: the latest of each."""
    latest = {cell: [row for row in rows if asdict(cell).items() <= row.items()] for cell in cells}
    return {cell: found[-1] for cell, found in latest.items() if found}
