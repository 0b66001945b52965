"""What Redis may forget, on disk: accepted submissions, and how far the ledger's counters had come.

Redis with `appendonly everysec` loses up to its last second when it dies, and a fail-over what had not reached the
replica. A submission that was answered must survive that: it is appended here and forced to disk before it is
answered, one fsync for a batch, in a file of its own for each process (DATA/journal). The janitor compares and makes
again what is missing. Entries carry what the job's record carries: names, sizes, hashes; never document text.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.ledger.records import number, text, whole
from tasks.settings import Settings

log = logging.getLogger(__name__)

KEPT_S = 15 * 60.0  # by the server's clock; what Redis lost it lost in seconds, the rest is for a person to notice
FILE_S = 300.0  # entries of so long go into one file, so that a file can go as a whole
FILE_BYTES = 64 * 1024 * 1024
SEEN = "seen.json"
_FILE = re.compile(r"^(\d{10,12})-.+\.jsonl$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted submission: what submit.lua was given. `at` and `revision` are those that the ledger answered."""

    job: str
    at: float
    revision: int
    fields: Mapping[str, str]
    rows: Sequence[Any]
    shards: Sequence[Any]
    window: int


@dataclass(frozen=True, slots=True)
class Seen:
    """How far the ledger was when the janitor last looked: the server's run, its counters, its time."""

    run: str = ""
    revision: int = 0
    at: float = 0.0
    fences: Mapping[str, int] = field(default_factory=dict)


def folder(settings: Settings) -> Path:
    return settings.data / "journal"


class _File:
    """The file that this process appends to. Not held open: the disk may be taken away, and a fork inherits nothing."""

    def __init__(self, where: Path, at: float) -> None:
        where.mkdir(parents=True, exist_ok=True)
        self.since, self.pid, self.where = at, os.getpid(), where
        self.path = where / f"{int(at):010d}-{socket.gethostname()}-{self.pid}-{secrets.token_hex(3)}.jsonl"
        self._written = 0

    def takes(self, where: Path, at: float) -> bool:
        return (
            (self.where, self.pid) == (where, os.getpid())
            and 0 <= at - self.since < FILE_S
            and self._written < FILE_BYTES
        )

    def append(self, body: bytes) -> None:
        new = not self._written
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            left = memoryview(body)
            while left:
                count = os.write(handle, left)
                self._written += count
                left = left[count:]
            os.fdatasync(handle)
        finally:
            os.close(handle)
        if new:
            _sync_folder(self.where)


_lock = threading.Lock()
_file: _File | None = None


def write(settings: Settings, lines: Sequence[str]) -> bool:
    """Append lines, made by `line`, and force them to disk; whether that was possible.

    Redis has the jobs by now, so a disk that refuses is told in the log and by `doctor`, and does not undo them.
    """
    global _file
    if not lines:
        return True
    at = number(lines[0].partition('"at": ')[2].partition(",")[0])
    with _lock:
        try:
            if _file is None or not _file.takes(folder(settings), at):
                _file = _File(folder(settings), at)
            _file.append(("\n".join(lines) + "\n").encode())
        except OSError as error:
            _file = None  # the next batch starts a new file: this one may end in the middle of a line
            log.warning(
                "The journal in %s cannot be written (%s); a job is safe against the last second of a Redis that dies "
                "once there is space again.",
                folder(settings),
                error.strerror or type(error).__name__,
            )
            return False
    return True


def line(job: str, at: float, revision: int, fields: str, rows: str, shards: str, window: int) -> str:
    """An entry as it is written; `fields`, `rows` and `shards` are JSON already."""
    return (
        f'{{"job": {json.dumps(job)}, "at": {at:.6f}, "revision": {revision}, "window": {window}, '
        f'"fields": {fields}, "rows": {rows}, "shards": {shards}}}'
    )


def entries(settings: Settings, *, since: float = 0.0) -> Iterator[Entry]:
    """What was accepted at or after `since` (the server's time), by file; a torn or garbled line is passed over."""
    for path in _files(settings):
        if _began(path) + FILE_S < since:
            continue
        with contextlib.suppress(OSError), path.open("rb") as stream:
            for raw in stream:
                entry = _parse(raw)
                if entry is not None and entry.at >= since:
                    yield entry


def prune(settings: Settings, before: float) -> int:
    """Remove the files that hold nothing of `before` (the server's time) or later; how many."""
    removed = 0
    for path in _files(settings):
        if _began(path) + FILE_S < before:
            with contextlib.suppress(OSError):
                path.unlink()
                removed += 1
    return removed


def set_aside(settings: Settings) -> None:
    """Forget all entries: the ledger was emptied by a person, who did not mean the jobs to come back."""
    for path in _files(settings):
        with contextlib.suppress(OSError):
            path.unlink()


def seen(settings: Settings) -> Seen:
    """How far the ledger had come; nothing when it was never written or is garbled."""
    try:
        found = json.loads((folder(settings) / SEEN).read_bytes())
        fences = {str(name): whole(value) for name, value in dict(found["fences"]).items()}
        return Seen(str(found["run"]), whole(found["revision"]), number(found["at"]), fences)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return Seen()


def note(settings: Settings, now: Seen) -> None:
    """Replace the mark in one step. Not forced to disk: it guards against a Redis that dies, not against a host."""
    where = folder(settings)
    fresh = where / f"_new-{SEEN}-{secrets.token_hex(4)}"
    body = {"run": now.run, "revision": now.revision, "at": now.at, "fences": dict(now.fences)}
    try:
        where.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(body), "utf-8")
        os.replace(fresh, where / SEEN)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def _files(settings: Settings) -> list[Path]:
    try:
        return sorted(path for path in folder(settings).iterdir() if _FILE.match(path.name))
    except OSError:
        return []


def _began(path: Path) -> float:
    found = _FILE.match(path.name)
    return float(found[1]) if found else 0.0


def _parse(raw: bytes) -> Entry | None:
    try:
        found = json.loads(raw)
        fields = {str(name): text(value) for name, value in dict(found["fields"]).items()}
        return Entry(
            job=str(found["job"]),
            at=number(found["at"]),
            revision=whole(found["revision"]),
            fields=fields,
            rows=list(found["rows"]),
            shards=list(found["shards"]),
            window=whole(found["window"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _sync_folder(where: Path) -> None:
    handle = os.open(where, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
