"""Who started whom: a process that ends with its parent, that adopts its orphans, and that ends all it has started.

prctl(2) is Linux's; elsewhere the first two do nothing, and what a test or a person leaves behind is found by its
parent's id alone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# Loaded before any fork: a child between fork and exec must not load a library.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent(parent: int, sig: int = signal.SIGKILL) -> bool:
    """Have the kernel end this process when its parent does, however that happens. False: the parent is gone by now."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
    return os.getppid() == parent


def adopt_orphans() -> None:
    """From here on, what loses its parent below this process becomes its child, even after setsid(2)."""
    if _libc is not None:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def below(pid: int) -> list[int]:
    """Ids of the processes below one, parents first. Costs a file read each where the kernel lists children."""
    found: list[int] = []
    waiting = [pid]
    try:
        while waiting:
            children = _children(waiting.pop())
            found += children
            waiting += children
    except FileNotFoundError:  # proc(5): only with CONFIG_PROC_CHILDREN
        import psutil  # walks all processes of the machine, and is not light

        with suppress(psutil.NoSuchProcess):
            return [process.pid for process in psutil.Process(pid).children(recursive=True)]
        return []
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        threads = [entry.name for entry in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        if not Path("/proc/self/task").exists():
            raise FileNotFoundError from None
        return children  # it has ended
    for thread in threads:
        try:
            children += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text("ascii").split())
        except (FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/task/{thread}").exists():
                raise FileNotFoundError from None
    return children


def childless() -> bool:
    """Whether this process has no child at all, dead ones included; they are left to be waited for. One system call."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def kill_all(pids: Collection[int]) -> None:
    """SIGKILL, which ends stopped processes too."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def end_all_below(spare: Collection[int] = (), *, within_s: float = 5.0) -> bool:
    """Kill and wait for everything below this process but `spare` and what is below those; whether all is gone.

    With `adopt_orphans` nothing escapes: what a killed process had started becomes our child and is met again.
    """
    until = time.monotonic() + within_s
    while not childless():
        kept = {pid for one in spare for pid in (one, *below(one))}
        left = [pid for pid in below(os.getpid()) if pid not in kept]
        if not left:
            return True
        kill_all(left)
        for pid in left:
            with suppress(ChildProcessError):  # a grandchild is waited for once it is ours
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True
