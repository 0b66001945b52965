"""Leases: who reads a version keeps it from being pruned.

A lease is a shared flock on a file of the version's name in `.leases`; pruning takes it alone, and never waits.
The kernel frees it when the reader dies, so nothing is ever cleaned up by a clock. Over NFSv4 the server
keeps flocks and leases hold across hosts. On a file system without locks a lease is the file's time: it
counts for UNLOCKED_S.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = ".leases"
UNLOCKED_S = 24 * 3600.0
WAIT_S = 10.0  # a pruner holds the lock for a rename; one that was stopped there must not stop readers

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lease. Whoever may not write there reads without: nobody prunes a volume that is read-only to them."""
    try:
        path.parent.mkdir(exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        yield
        return
    try:
        give_up = time.monotonic() + WAIT_S
        while not _locked(handle, fcntl.LOCK_SH) and time.monotonic() < give_up:
            time.sleep(0.005)
        yield
    finally:
        os.close(handle)


@contextmanager
def free(path: Path) -> Iterator[bool]:
    """Whether nobody holds a lease; nobody gets one until the end of the block if so. Needs no file to be there."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        path.parent.mkdir(exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.utime(handle, (0, 0))  # nobody ever read it
    try:
        yield _locked(handle, fcntl.LOCK_EX)
    finally:
        os.close(handle)


def _locked(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return _by_time(handle, kind)
        if error.errno != errno.EWOULDBLOCK:
            raise
        return False
    return True


def _by_time(handle: int, kind: int) -> bool:
    if kind == fcntl.LOCK_SH:
        os.utime(handle)
        return True
    return time.time() - os.fstat(handle).st_mtime > UNLOCKED_S
