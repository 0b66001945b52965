"""The rules for files: a process reads what Python and its libraries are made of and the folders it is given, no more.

It writes nothing by name; what it holds open already stays open to it. Source: landlock(7),
Documentation/userspace-api/landlock.rst of Linux; what a kernel is too old for is left out.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_ASK_VERSION = 1
_BENEATH = 1  # LANDLOCK_RULE_PATH_BENEATH
_PR_SET_NO_NEW_PRIVS = 38
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# Rights over files by the version that brought them: all of the first, then REFER, TRUNCATE and IOCTL_DEV.
_RIGHTS = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
_TCP = 0b11  # bind and connect, from version 4
_SCOPES = 0b11  # abstract sockets and signals, from version 6

# Where libraries, fonts, time zones and what the C library asks of the machine lie. Other processes' environment and
# memory stay shut: who is held by Landlock may not look into a process that is not.
_SYSTEM = ("/usr", "/lib", "/lib64", "/nix/store", "/proc", "/sys/devices", "/sys/bus/pci", "/sys/fs/cgroup")
_SINGLE = (
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/os-release", "/etc/nsswitch.conf"),
    *("/dev/null", "/dev/random", "/dev/urandom"),
)

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def hold(readable: Sequence[Path]) -> bool:
    """Put the rules up, for this thread and those that it starts; whether the kernel let us."""
    if _libc is None:
        return False
    version = _libc.syscall(_CREATE, None, 0, _ASK_VERSION)
    if version < 1:
        return False
    handled = [sum(right for since, right in _RIGHTS if version >= since)]
    handled += [_TCP] if version >= 4 else []
    handled += [_SCOPES] if version >= 6 else []
    asked = struct.pack(f"={len(handled)}Q", *handled)
    rules = _libc.syscall(_CREATE, asked, len(asked), 0)
    if rules < 0:
        return False
    try:
        for folder in roots():
            _allow(rules, folder, _READ_FILE | _READ_DIR)
        for path in (*map(Path, _SINGLE), *readable):
            _allow(rules, path, _READ_FILE)
        if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return bool(_libc.syscall(_RESTRICT, rules, 0) == 0)
    finally:
        os.close(rules)


@lru_cache(maxsize=1)
def roots() -> tuple[Path, ...]:
    """The folders that are read with all that is in them: the system's, Python's, its packages' and our own."""
    ours = Path(__file__).parents[1]
    paths = sysconfig.get_paths()
    python = [sys.prefix, sys.base_prefix, paths["stdlib"], paths["platstdlib"]]
    packages = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    found = {folder.resolve() for folder in (*map(Path, (*_SYSTEM, *python, *packages)), ours)}
    return tuple(sorted(_outermost(folder for folder in found if folder != Path("/") and folder.is_dir())))


def _outermost(folders: Iterable[Path]) -> Iterator[Path]:
    """Those that lie in none of the others."""
    every = set(folders)
    return (folder for folder in every if every.isdisjoint(folder.parents))


def _allow(rules: int, path: Path, rights: int) -> None:
    """Allow rights over a path and below it. One that is not there needs none."""
    with suppress(OSError):
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            assert _libc is not None
            _libc.syscall(_ADD, rules, _BENEATH, struct.pack("=Qi", rights, beneath), 0)
        finally:
            os.close(beneath)
