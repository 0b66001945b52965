"""Waiting for what happens in its own time: never a fixed sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T | None], *, timeout_s: float = 20.0, what: str = "the condition") -> T:
    """Poll until the condition gives something true; that. Fails the test when the time is over."""
    until = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > until:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(0.02)


def kept_within(seconds: float, attempt: Callable[[], float], *, tries: int = 5) -> None:
    """A promise of time, on a machine that does other things too: one of some tries keeps it.

    `attempt` does what is to be fast and gives how long that took, in seconds.
    """
    took: list[float] = []
    while len(took) < tries:
        took.append(attempt())
        if took[-1] < seconds:
            return
    raise AssertionError(f"took {', '.join(f'{each:.1f}' for each in took)} s, and never less than {seconds:g} s")
