"""What another program's RQ jobs do in the tests: a module of its own, so that their workers can import it."""

from __future__ import annotations

import time
from typing import Any


def add(one: int, other: int) -> int:
    return one + other


def fail(reason: str) -> None:
    raise RuntimeError(f"It cannot be done: {reason}")


def last(seconds: float) -> None:
    time.sleep(seconds)


class Bomb:
    """Writes a file wherever it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))
