"""Where the chain goes on: found from the files themselves, so that no crash loses or doubles a row.

The last whole line tells. What lies behind the head that Redis holds may be unfinished, and is taken up to the first
line that does not follow; without a usable head it is the last line that is whole in itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tasks.ledger.chain.files import Head, contents, first_of, paths
from tasks.ledger.chain.lines import Line, read
from tasks.ledger.chain.walking import told_of


@dataclass(frozen=True, slots=True)
class Place:
    """The line that the next one follows, and the file that it goes into; `path` None: there is none yet.

    `lead` ends what a crash left unfinished, and comes first. `torn` and `cut` are what is to be said before anything
    else: bytes that are no line, and a line that Redis knows and the files do not hold.
    """

    n: int = 0
    hash: str = ""
    id: str = ""
    number: int = 0
    path: Path | None = None
    size: int = 0  # of the file as it is
    end: int = 0  # where that line ends in it
    lead: bytes = b""
    torn: dict[str, Any] = field(default_factory=dict)
    cut: dict[str, Any] = field(default_factory=dict)


Known = Line | Head | Place


def find(where: Path, head: Head | None) -> Place:
    """Where the chain goes on. Raises OSError."""
    found = paths(where)
    while found and not found[-1].stat().st_size:
        found.pop().unlink()  # its maker died before the first line
    place = _place(found, head) if found else Place()
    if head is not None and head.n and not _holds(paths(where), head):
        return replace(place, cut={"n": head.n, "hash": head.hash})
    return place


def _holds(found: list[Path], head: Head) -> bool:
    """Whether the line that Redis knows is where it was written. What Redis names is no path to us."""
    path = next((one for one in found if one.name == head.file), None)
    if path is None:
        return False
    data = contents(path)
    line = read(data[data.rfind(b"\n", 0, max(0, head.size - 1)) + 1 : head.size])
    return line is not None and line.hash == head.hash


def _place(found: list[Path], head: Head | None) -> Place:
    path = found[-1]
    data = contents(path)
    start = _start(path, head)
    if start is None or head is None:
        known, good = _last_whole(data)
        earlier = found[:-1]
        while known is None and earlier:
            known, _ = _last_whole(contents(earlier.pop()))
    else:
        known, good = _follow(data, start, head)
    return _ending(path, data, known, good)


def _start(path: Path, head: Head | None) -> int | None:
    """Where in the file the head ends; None when the file is not as Redis knows it."""
    if head is None:
        return None
    if head.n and path.name == head.file:
        return head.size if _holds([path], head) else None
    return 0 if first_of(path) == head.n + 1 else None


def _follow(data: bytes, start: int, head: Head) -> tuple[Known, int]:
    known: Known = head
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        line = read(data[start:end])
        if line is None or not line.follows(known.n, known.hash):
            told = told_of(data, start, known.n, known.hash)
            if told is None:
                break
            start = told  # a crash before this one left it, and the next line says so
            continue
        known, start = line, end
    return known, start


def _last_whole(data: bytes) -> tuple[Known | None, int]:
    end = len(data)
    while end:
        start = data.rfind(b"\n", 0, end - 1) + 1
        line = read(data[start:end])
        if line is not None:
            return line, end
        end = start
    return None, 0


def _ending(path: Path, data: bytes, known: Known | None, good: int) -> Place:
    known = known or Place()
    torn = data[good:]
    # The blank keeps a line that lacks nothing but its end from becoming one: its row is written again.
    lead = b"" if not torn or torn.endswith(b"\n") else b" \n"
    told: dict[str, Any] = {}
    if torn:
        told = {"bytes": len(torn + lead), "sha256": hashlib.sha256(torn + lead).hexdigest()}
    return Place(known.n, known.hash, known.id, known.number, path, len(data), good, lead, told)
