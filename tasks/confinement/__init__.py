"""Keeping the process that reads a stranger's document from everything else: programs, network, files.

Two walls of Linux, put up by a process around itself and never taken down: a filter of system calls (seccomp) and
rules for files (Landlock). Neither needs rights or a library. Where the kernel refuses one, the other stands alone:
what is missing is told by `standing`, and nobody is kept from reading.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tasks.confinement import calls, files

__all__ = ["confine", "missing", "standing"]

CALLS = "starting programs, using the network and touching other processes"
FILES = "reading other files and writing any"


def confine(readable: Sequence[Path]) -> None:
    """From here on this process reads what Python needs and what is `readable`, and writes, starts and calls nothing.

    In a folder that is readable a file can be opened by its name and none can be looked for. What it breaks is a
    PermissionError. Threads that run already are not kept from files, new ones are.
    """
    files.hold(readable)
    calls.hold()


def standing() -> frozenset[str]:
    """Which walls stand on this machine, CALLS and FILES: a child puts them up and runs against them."""
    files.roots()  # found here, once: all children of this process inherit them
    child = os.fork()
    if child == 0:
        told = 0
        with suppress(BaseException):
            confine([])
            told = _refused(_call) | _refused(_look) << 1
        os._exit(told)
    _, status = os.waitpid(child, 0)
    told = max(0, os.waitstatus_to_exitcode(status))  # below it is a signal that ended the child
    return frozenset(wall for bit, wall in ((1, CALLS), (2, FILES)) if told & bit)


def missing(found: frozenset[str]) -> str:
    """A sentence about walls that do not stand; empty when both do."""
    gone = [wall for wall in (CALLS, FILES) if wall not in found]
    if not gone:
        return ""
    return f"The kernel does not let us keep the readers of documents from {'; nor from '.join(gone)}."


def _call() -> None:
    socket.socket(socket.AF_UNIX).close()


def _look() -> None:
    list(Path("/").iterdir())


def _refused(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except PermissionError:
        return True
    return False
