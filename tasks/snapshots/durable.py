"""Files that survive a crash: written whole or not at all, and on disk before anything points at them.

POSIX: a rename is atomic, and durable once the folder that holds the name is synced. Errors of the disk
are told in one sentence (DataUnwritable), whoever met them: Python, or Lance behind its RuntimeError.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from tasks.errors import CollectionBusy, DataUnwritable

log = logging.getLogger(__name__)

LOCK_WAIT_S = 10.0
HASHED_BYTES = 1024 * 1024
FRESH = "_new-"  # prefix of a file that is not yet under its name

# A disk or its rights are at fault; any other OSError is ours to mend and keeps its traceback.
DISK = {getattr(errno, code) for code in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO")}
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EACCES}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Errors of the disk inside this block become DataUnwritable, naming `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno not in DISK:
            raise
        raise DataUnwritable(path=str(path), reason=os.strerror(error.errno)) from error
    except RuntimeError as error:
        # Lance's writer gives "lance error: LanceError(IO): No space left on device (os error 28), ...".
        code = _OS_ERROR.search(str(error))
        if code is None or int(code[1]) not in DISK:
            raise
        raise DataUnwritable(path=str(path), reason=os.strerror(int(code[1]))) from error


def sync(path: Path) -> None:
    """Force a file, or a folder's names, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: Path, content: bytes) -> None:
    """Write a new file and force it to disk; its folder is the caller's to sync."""
    with path.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def replace(path: Path, content: bytes, *, written: Callable[[], None] = lambda: None) -> None:
    """Replace a file in one step: readers see the old content or the new, also after a crash.

    `written` is called when the new content is on disk and the name still the old file's.
    """
    fresh = path.with_name(f"{FRESH}{token_hex(4)}")
    try:
        write(fresh, content)
        written()
        os.replace(fresh, path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    try:
        sync(path.parent)
    except OSError:
        # The name is moved and readers see it: too late to say that nothing happened.
        log.warning("The folder %s could not be synced after its pointer moved.", path.parent.name, exc_info=True)


def link(source: Path, target: Path) -> bool:
    """Give a file a second name, or copy it where links cannot be. Returns whether it is the same file."""
    try:
        os.link(source, target)
        return True
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    shutil.copy2(source, target)
    return False


def files(folder: Path) -> Iterator[Path]:
    """Every file under a folder, in a stable order."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(parent, name)


def marks(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Size, time and, of the small files that tell of the others, content: equal marks, untouched files."""
    found = {}
    for path in files(folder):
        about = path.stat()
        small = path.suffix != ".lance" and about.st_size <= HASHED_BYTES
        content = hashlib.sha256(path.read_bytes()).hexdigest() if small else ""
        found[path.relative_to(folder).as_posix()] = (about.st_size, about.st_mtime_ns, content)
    return found


def remove(folder: Path) -> None:
    """Remove a folder and all in it; safe when absent, or when another process removes it too."""

    def gone(_call: object, _path: str, info: tuple[type[BaseException], BaseException, object]) -> None:
        if not isinstance(info[1], FileNotFoundError):
            raise info[1]

    for _ in range(3):
        try:
            shutil.rmtree(folder, onerror=gone)
            return
        except OSError as error:
            # A worker that was fenced off may still be writing there.
            if error.errno != errno.ENOTEMPTY:
                raise
    shutil.rmtree(folder, onerror=gone)


@contextmanager
def exclusive(path: Path, name: str) -> Iterator[None]:
    """Hold a file lock of the collection `name`: the kernel frees it when the holder dies.

    Guards the few lines that compare and move a pointer, and recovery, against a publisher that lost the
    ledger's lock without knowing. Raises CollectionBusy after LOCK_WAIT_S. A file system without locks goes without.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        give_up = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno in _NO_LOCKS:
                    break
                if error.errno != errno.EWOULDBLOCK:
                    raise
            if time.monotonic() > give_up:
                raise CollectionBusy(name=name)
            time.sleep(0.01)
        yield
    finally:
        os.close(handle)
