"""Rolling up: facts of the stream go into buckets by minute, hour and day, each exactly once.

The buckets, the cursor and the trim of the stream go in one transaction, which fails as a whole when another
janitor's came between. How much room the buckets take is in docs/decisions/0022-history-in-buckets.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import WatchError

from tasks.ledger import keys
from tasks.ledger.buckets import ALL, DAY, HOUR, OTHER, RESOLUTIONS, UPKEEP, Bucket, Resolution, decode
from tasks.ledger.connection import Ledger
from tasks.ledger.records import number, text, whole
from tasks.ledger.states import State

FACTS_A_TURN = 5_000
COLLECTIONS_APART = 50  # with buckets of their own; the rest are counted together
SAMPLE_EVERY_S = 10.0
USUAL_EVERY_S = 60.0
USUAL_DAYS = 7
USUAL_LEAST = 5  # runs, before a collection has a usual time

WITH_DOCUMENTS = ("ingest", "rebuild")  # the other kinds are upkeep: they are counted apart and in no collection
PUBLISHED = (State.COMPLETED.value, State.PARTIAL.value)

Where = tuple[Resolution, int, str]  # resolution, number of the bucket, collection


def roll_up(ledger: Ledger, *, limit: int = FACTS_A_TURN) -> int:
    """Roll up the next facts, at most `limit`; how many. One round trip when there is nothing to do."""
    with ledger.redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.HISTORY)
        pipe.xlen(keys.FACTS)
        pipe.zrange(keys.WAITING, 0, 0, withscores=True)
        pipe.time()
        found, waiting, oldest, (seconds, micros) = pipe.execute()
    progress = {text(name): text(value) for name, value in found.items()}
    now = seconds + micros / 1e6
    age = max(0.0, now - oldest[0][1]) if oldest and now - number(progress.get("sampled")) >= SAMPLE_EVERY_S else 0.0
    facts = 0
    if waiting or age:
        try:
            facts = _roll(ledger, progress.get("cursor", ""), age, now, limit)
        except WatchError:
            return 0  # another janitor's turn came between; nothing of ours was written
    last_fact_at = fact_at(progress.get("cursor", "")) if not facts else now
    if last_fact_at > number(progress.get("usual")) and now - number(progress.get("usual")) >= USUAL_EVERY_S:
        _write_usual(ledger, now)
    return facts


def _roll(ledger: Ledger, cursor: str, oldest_s: float, now: float, limit: int) -> int:
    """One transaction: the facts after the cursor go into their buckets, the cursor moves, the stream is trimmed."""
    with ledger.redis.pipeline(transaction=True) as pipe:
        # Whoever rolls up writes this hash, so nobody else's buckets can come between our reading and writing.
        pipe.watch(keys.HISTORY)  # type: ignore[no-untyped-call]
        if text(pipe.hget(keys.HISTORY, "cursor")) != cursor:
            raise WatchError
        facts: list[Any] = pipe.xrange(keys.FACTS, min=f"({cursor}" if cursor else "-", max="+", count=limit) or []
        tracked: list[Any] = pipe.zrange(keys.HISTORY_COLLECTIONS, 0, -1, withscores=True)
        known = {text(one[0]): float(one[1]) for one in tracked}
        news, seen, dropped = _sorted(facts, known)
        if oldest_s:
            for step in RESOLUTIONS:
                news.setdefault((step, int(now) // step.step_s, ALL), Bucket()).oldest_s = oldest_s
        merged = _merged(ledger, news)
        pipe.multi()
        for (step, number_of, collection), bucket in merged.items():
            span = number_of * step.step_s // step.span_s
            name = keys.history(step.name, span, collection)
            pipe.hset(name, str(number_of), bucket.encode())
            pipe.expireat(name, (span + 1) * step.span_s + step.kept_s)
        if dropped:
            pipe.zrem(keys.HISTORY_COLLECTIONS, *dropped)
        if seen:
            pipe.zadd(keys.HISTORY_COLLECTIONS, seen)
        if facts:
            last = text(facts[-1][0])
            pipe.hset(keys.HISTORY, "cursor", last)
            pipe.xtrim(keys.FACTS, minid=_after(last), approximate=False)
        if oldest_s:
            pipe.hset(keys.HISTORY, "sampled", f"{now:.3f}")
        pipe.execute()
    return len(facts)


def _sorted(facts: Sequence[Any], known: dict[str, float]) -> tuple[dict[Where, Bucket], dict[str, float], list[str]]:
    """The facts as buckets by where they go; the collections seen, with when; those that lost their place."""
    buckets: dict[Where, Bucket] = {}
    tracked = dict(known)
    seen: dict[str, float] = {}
    dropped: list[str] = []
    for fact_id, raw in facts:
        fields = {text(name): text(value) for name, value in raw.items()}
        at = fact_at(text(fact_id))
        if fields.get("kind") in WITH_DOCUMENTS:
            name = fields.get("collection", "")
            if name and name not in tracked and len(tracked) >= COLLECTIONS_APART:
                quiet = min(tracked, key=lambda one: tracked[one])
                # A place becomes free when nothing but old days is left of its collection.
                if at - tracked[quiet] > HOUR.kept_s:
                    del tracked[quiet]
                    seen.pop(quiet, None)
                    dropped.append(quiet)
            if name in tracked or len(tracked) < COLLECTIONS_APART:
                tracked[name] = seen[name] = at
            else:
                name = OTHER
            places = [ALL, name]
        else:
            places = [UPKEEP]
        figures = _figures(fields)
        for step in RESOLUTIONS:
            for place in places:
                buckets.setdefault((step, int(at) // step.step_s, place), Bucket()).add(figures)
    return buckets, seen, [name for name in dropped if name not in seen]


def _figures(fact: Mapping[str, str]) -> Bucket:
    """What one fact adds."""
    bucket = Bucket()
    match fact.get("what"):
        case "started":
            bucket.started = 1
            bucket.wait.note(number(fact.get("wait")))
        case "ended":
            bucket.ended[fact.get("state", "")] = 1
            if fact.get("state") in PUBLISHED and fact.get("run"):
                bucket.run.note(number(fact.get("run")))
        case "documents":
            bucket.documents = whole(fact.get("ended"))
            bucket.chunks = whole(fact.get("chunks"))
            bucket.cached = whole(fact.get("cached"))
            bucket.documents_failed = whole(fact.get("failed"))
    return bucket


def _merged(ledger: Ledger, news: dict[Where, Bucket]) -> dict[Where, Bucket]:
    """The buckets as they are to be: what Redis holds, and the news."""
    with ledger.redis.pipeline(transaction=False) as pipe:
        for step, number_of, collection in news:
            pipe.hget(keys.history(step.name, number_of * step.step_s // step.span_s, collection), str(number_of))
        found = pipe.execute() if news else []
    merged = {}
    for (where, bucket), raw in zip(news.items(), found, strict=True):
        held = decode(raw)
        held.add(bucket)
        merged[where] = held
    return merged


def _write_usual(ledger: Ledger, now: float) -> None:
    today = int(now) // DAY.step_s
    days = [str(at) for at in range(today - USUAL_DAYS, today + 1)]
    names = [text(name) for name in ledger.redis.zrange(keys.HISTORY_COLLECTIONS, 0, -1)]
    spans = sorted({int(day) * DAY.step_s // DAY.span_s for day in days})
    with ledger.redis.pipeline(transaction=False) as pipe:
        for name in names:
            for span in spans:
                pipe.hmget(keys.history(DAY.name, span, name), days)
        answers = iter(pipe.execute() if names else [])
    found: dict[str, float] = {}
    for name in names:
        runs = Bucket()
        for _ in spans:
            for raw in next(answers):
                runs.add(decode(raw))
        at = runs.run.percentile(0.95)
        if at is not None and runs.run.total() >= USUAL_LEAST:
            found[name] = round(at, 3)
    with ledger.redis.pipeline(transaction=True) as pipe:
        pipe.delete(keys.USUAL)
        if found:
            pipe.hset(keys.USUAL, mapping=found)  # type: ignore[arg-type]
        pipe.hset(keys.HISTORY, "usual", f"{now:.3f}")
        pipe.execute()


def fact_at(fact_id: str) -> float:
    """When a fact was written: the server's milliseconds are the first half of its id."""
    return number(fact_id.partition("-")[0]) / 1000


def _after(fact_id: str) -> str:
    """The smallest id after this one."""
    millis, _, sequence = fact_id.partition("-")
    return f"{millis}-{whole(sequence) + 1}"
