"""What a reader of the ledger's changes is told, and how far it knows them: plain data between `changes` and a feed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tasks.ledger import packed
from tasks.ledger.failures import Acknowledged, Failure, Mended
from tasks.ledger.packed import Packed
from tasks.ledger.records import Paused

_ID, _REVISION = packed.ID, packed.REVISION


@dataclass(frozen=True, slots=True)
class Cursor:
    """Up to where a reader knows the ledger: revisions of changes and of removals, id of the last failure read."""

    changes: int = 0
    removed: int = 0
    failures: str = "0-0"


@dataclass(frozen=True, slots=True)
class Beat:
    """What a board shows beside the jobs and need not know twice a second."""

    now: float  # the server's clock
    run: str  # names this run of the server; '' if it does not say
    ended: tuple[int, int]  # done and failed today
    beats: Mapping[str, float]  # worker -> when it reported last
    oldest: float | None  # since when the longest waiting job waits
    failures: tuple[Failure | Mended, ...]
    last_failure: str
    more: bool  # there are more failures to read
    paused: Mapping[str, Paused]
    usual: Mapping[str, float]
    acknowledged: Mapping[str, Acknowledged]


@dataclass(frozen=True, slots=True)
class News:
    """The answer to 'what is new'. Rows are in no order; `low` is the lowest revision from which on all were read."""

    revision: int
    rows: list[Packed]
    low: int
    joined: bool  # the rows reach back to the cursor
    older: Mapping[str, int]  # some that did not change, with their revisions: a reader holds the same
    removed: Mapping[str, int]
    trimmed: bool  # more was removed than the index of removals keeps
    counts: Mapping[str, int]  # state -> jobs
    beat: Beat | None

    @property
    def total(self) -> int:
        """Jobs that there are."""
        return sum(self.counts.values())


@dataclass(slots=True)
class Found:
    """What a tick has read so far, and how far back it reaches."""

    revision: int
    rows: list[Packed] = field(default_factory=list)
    low: int = 0
    joined: bool = False
    older: dict[str, int] = field(default_factory=dict)

    def take(self, rows: list[Packed], to_the_end: bool, cursor: Cursor) -> None:
        """Rows by falling revision, which must begin at or above where those before ended."""
        if self.low and (not rows or rows[0][_REVISION] < self.low):
            return  # much was deleted in between: what lies there is walked
        self.rows += [row for row in rows if row[_REVISION] > cursor.changes]
        self.older |= {row[_ID]: row[_REVISION] for row in rows if row[_REVISION] <= cursor.changes}
        reached = [row[_REVISION] for row in rows if row[_REVISION] > 0]
        self.low = min(reached, default=0)
        self.joined = to_the_end or self.revision <= cursor.changes or self.low <= cursor.changes
        if self.joined:
            self.low = cursor.changes


@dataclass(frozen=True, slots=True)
class Walk:
    """A way down an index, from `low` (exclusive for changes) to `until`; portion by portion."""

    index: Literal["jobs", "changes"]
    low: float
    until: float = 0.0
    seen_at_low: int = 0  # jobs may be created in the same instant


@dataclass(frozen=True, slots=True)
class Portion:
    """A piece of a walk; `rest` is None at its end."""

    rows: list[Packed]
    rest: Walk | None
