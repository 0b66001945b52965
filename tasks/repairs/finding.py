"""What a check is: it finds, reading only, and it repairs what it found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from tasks.ledger import Ledger
from tasks.ledger.records import text

EACH = 200  # findings of one check a turn
LOOKED_AT = 1_000  # what a check looks through in one turn


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is to be repaired: a sentence for a person, and what the repair needs to know."""

    sentence: str
    about: tuple[str, ...] = ()


class Check:
    """One kind of damage. `find` only reads and is bounded; `repair` looks again before it writes.

    A check that goes through more than one turn can take keeps its place between turns.
    """

    name: ClassVar[str]
    every_s: ClassVar[float] = 30.0
    quiet: ClassVar[bool] = False  # what happens all the time: no audit row, and `doctor` calls it no trouble

    def find(self, ledger: Ledger) -> list[Finding]:
        raise NotImplementedError

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        raise NotImplementedError


class Round:
    """Goes through a sorted set piece by piece, and begins again at its end."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._at = 0

    def next(self, ledger: Ledger, count: int = LOOKED_AT) -> list[str]:
        found = [text(member) for member in ledger.redis.zrange(self._key, self._at, self._at + count - 1)]
        self._at = self._at + count if len(found) == count else 0
        return found


def first(findings: Iterator[Finding]) -> list[Finding]:
    """As many as one turn repairs."""
    return list(islice(findings, EACH))
