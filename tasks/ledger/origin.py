"""From where something is done, for its audit row: 'page 10.0.0.7', 'cli ana@host7', 'worker host7'.

The programs say it: a command for the block in which it acts, a process for all that it does, and the dashboard by a
function that knows who sits in front of the page that is being run. It is told, not proved: rights never hang on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

LONGEST = 200

_here: ContextVar[str] = ContextVar("origin", default="")
_of_process = ""
_asked: Callable[[], str] | None = None


def of_process(origin: str) -> None:
    """Whatever this process and its forks do is done from there, unless something nearer says otherwise."""
    global _of_process
    _of_process = origin


def ask(where: Callable[[], str]) -> None:
    """Ask this function each time; '' from it means that it does not know."""
    global _asked
    _asked = where


@contextmanager
def acting_from(origin: str) -> Iterator[None]:
    """What this thread or task does in the block is done from there."""
    token = _here.set(origin)
    try:
        yield
    finally:
        _here.reset(token)


def current() -> str:
    """From where this thread acts now; '' when nobody said so."""
    return (_here.get() or (_asked() if _asked else "") or _of_process)[:LONGEST]
