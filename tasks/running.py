"""The mark that `ingestboard up` runs on a data folder: a file lock, with the address in the file.

The kernel gives the lock back however its holder ends, so a mark never outlives its program (flock(2)).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from tasks.errors import AlreadyRunning


class UpLock:
    """Held while `up` runs; used as a context. Entering raises AlreadyRunning with the other's address."""

    def __init__(self, data: Path, address: str) -> None:
        self.data = data
        self.path = data / "up.lock"
        self.address = address
        self._handle = -1

    def __enter__(self) -> Self:
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                other = os.pread(handle, 1024, 0).decode("utf-8", "replace").strip()
                os.close(handle)
                raise AlreadyRunning(data=self.data, address=other or "an address it has not told yet") from None
            if self._is_the_file(handle):
                break
            # Its last holder removed the file between our open and our lock.
            os.close(handle)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{self.address}\n".encode(), 0)
        self._handle = handle
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Removed before it is given back: nobody can hold the lock of a file that has a name and be alone.
        with contextlib.suppress(OSError):
            self.path.unlink()
        os.close(self._handle)

    def _is_the_file(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), self.path.stat())
        except FileNotFoundError:
            return False
