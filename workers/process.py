"""Small facts of Unix processes that the worker programs share."""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent(sig: int = signal.SIGKILL) -> None:
    """Have the kernel end this process when its parent ends, however that happens. Linux only; else nothing."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
    except (OSError, AttributeError):
        return


def orphaned(parent: int) -> bool:
    """Whether the parent ended before die_with_parent took effect."""
    return os.getppid() != parent
