"""A work horse as its parent sees it: whether it has ended, and what it and all below it use."""

from __future__ import annotations

import os
import select
import time
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self

import psutil

from tasks.lineage import below

NAP_S = 0.02  # between looks where the kernel has no pidfd
MINUTE_S = 60.0


class Ending:
    """Waits for the end of a child without reaping it; used as a context."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._poll = select.poll()
        try:
            self._fd = os.pidfd_open(pid)
            self._poll.register(self._fd, select.POLLIN)
        except (AttributeError, OSError):
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def within(self, seconds: float) -> bool:
        """Whether it ended in that time."""
        if self._fd >= 0:
            return bool(self._poll.poll(seconds * 1000))
        until = time.monotonic() + seconds
        while not self._ended():
            if time.monotonic() >= until:
                return False
            time.sleep(NAP_S)
        return True

    def _ended(self) -> bool:
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True


class Use:
    """What this process and all below it use, between two looks; and the documents that ended in the last minute."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}
        self._looked = time.monotonic()
        self._ended: deque[tuple[float, int]] = deque()

    def look(self) -> tuple[float, int]:
        """Percent of one core since the last look, and bytes of memory now."""
        now = time.monotonic()
        seconds: dict[int, float] = {}
        memory = 0
        for pid in (os.getpid(), *below(os.getpid())):
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                with process.oneshot():
                    times = process.cpu_times()
                    seconds[pid] = times.user + times.system
                    memory += process.memory_info().rss
        # A process that was not there at the last look has used all that it has used since.
        spent = sum(used - self._seconds.get(pid, 0.0) for pid, used in seconds.items())
        passed = max(now - self._looked, 0.001)
        first = not self._seconds
        self._seconds, self._looked = seconds, now
        return (0.0 if first else max(0.0, 100.0 * spent / passed)), memory

    def pace(self, ended: int) -> float:
        """Documents a minute, from a counter of those that have ended; over the last minute."""
        now = time.monotonic()
        self._ended.append((now, ended))
        while len(self._ended) > 1 and now - self._ended[1][0] >= MINUTE_S:
            self._ended.popleft()
        since, before = self._ended[0]
        return (ended - before) * 60.0 / max(now - since, 10.0) if ended > before else 0.0
