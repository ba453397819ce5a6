"""Results as JSON lines: one line a run, on disk as soon as it is measured."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """All lines of a file; a truncated line is skipped."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows


def append(row: Row, path: Path) -> None:
    """Append a line to a file, on a new line if the last one is truncated."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_bytes()[-1:] if path.exists() else b""
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * (before not in (b"", b"\n")) + json.dumps(row, ensure_ascii=False) + "\n")


def as_json(value: Any) -> Any:
    """A value as it comes out of a JSON line; objects such as `LowRank(rank=4)` become their repr."""
    return json.loads(json.dumps(value, default=repr))
