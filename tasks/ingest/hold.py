"""One worker at a time makes an artifact: equal bytes in two documents are embedded once.

The lock is one byte of the upload, its place told by the recipe: no file is made for it, none is left behind,
and recipes do not wait for each other. The kernel frees it when its holder dies (fcntl_locking(2), open file
description locks), on a shared volume too. A holder shows that it moves by touching the upload; one that does
not is not waited for: two who make one artifact do no harm but the cost. A file system without locks, or
one that may only be read, goes without.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

BEAT_S = 1.0
STALLED_S = 120.0  # without a touch for that long, a holder that lives is taken for stopped
LOST_S = 3.0  # and so long where its worker has been given up: it may be stopped for good, and must not be waited for
POLL_S = 0.1

_HELD = {errno.EAGAIN, errno.EACCES}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
_FLOCK = struct.Struct("hhqqiI")  # struct flock: type, whence, start, length, pid (0 here), padding


class Hold:
    """The right to make an artifact; used as a context. `waiting` is called while another holds it, and may raise."""

    def __init__(self, upload: Path, recipe: str, waiting: Callable[[], None], stalled_s: float = STALLED_S) -> None:
        self._upload = upload
        self._place = int.from_bytes(hashlib.sha256(recipe.encode()).digest()[:7], "big")
        self._waiting = waiting
        self._stalled_s = stalled_s
        self._handle = -1
        self._beat_at = 0.0
        self.waited = False

    def __enter__(self) -> Self:
        try:
            self._handle = os.open(self._upload, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in _READ_ONLY:
                raise
            return self
        try:
            self._wait()
        except BaseException:
            self._release()
            raise
        self._beat_at = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def beat(self) -> None:
        """Show that the holder moves; cheap enough to call at every checkpoint."""
        if self._handle >= 0 and time.monotonic() - self._beat_at >= BEAT_S:
            self._beat_at = time.monotonic()
            with suppress(OSError):
                os.utime(self._handle)

    def _wait(self) -> None:
        touched, seen_at = 0, time.monotonic()
        while not self._taken():
            self.waited = True
            self._waiting()
            # Only whether it changes counts, told by our own clock: hosts' clocks differ.
            now = os.fstat(self._handle).st_mtime_ns
            if now != touched:
                touched, seen_at = now, time.monotonic()
            elif time.monotonic() - seen_at > self._stalled_s:
                return
            time.sleep(POLL_S)

    def _taken(self) -> bool:
        try:
            fcntl.fcntl(self._handle, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, self._place, 1, 0, 0))
        except OSError as error:
            if error.errno in _HELD:
                return False
            if error.errno not in _NO_LOCKS:
                raise
        return True

    def _release(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
