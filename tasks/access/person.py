"""Somebody who asks something of the ledger: the name for the record, the role, and the collections they may see."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tasks.access.rights import NEEDS, Right, Role, at_least

# What may be the name of a collection, in a sentence.
WORDS = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks. `role` None may do nothing. `hidden` are patterns of collections that they do not see, sorted.

    `program` is one of our own processes: it may do everything and signs with the name of whoever it acts for.
    """

    name: str
    role: Role | None = None
    email: str = ""
    groups: frozenset[str] = frozenset()
    hidden: tuple[str, ...] = ()
    program: bool = False

    def may(self, right: Right) -> bool:
        return self.program or at_least(self.role, NEEDS[right])

    def sees(self, collection: str) -> bool:
        """Whether they may see a collection, its jobs and its names. What is of no collection everybody sees."""
        if not self.may(Right.SEE):
            return False
        return not (self.hidden and any(fnmatchcase(collection, pattern) for pattern in self.hidden))

    def reads(self, told: str) -> bool:
        """Whether they may read a sentence: no word in it is the name of a collection that they do not see."""
        return not self.hidden or all(map(self.sees, WORDS.findall(told)))

    @property
    def limited(self) -> bool:
        """Whether there is anything that they may not see."""
        return bool(self.hidden) or not self.may(Right.SEE)

    def hidden_among(self, collections: Iterable[str]) -> frozenset[str]:
        """Those of the collections that they may not see."""
        if not self.limited:
            return frozenset()
        return frozenset(name for name in collections if not self.sees(name))

    def signs(self, by: str = "") -> str:
        """The name for the record: their own, whatever was said; a program signs for others."""
        return (by or self.name or "someone") if self.program else (self.name or "someone")


NOBODY = Person("nobody")
PROGRAM = Person("ingestboard", program=True)
