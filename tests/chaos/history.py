"""What happened in a run, one JSON line a fact: asked, answered, struck, seen, found at the end. Never changed again.

The checker reads nothing else, so that a history on disk can be judged again, and one can be written by hand.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class History:
    """Facts in the order in which they were learned; `at` is seconds since the start, by the monotonic clock."""

    def __init__(self, path: Path | None = None) -> None:
        self.rows: list[Row] = []
        self._lock = threading.Lock()
        self._since = time.monotonic()
        self._file = path.open("w", encoding="utf-8") if path else None

    def note(self, what: str, **facts: Any) -> Row:
        """Add a fact."""
        with self._lock:
            row: Row = {"at": round(time.monotonic() - self._since, 3), "what": what, **facts}
            self.rows.append(row)
            if self._file:
                self._file.write(json.dumps(row) + "\n")
                self._file.flush()
            return row

    def close(self) -> None:
        if self._file:
            self._file.close()


def of(rows: Iterable[Row], what: str) -> Iterator[Row]:
    """The facts of one kind."""
    return (row for row in rows if row["what"] == what)


def read(path: Path) -> list[Row]:
    """A history from disk."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
