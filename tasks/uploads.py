"""The bytes of documents, once each, under DATA/uploads/<sha256>.

Written to a temporary name, fsynced and renamed, so that a name that exists holds what it says. What is there
already is recognised by its hash and not written again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import BinaryIO

from tasks.errors import DataUnwritable, SubmissionRefused

BLOCK = 1024 * 1024


class Uploads:
    """The uploads under one DATA folder."""

    def __init__(self, data: Path) -> None:
        self.folder = data / "uploads"

    def path(self, sha256: str) -> Path:
        """Where those bytes lie; the name is checked, because it may come from outside."""
        if len(sha256) != 64 or not all(digit in "0123456789abcdef" for digit in sha256):
            raise ValueError("not a SHA-256 in hexadecimal")
        return self.folder / sha256

    def save(self, stream: BinaryIO, *, max_bytes: int, name: str = "a file") -> tuple[str, int]:
        """Save a stream; its SHA-256 and its size in bytes.

        Raises SubmissionRefused when it is larger than allowed, DataUnwritable when the disk refuses.
        """
        try:
            if (known := self._known(stream, max_bytes)) is not None:
                return known
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = self.folder / f"_tmp-{secrets.token_hex(8)}"
            try:
                digest, size = self._copy(stream, temporary, max_bytes, name)
                final = self.folder / digest
                if final.exists():
                    os.utime(final)  # another was faster
                else:
                    os.replace(temporary, final)
                    _sync_folder(self.folder)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    temporary.unlink()
        except OSError as error:
            raise DataUnwritable(path=self.folder, reason=error.strerror or type(error).__name__) from error
        return digest, size

    def _known(self, stream: BinaryIO, max_bytes: int) -> tuple[str, int] | None:
        """Hash and size of bytes that were saved before; else None, and the stream is where it was.

        A second read of a new file comes from memory; the write and the flush that a known one is spared do not.
        """
        if not stream.seekable():
            return None
        start = stream.tell()
        digest, size = hashlib.sha256(), 0
        while size <= max_bytes and (block := stream.read(BLOCK)):
            size += len(block)
            digest.update(block)
        try:
            if size <= max_bytes:
                os.utime(self.folder / digest.hexdigest())  # in use again: whoever cleans by age leaves it
                return digest.hexdigest(), size
        except FileNotFoundError:
            pass
        stream.seek(start)
        return None

    def _copy(self, stream: BinaryIO, temporary: Path, max_bytes: int, name: str) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        with temporary.open("xb") as target:
            while block := stream.read(BLOCK):
                size += len(block)
                if size > max_bytes:
                    raise SubmissionRefused(
                        reason=f"{name} is larger than {max_bytes // (1024 * 1024)} MB; split it or raise "
                        "INGESTBOARD_UPLOAD_MAX_BYTES"
                    )
                digest.update(block)
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
        return digest.hexdigest(), size


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
