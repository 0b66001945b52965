"""Waits that end at once when a signal comes, without a thread and without polling (signal.set_wakeup_fd)."""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Callable
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Wake:
    """Waits that end at once on a signal: a stop that a person asks for, or a child that ends."""

    def __init__(self, on_stop: Callable[[], None]) -> None:
        self._on_stop = on_stop

    def __enter__(self) -> Wake:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._old_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        # SIGCHLD needs a handler of Python's own for the wakeup to be written.
        wanted = [number for number in (*STOPPING, signal.SIGCHLD) if not _kept_by_nohup(number)]
        self._old = {number: signal.signal(number, self._note) for number in wanted}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        self._reader.close()
        self._writer.close()

    def wait(self, seconds: float) -> None:
        """Sleep so long, or until a signal comes."""
        if select.select([self._reader], [], [], seconds)[0]:
            self._reader.recv(4096)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number in STOPPING:
            self._on_stop()


def _kept_by_nohup(number: signal.Signals) -> bool:
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
