"""Copies the audit stream into the files, turn by turn: the janitor's, so that one process writes at a time.

A turn is bounded and forces what it wrote to disk once. The cursor is the last whole line of the files: a crash at any
step neither loses nor doubles a row. A disk that refuses costs nothing while the stream still holds the rows; what it
had to let go is said by a line of its own.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from pathlib import Path
from typing import Any

import redis

from tasks.ledger import keys, trouble
from tasks.ledger.chain import files
from tasks.ledger.chain.files import Disk, Head
from tasks.ledger.chain.lines import Kind, Line, write
from tasks.ledger.chain.placing import Place, find
from tasks.ledger.connection import Ledger
from tasks.ledger.records import text, whole

log = logging.getLogger(__name__)

FILE_BYTES = 16 * 1024 * 1024
ROWS = 5_000  # of one turn
ROWS_TRYING = 50  # while the disk refuses: what it takes of them in vain stays in the file
TURN_BYTES = 2 * 1024 * 1024
PAUSE_S = 5.0  # before a disk that refused is tried again
FIELDS_MOST = 20
LONGEST = 10_000  # characters of a field; what is longer was not written by us


class Copier:
    """The copy of one janitor. Made once, it keeps its place between turns."""

    def __init__(self, ledger: Ledger, *, file_bytes: int = FILE_BYTES, disk: Disk | None = None) -> None:
        self._ledger = ledger
        self._where = files.folder(ledger.settings)
        self._file_bytes = file_bytes
        self._disk = disk or Disk()
        self._place: Place | None = None
        self._trouble = ""
        self._rest_until = 0.0

    def turn(self) -> int:
        """Copy what came; how many rows. A disk that refuses is told and not raised; a Redis in trouble is raised."""
        if time.monotonic() < self._rest_until:
            return 0
        try:
            copied = self._copy()
        except OSError as error:
            self._refused(error.strerror or type(error).__name__)
            return 0
        except redis.ResponseError as error:
            if trouble.passes(error):
                raise
            self._refused("Redis holds something else under its key")
            return 0
        if self._trouble:
            log.warning("The record is copied to %s again.", self._where)
            files.set_trouble(self._ledger, "")
            self._trouble = ""
        return copied

    def _refused(self, reason: str) -> None:
        self._place, self._rest_until = None, time.monotonic() + PAUSE_S
        if reason != self._trouble:
            log.warning(
                "The record cannot be copied to %s (%s); Redis keeps the newest 100,000 rows, and it goes on when that "
                "is over.",
                self._where,
                reason,
            )
            self._trouble = reason
            files.set_trouble(self._ledger, reason)

    def _copy(self) -> int:
        # Whatever goes wrong below, the next turn looks at the files anew.
        place, self._place = self._place, None
        if place is None:
            place = self._found()
        start, count = f"({place.id}" if place.id else "-", ROWS_TRYING if self._trouble else ROWS
        answer: list[Any] = self._ledger.redis.xrange(keys.AUDIT, min=start, count=count) or []
        made = _lines(place, [(text(row_id), cleaned(fields or {})) for row_id, fields in answer])
        if made:
            after = self._append(place, made)
            if after is None:
                return 0  # another janitor is at it, or was
            place = self._place = after
            files.set_head(self._ledger, _head(place))
        self._place = place
        return sum(line.kind == "row" for line, _ in made)

    def _found(self) -> Place:
        self._where.mkdir(parents=True, exist_ok=True)
        self._trouble = self._trouble or files.trouble(self._ledger)  # said by the janitor before this one
        head = files.head(self._ledger)
        place = find(self._where, head)
        if (head is None or head.n < place.n) and (place.end or not place.n):
            # First the head: what a crash leaves behind it is told apart from what somebody changed before it.
            self._force(place.path)
            files.set_head(self._ledger, _head(place))
        if place.torn:
            log.warning(
                "The audit file %s ends in %d bytes that a write left unfinished; that is noted in it, and their rows "
                "are written again.",
                place.path,
                place.torn["bytes"],
            )
        if place.cut:
            log.warning(
                "The audit files in %s are not as they were left: line %d, to which they had come, is gone or another "
                "one. That is noted in them, and what Redis still holds behind their end is written again.",
                self._where,
                place.cut["n"],
            )
        return place

    def _force(self, path: Path | None) -> None:
        """What was written last and never forced to disk, because its writer died."""
        if path is None:
            return
        handle = self._disk.open(path, new=False)
        try:
            self._disk.sync(handle)
        finally:
            os.close(handle)

    def _append(self, place: Place, made: list[tuple[Line, bytes]]) -> Place | None:
        """Add the lines and force them to disk; None when the file is not as we left it."""
        path, size, new = place.path, place.size, False
        if path is None or (size >= self._file_bytes and not place.torn):
            path, size, new = files.path_of(self._where, place.n + 1), 0, True
        body = place.lead + b"".join(raw for _, raw in made)
        try:
            handle = self._disk.open(path, new=new)
        except (FileExistsError, FileNotFoundError):
            return None
        try:
            if not files.lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB) or os.fstat(handle).st_size != size:
                return None
            self._disk.write(handle, body)
            self._disk.sync(handle)
        finally:
            os.close(handle)
        if new:
            self._disk.sync_folder(self._where)
        return _after(made[-1][0], path, size + len(body))


def _head(place: Place) -> Head:
    file, size = (place.path.name, place.end) if place.path is not None else ("", 0)
    return Head(place.n, place.hash, place.id, place.number, file, size)


def _after(line: Line, path: Path, size: int) -> Place:
    return Place(line.n, line.hash, line.id, line.number, path, size, size)


def _lines(place: Place, rows: list[tuple[str, dict[str, str]]]) -> list[tuple[Line, bytes]]:
    """The lines that come next: what is to be said about the place, then the rows, with their gaps."""
    made: list[tuple[Line, bytes]] = []
    n, before, row_id, number = place.n, place.hash, place.id, place.number

    def add(kind: Kind, body: dict[str, Any]) -> None:
        nonlocal n, before
        line, raw = write(n + 1, before, row_id, number, kind, body)
        made.append((line, raw))
        n, before = line.n, line.hash

    if place.torn:
        add("torn", place.torn)
    if place.cut:
        add("cut", place.cut)
    held = 0
    for next_id, row in rows:
        next_number = whole(row.get("number"))
        if next_number and next_number != number + 1:
            # Where Redis forgot how many there were it counts anew, and nobody knows what is missing.
            lost = next_number - number - 1 if next_number > number else None
            number = next_number - 1  # this line accounts for them, should it be the last one that gets to disk
            add("gap", {"lost": lost})
        row_id, number = next_id, next_number or number
        add("row", row)
        held += len(made[-1][1])
        if held > TURN_BYTES:
            break
    return made


def cleaned(fields: dict[Any, Any]) -> dict[str, str]:
    """A row of the stream as it is written: text, and bounded whatever Redis holds."""
    return {text(name)[:LONGEST]: text(value)[:LONGEST] for name, value in list(fields.items())[:FIELDS_MOST]}
