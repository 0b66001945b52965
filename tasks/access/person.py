"""Somebody who asks something of the ledger: the name for the record, the role, and the collections they may see."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tasks.access.rights import NEEDS, Right, Role, at_least

# What may be the name of a collection, in a sentence.
WORDS = re.compile(r"[A-Za-z0-9_-]+")
# What is of no collection as well, which no pattern of the roles file can name.
EVERYTHING = ("", "*")


def hides(patterns: tuple[str, ...], collection: str) -> bool:
    """Whether a collection is among those that the patterns hide; '' is what is of no collection."""
    if not collection:
        return "" in patterns
    return any(fnmatchcase(collection, pattern) for pattern in patterns)


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
        return not hides(self.sight, collection)

    def reads(self, told: str) -> bool:
        """Whether they may read a sentence: no word in it is the name of a collection that they do not see."""
        return not self.limited or all(map(self.sees, WORDS.findall(told)))

    @property
    def sight(self) -> tuple[str, ...]:
        """What they do not see, as patterns. Equal for all who see as much: what is kept for some is kept by this."""
        return self.hidden if self.may(Right.SEE) else EVERYTHING

    @property
    def limited(self) -> bool:
        """Whether there is anything that they may not see."""
        return bool(self.sight)

    def signs(self, by: str = "") -> str:
        """The name for the record: their own, whatever was said; a program signs for others."""
        return (by or self.name or "someone") if self.program else (self.name or "someone")


NOBODY = Person("nobody")
PROGRAM = Person("ingestboard", program=True)
