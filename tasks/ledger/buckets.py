"""The figures of one stretch of time, and how they add up: pure, no Redis.

Durations are counted in classes that grow by the fourth root of 2, so that percentiles of any stretch follow from
sums; one read from them is within 10 percent of the true one (half a class: 2 ** 0.125 = 1.09).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tasks.ledger.records import fields_of, number, text, whole

LEAST_S = 0.01  # the first class holds everything up to here
GROWTH = 2**0.25
CLASSES = 120  # the last one begins at 90 days


class Durations(Counter[int]):
    """How many durations fell into each class."""

    def note(self, seconds: float) -> None:
        seconds = max(seconds, LEAST_S)
        self[min(CLASSES, math.ceil(math.log(seconds / LEAST_S, GROWTH) - 1e-9))] += 1

    def percentile(self, share: float) -> float | None:
        """The duration that this share (0 to 1) of them does not exceed, in seconds; None when there are none."""
        wanted = share * self.total()
        if not wanted:
            return None
        below = 0
        for at in sorted(self):
            below += self[at]
            if below >= wanted - 1e-9:
                return LEAST_S * GROWTH ** (at - 0.5) if at else LEAST_S
        raise AssertionError("unreachable")


# No collection can be called so (control.COLLECTION_NAME).
ALL, OTHER, UPKEEP = "(all)", "(other)", "(upkeep)"


@dataclass(frozen=True, slots=True)
class Resolution:
    """Buckets of `step_s`, kept for `kept_s`; one hash holds those of `span_s`."""

    name: str
    step_s: int
    span_s: int
    kept_s: int


MINUTE = Resolution("minute", 60, 86_400, 2 * 86_400)
HOUR = Resolution("hour", 3_600, 30 * 86_400, 60 * 86_400)
DAY = Resolution("day", 86_400, 365 * 86_400, 730 * 86_400)
RESOLUTIONS = (MINUTE, HOUR, DAY)


@dataclass(slots=True)
class Bucket:
    """What happened in a stretch of time. `ended` counts jobs by their final state; `oldest_s` is the longest
    wait that was seen in the queue; `run` holds the jobs that published, `wait` those that started."""

    started: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    chunks: int = 0
    cached: int = 0
    documents_failed: int = 0
    wait: Durations = field(default_factory=Durations)
    run: Durations = field(default_factory=Durations)
    oldest_s: float = 0.0

    def add(self, other: Bucket) -> None:
        self.started += other.started
        self.ended.update(other.ended)
        self.documents += other.documents
        self.chunks += other.chunks
        self.cached += other.cached
        self.documents_failed += other.documents_failed
        self.wait.update(other.wait)
        self.run.update(other.run)
        self.oldest_s = max(self.oldest_s, other.oldest_s)

    def encode(self) -> str:
        """As it lies in Redis: what is nothing is left out."""
        figures: dict[str, Any] = {
            "s": self.started,
            "e": {name: count for name, count in self.ended.items() if count},
            "d": self.documents,
            "c": self.chunks,
            "h": self.cached,
            "f": self.documents_failed,
            "w": {str(at): count for at, count in sorted(self.wait.items())},
            "r": {str(at): count for at, count in sorted(self.run.items())},
            "q": round(self.oldest_s, 1),
        }
        return json.dumps({name: value for name, value in figures.items() if value}, separators=(",", ":"))


def decode(raw: bytes | str | None) -> Bucket:
    """A bucket from Redis; one that is missing or garbled reads as nothing."""
    found = fields_of(raw)

    def counts(name: str) -> Iterable[tuple[str, int]]:
        part = found.get(name)
        return ((text(key), max(0, whole(value))) for key, value in part.items()) if isinstance(part, dict) else ()

    def classes(name: str) -> Durations:
        return Durations({min(CLASSES, max(0, whole(key))): count for key, count in counts(name)})

    return Bucket(
        started=whole(found.get("s")),
        ended=Counter(dict(counts("e"))),
        documents=whole(found.get("d")),
        chunks=whole(found.get("c")),
        cached=whole(found.get("h")),
        documents_failed=whole(found.get("f")),
        wait=classes("w"),
        run=classes("r"),
        oldest_s=number(found.get("q")),
    )
