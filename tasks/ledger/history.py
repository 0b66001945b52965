"""What happened over time, read: the buckets that the janitor fills, added up to the step that is wanted.

It outlives jobs, restarts and retention: minutes are kept two days, hours sixty, days two years. Figures of a
collection are of its jobs with documents; jobs of the other kinds are counted together, as upkeep.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from tasks.errors import CollectionNotFound
from tasks.ledger import keys
from tasks.ledger.buckets import ALL, DAY, OTHER, RESOLUTIONS, UPKEEP, Bucket, Resolution, decode
from tasks.ledger.connection import Ledger
from tasks.ledger.records import number, text, whole
from tasks.ledger.rolling import fact_at, roll_up

__all__ = ["Point", "Series", "resolution", "roll_up", "series", "usual"]

POINTS_MOST = 2_000
COLLECTIONS_SHOWN = 500  # far more than are counted apart


@dataclass(frozen=True, slots=True)
class Point:
    """The figures of one step that begins `at`."""

    at: datetime
    figures: Bucket


@dataclass(frozen=True, slots=True)
class Series:
    """Points at every `step_s`, oldest first and without gaps; `collections` are those that can be asked for."""

    collection: str
    step_s: int
    points: tuple[Point, ...]
    collections: tuple[str, ...]
    rolled_up_at: datetime | None  # of the newest fact in it
    waiting: int = 0  # facts that are not rolled up yet

    def total(self) -> Bucket:
        """All of it in one."""
        whole_time = Bucket()
        for point in self.points:
            whole_time.add(point.figures)
        return whole_time


def series(ledger: Ledger, collection: str, since: datetime, until: datetime, step_s: int) -> Series:
    """The figures of a collection ('' for all of them) in steps of about `step_s`, in one round trip.

    Who does not see every collection has what they see for all of them; that costs a second round trip. Raises
    CollectionNotFound for a collection that they do not see, and for what mixes some that they may not.
    The step becomes a whole number of the finest buckets that reach back to `since`, and long enough for 2,000 points.
    """
    person = ledger.person
    asked = [collection or ALL]
    if person.limited:
        if collection in (OTHER, UPKEEP) or (collection and not person.sees(collection)):
            raise CollectionNotFound(name=collection)
        if not collection:
            asked = [name for name in _known(ledger) if name not in (OTHER, UPKEEP) and person.sees(name)]
    first, last = since.timestamp(), max(since, until).timestamp()
    step = resolution(first, step_s, datetime.now(UTC).timestamp())
    wanted = max(step_s, int((last - first) / POINTS_MOST) + 1)
    size = step.step_s * -(-wanted // step.step_s)
    spans = range(int(first) // size * size // step.span_s, int(last) // step.span_s + 1)
    with ledger.redis.pipeline(transaction=False) as pipe:
        pipe.zrevrange(keys.HISTORY_COLLECTIONS, 0, COLLECTIONS_SHOWN - 1)
        pipe.hget(keys.HISTORY, "cursor")
        pipe.xlen(keys.FACTS)
        for name in asked:
            for span in spans:
                pipe.hgetall(keys.history(step.name, span, name))
        names, cursor, waiting, *hashes = pipe.execute()
    buckets = {at: Bucket() for at in range(int(first) // size, int(last) // size + 1)}
    for found in hashes:
        for raw_number, raw in found.items():
            at = whole(raw_number) * step.step_s // size
            if at in buckets:
                buckets[at].add(decode(raw))
    return Series(
        collection=collection,
        step_s=size,
        points=tuple(Point(datetime.fromtimestamp(at * size, UTC), bucket) for at, bucket in buckets.items()),
        collections=tuple(sorted(name for name in map(text, names) if person.sees(name))),
        rolled_up_at=datetime.fromtimestamp(fact_at(text(cursor)), UTC) if cursor else None,
        waiting=waiting,
    )


def _known(ledger: Ledger) -> list[str]:
    return [text(name) for name in ledger.redis.zrevrange(keys.HISTORY_COLLECTIONS, 0, COLLECTIONS_SHOWN - 1)]


def resolution(first: float, step_s: int, now: float) -> Resolution:
    """The coarsest buckets that still make the step, among those that are kept since `first`."""
    reaching = [one for one in RESOLUTIONS if first >= now - one.kept_s] or [DAY]
    fitting = [one for one in reaching if one.step_s <= step_s]
    return fitting[-1] if fitting else reaching[0]


def usual(ledger: Ledger) -> dict[str, float]:
    """The p95 of the run seconds of each collection over the last seven days, within 10 percent."""
    return {text(name): number(value) for name, value in ledger.redis.hgetall(keys.USUAL).items()}
