"""HISTORY: a line for every move of a collection's pointer and every version pruned; a version in it was published.

Appended after the commit point, so a crash can leave its last line away or torn: readers skip what is no
line, and `Shelf` notes the current version before it moves on.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from tasks.snapshots.manifest import is_version

HISTORY = "HISTORY"

How = Literal["published", "rolled back", "recovered", "pruned"]


@dataclass(frozen=True, slots=True)
class Move:
    """The pointer moved to `version`, which `job` made in its `attempt`, or it was pruned. `at` is ISO 8601, UTC."""

    version: str
    job: str
    attempt: int
    how: How
    at: str = ""


def moves(folder: Path) -> list[Move]:
    """All moves of a collection, oldest first; empty without a HISTORY."""
    try:
        lines = (folder / HISTORY).read_bytes().splitlines()
    except OSError:
        return []
    return [move for move in map(_parse, lines) if move is not None]


def _parse(line: bytes) -> Move | None:
    try:
        fields = json.loads(line)
        move = Move(
            version=str(fields["version"]),
            job=str(fields["job"]),
            attempt=int(fields["attempt"]),
            how=fields["how"],
            at=str(fields["at"]),
        )
    except (ValueError, TypeError, KeyError):
        return None
    return move if is_version(move.version) else None


def append(folder: Path, *new: Move) -> None:
    """Add lines and force them to disk; a torn last line is ended first."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    body = "".join(json.dumps({**asdict(move), "at": move.at or at}) + "\n" for move in new).encode()
    with (folder / HISTORY).open("a+b") as out:
        if out.seek(0, os.SEEK_END):
            out.seek(-1, os.SEEK_END)
            if out.read(1) != b"\n":
                body = b"\n" + body
        out.write(body)
        out.flush()
        os.fsync(out.fileno())
