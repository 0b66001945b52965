"""Where the audit files are, the head that Redis holds of them, and the few things that are done to the disk.

A file bears the number of its first line. The head names the last line that was forced to disk: an end that was cut
off shows by it, and what a crash left behind it is known to be unfinished.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tasks.ledger import keys
from tasks.ledger.connection import Ledger
from tasks.ledger.records import text, whole
from tasks.settings import Settings

LOCK_WAIT_S = 2.0
_FILE = re.compile(r"^audit-(\d{12})\.jsonl$")
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


def folder(settings: Settings) -> Path:
    return settings.data / "audit"


def paths(where: Path) -> list[Path]:
    """The files, oldest first. Raises OSError other than that there is no such folder."""
    try:
        return sorted(path for path in where.iterdir() if _FILE.match(path.name))
    except FileNotFoundError:
        return []


def path_of(where: Path, n: int) -> Path:
    """The file whose first line is this one."""
    return where / f"audit-{n:012d}.jsonl"


def first_of(path: Path) -> int:
    """The number of a file's first line, as its name says it."""
    found = _FILE.match(path.name)
    return int(found[1]) if found else 0


def pieces(data: bytes, start: int = 0) -> Iterator[bytes]:
    """The lines of a file with their ends; the last may lack it."""
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end


@dataclass(frozen=True, slots=True)
class Head:
    """The last line that was forced to disk, and where it ends; all of it empty before the first one."""

    n: int = 0
    hash: str = ""
    id: str = ""
    number: int = 0
    file: str = ""
    size: int = 0


def head(ledger: Ledger) -> Head | None:
    """The head as Redis holds it; None when it holds none, or a damaged one."""
    held = _held(ledger)
    if not held.get("n", "").isdecimal():
        return None
    return Head(
        n=whole(held["n"]),
        hash=held.get("hash", ""),
        id=held.get("id", ""),
        number=whole(held.get("number")),
        file=held.get("file", ""),
        size=max(0, whole(held.get("size"))),
    )


def trouble(ledger: Ledger) -> str:
    """Why nothing can be copied now, in a few words; '' when it can."""
    return _held(ledger).get("trouble", "")


def _held(ledger: Ledger) -> dict[str, str]:
    try:
        found: dict[Any, Any] = ledger.redis.hgetall(keys.AUDIT_HEAD)
    except redis.ResponseError as error:
        if not str(error).startswith("WRONGTYPE"):
            raise
        return {}
    return {text(name): text(value) for name, value in found.items()}


def set_head(ledger: Ledger, now: Head) -> None:
    """Say how far the files are on disk."""
    _put(
        ledger,
        {"n": now.n, "hash": now.hash, "id": now.id, "number": now.number, "file": now.file, "size": now.size},
    )


def set_trouble(ledger: Ledger, reason: str) -> None:
    """Say why nothing can be copied; '' when it can be again."""
    _put(ledger, {"trouble": reason})


def _put(ledger: Ledger, fields: dict[Any, Any]) -> None:
    try:
        ledger.redis.hset(keys.AUDIT_HEAD, mapping=fields)
    except redis.ResponseError as error:
        if not str(error).startswith("WRONGTYPE"):
            raise
        ledger.redis.delete(keys.AUDIT_HEAD)
        ledger.redis.hset(keys.AUDIT_HEAD, mapping=fields)


class Disk:
    """What is done to the disk, a step each; tests let it fail or die at any of them."""

    def open(self, path: Path, *, new: bool) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if new else 0)
        return os.open(path, flags, 0o600)

    def write(self, handle: int, body: bytes) -> None:
        left = memoryview(body)
        while left:
            left = left[os.write(handle, left) :]

    def sync(self, handle: int) -> None:
        os.fsync(handle)

    def sync_folder(self, where: Path) -> None:
        handle = os.open(where, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def lock(handle: int, how: int) -> bool:
    """Lock an open file; whether that was possible. A file system without locks goes without."""
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def contents(path: Path) -> bytes:
    """What is in a file while nobody adds to it; whoever takes longer for that than a disk does is not waited for."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as stream:
        until = time.monotonic() + LOCK_WAIT_S
        while not lock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB) and time.monotonic() < until:
            time.sleep(0.01)
        return stream.read()
