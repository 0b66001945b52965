"""Why a job does not run, in a sentence: read in at most three round trips, and never written.

What comes first on the way is told first: a pause before the workers, the workers before the queue. The
estimate is the work ahead, by the rates measured here, over the workers that may take it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from tasks.errors import JobNotFound
from tasks.ledger import fleet, keys, queues, store
from tasks.ledger.connection import Ledger
from tasks.ledger.records import JobRow, fields_of, job_row, number, text, whole
from tasks.ledger.states import State
from tasks.settings import QUEUES

RANKS = 100_000  # how deep a delivery is looked for in its queue
OWN_LOOKED_FOR = 8  # deliveries of the job itself: the first of them decides
WEIGHED = 1_000  # deliveries ahead that are weighed one by one; more than that weigh as these do on average
WITHOUT_DOCUMENTS_S = 1.0  # a roll back, a prune: short
LOCK_WORDS, EMBEDDER_WORDS = "Waiting for the publish lock", "Waiting for the embedder"


class Cause(StrEnum):
    """What keeps a job from running."""

    ENDED = "ended"
    STOPPING = "stopping"
    RUNNING = "running"
    LOCK = "publish lock"
    EMBEDDER = "embedder"
    RETRY = "retry"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    NO_WORKER = "no worker"
    DRAINED = "drained"
    NO_LISTENER = "no listener"
    HANDED_OVER = "handed over"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Why:
    """Why a job does not run. `position` 1 is next in its queue; `ahead` counts deliveries in its queue and in more
    urgent ones; `starts_in_s` is an estimate. Each is None where it cannot be told. `holder`: the job waited for.
    """

    reason: str
    position: int | None = None
    ahead: int | None = None
    starts_in_s: float | None = None
    cause: Cause = Cause.RUNNING
    holder: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The first look: the job, its parts, and who works."""

    row: JobRow
    running: bool
    waiting: tuple[tuple[str, str], ...]  # shard, RQ id
    now: float
    alive: frozenset[str]
    usable: frozenset[str]
    pools: tuple[str, ...]  # hosts whose pool is alive
    paused: dict[str, Any]
    suspended: bool
    seconds_a_document: float | None
    enqueued: tuple[tuple[str, float], ...]
    leased: tuple[str, ...]


def why(ledger: Ledger, job_id: str) -> Why:
    """Why the job does not run. At most three round trips. Raises JobNotFound."""
    seen = _look(ledger, job_id)
    row = seen.row
    if row.final:
        return Why(f"It is {row.state.value}; nothing of it waits.", cause=Cause.ENDED)
    if row.state is State.CANCELING:
        return Why("It is being stopped: it ends at its next checkpoint, or is killed.", cause=Cause.STOPPING)
    if seen.running:
        return _while_running(ledger, seen)
    return _while_waiting(ledger, seen)


def _look(ledger: Ledger, job_id: str) -> _Seen:
    with ledger.redis.pipeline(transaction=True) as pipe:
        pipe.hgetall(keys.job(job_id))
        pipe.hgetall(keys.shards(job_id))
        pipe.time()
        pipe.zrevrange(keys.WORKERS, 0, fleet.WORKERS_MOST - 1, withscores=True)
        pipe.zrevrange(keys.POOLS, 0, fleet.WORKERS_MOST - 1, withscores=True)
        pipe.hkeys(keys.DRAINED)
        pipe.hkeys(keys.WRITTEN_OFF)
        pipe.hgetall(keys.PAUSED)
        pipe.exists(keys.RQ_SUSPENDED)
        pipe.hgetall(keys.RATES)
        pipe.zrange(keys.ENQUEUED, 0, WEIGHED - 1, withscores=True)
        pipe.zrange(keys.LEASES, 0, WEIGHED - 1)
        fields, shards, clock, beats, pools, drained, gone, paused, suspended, rates, enqueued, leased = pipe.execute()
    if b"state" not in fields or not ledger.person.sees(text(fields.get(b"collection"))):
        raise JobNotFound(job=job_id)
    now = clock[0] + clock[1] / 1e6
    alive = frozenset(text(name) for name, beat in beats if now - beat <= fleet.ALIVE_S)
    parts = list(_parts(shards))
    return _Seen(
        row=job_row(job_id, fields),
        running=any(state == "running" for _, state, _ in parts),
        waiting=tuple((shard, rq_id) for shard, state, rq_id in parts if state == "queued" and rq_id),
        now=now,
        alive=alive,
        usable=alive - {text(name) for name in [*drained, *gone]},
        pools=tuple(sorted({fleet.host_of(text(name)) for name, beat in pools if now - beat <= fleet.POOL_ALIVE_S})),
        paused={text(queue): raw for queue, raw in paused.items()},
        suspended=bool(suspended),
        seconds_a_document=_seconds_a_document(rates),
        enqueued=tuple((text(member), number(at)) for member, at in enqueued),
        leased=tuple(text(member) for member in leased),
    )


def _parts(shards: dict[Any, Any]) -> Iterable[tuple[str, str, str]]:
    """Shard, state and RQ id of each part of a job; a damaged row is left out."""
    for shard, raw in shards.items():
        row = fields_of(raw)
        if row:
            yield text(shard), text(row.get("state")), text(row.get("rq_id"))


def _seconds_a_document(rates: dict[Any, Any]) -> float | None:
    sums = {"documents": 0.0, "seconds": 0.0}
    for field, value in rates.items():
        figure = text(field).rpartition(":")[2]
        if figure in sums:
            sums[figure] += number(value)
    return sums["seconds"] / sums["documents"] if sums["documents"] > 0 else None


def _while_running(ledger: Ledger, seen: _Seen) -> Why:
    row = seen.row
    if row.step_description.startswith(LOCK_WORDS):
        holder = text(ledger.redis.get(keys.publish_lock(row.collection))).rpartition(":")[0]
        if holder and holder != row.id:
            return Why(
                f"It waits to publish to {row.collection}: job {holder} holds its publish lock.",
                cause=Cause.LOCK,
                holder=holder,
            )
        return Why(f"It waits to publish to {row.collection}; the lock is about to be free.", cause=Cause.LOCK)
    if row.step_description.startswith(EMBEDDER_WORDS):
        reason = row.step_description.removeprefix(EMBEDDER_WORDS).strip()
        return Why(f"It waits for the embedder {reason}.", cause=Cause.EMBEDDER)
    return Why(f"It runs{f' on {row.worker}' if row.worker else ''}.", cause=Cause.RUNNING, starts_in_s=0.0)


def _while_waiting(ledger: Ledger, seen: _Seen) -> Why:
    row = seen.row
    priority = row.priority if row.priority in QUEUES else "default"
    name = queues.queue_name(ledger, priority)
    urgent = [queues.queue_name(ledger, one) for one in QUEUES[: QUEUES.index(priority)]]
    first = seen.waiting[:OWN_LOOKED_FOR]
    with ledger.redis.pipeline(transaction=True) as pipe:
        for shard, _ in first:
            pipe.zscore(keys.DELAYED, f"{row.id}:{shard}")
        for _, rq_id in first:
            pipe.lpos(keys.rq_queue(name), rq_id, maxlen=RANKS)
        for other in urgent:
            pipe.llen(keys.rq_queue(other))
        pipe.srandmember(keys.rq_listeners(name), fleet.WORKERS_MOST)  # all of them, unless somebody wrote more
        *counts, listeners = pipe.execute()
    due = [number(at) for at in counts[: len(first)] if at is not None]
    ranks = [int(rank) for rank in counts[len(first) : 2 * len(first)] if rank is not None]
    before = sum(counts[2 * len(first) :])
    position = min(ranks) + 1 if ranks else None
    if due and not ranks and len(due) == len(first):
        return _retry(row, min(due), seen.now)
    ahead = position - 1 + before if position is not None else None
    held = _held_up(seen, priority, name, {text(one).removeprefix(keys.rq_worker("")) for one in listeners})
    if held is not None:
        cause, reason = held
        return Why(reason, position, ahead, None, cause)
    if position is None or ahead is None:
        reason = "RQ does not hold it at this moment; the janitor hands it over again within half a minute."
        return Why(reason, cause=Cause.HANDED_OVER)
    starts_in_s = _starts_in_s(ledger, seen, priority, [shard for shard, _ in first], ahead)
    return Why(_in_line(name, position, before, seen, starts_in_s), position, ahead, starts_in_s, Cause.QUEUE)


def _retry(row: JobRow, due_at: float, now: float) -> Why:
    at = datetime.fromtimestamp(due_at, UTC)
    seconds = max(0.0, due_at - now)
    return Why(
        f"It is tried again at {at:%H:%M:%S} UTC, in {seconds:.0f} s, as attempt {row.attempt}.",
        starts_in_s=seconds,
        cause=Cause.RETRY,
    )


def _held_up(seen: _Seen, priority: str, name: str, listeners: set[str]) -> tuple[Cause, str] | None:
    """What keeps the whole queue from moving, the nearest remedy first."""
    if priority in seen.paused:
        said = fleet.paused_row(seen.paused[priority])
        since = f" since {said.at:%Y-%m-%d %H:%M} UTC" if said.at else ""
        return Cause.PAUSED, f"The queue {name} is paused by {said.by or 'someone'}{since}; resume it on Queues."
    if not seen.alive and seen.pools:
        none = f"No worker is alive, though a pool is on {', '.join(seen.pools)}: it was scaled to none"
        return Cause.NO_WORKER, f"{none}, or its workers are starting; `ingestboard scale HOST N` gives it some."
    if not seen.alive:
        return Cause.NO_WORKER, "No worker is alive; start some with `ingestboard worker`, or look at their log."
    if not seen.usable:
        return Cause.DRAINED, f"{_workers(len(seen.alive))} alive and drained; let one take work again on Workers."
    if seen.suspended:
        return Cause.SUSPENDED, "RQ is suspended on this Redis; `rq resume` ends that."
    if not seen.usable & listeners:
        return Cause.NO_LISTENER, f"No worker that may take work listens to the queue {name}; start one that does."
    return None


def _workers(count: int) -> str:
    return "The one worker is" if count == 1 else f"All {count:,} workers are"


def _in_line(name: str, position: int, before: int, seen: _Seen, starts_in_s: float | None) -> str:
    free = len(seen.usable) - len(seen.leased)
    if position == 1 and not before and free > 0:
        return f"It is next in the queue {name}, and a worker takes it in a moment."
    parts = []
    if position > 1:
        parts.append(f"{position - 1:,} in the queue {name}")
    if before:
        parts.append(f"{before:,} in more urgent queues")
    line = f"It waits for {' and '.join(parts)}" if parts else f"It is next in the queue {name} once a worker is free"
    count = len(seen.usable)
    return f"{line}; {count:,} {'worker works' if count == 1 else 'workers work'} on them." if parts else f"{line}."


def _starts_in_s(ledger: Ledger, seen: _Seen, priority: str, shards: Sequence[str], ahead: int) -> float | None:
    """Seconds until a worker is likely to take it; None without a measured rate, or with a worker too few to tell."""
    if not ahead and len(seen.leased) < len(seen.usable):
        return 0.0
    if seen.seconds_a_document is None:
        return None
    own = {f"{seen.row.id}:{shard}" for shard in shards}
    since = min((at for member, at in seen.enqueued if member in own), default=seen.now)
    jobs = list({member.rpartition(":")[0]: None for member in (*(one for one, _ in seen.enqueued), *seen.leased)})
    with ledger.redis.pipeline(transaction=False) as pipe:
        for job_id in jobs:
            pipe.hmget(keys.job(job_id), "priority", "documents_total", "shards_total")
        found = dict(zip(jobs, pipe.execute() if jobs else [], strict=True))

    def takes_s(member: str) -> float:
        job_id, _, shard = member.rpartition(":")
        _, documents, parts = found[job_id]
        if shard == store.PUBLISH or not whole(documents):
            return WITHOUT_DOCUMENTS_S
        return whole(documents) / max(1, whole(parts)) * (seen.seconds_a_document or 0.0)

    def goes_first(member: str, at: float) -> bool:
        rank = QUEUES.index(text(found[member.rpartition(":")[0]][0])) if _known(found, member) else len(QUEUES)
        return rank < QUEUES.index(priority) or (rank == QUEUES.index(priority) and at < since)

    queued = [takes_s(member) for member, at in seen.enqueued if member not in own and goes_first(member, at)]
    weight = sum(queued) / len(queued) * max(ahead, len(queued)) if queued else 0.0
    # What runs is on average half done.
    return (weight + sum(takes_s(member) for member in seen.leased) / 2) / max(1, len(seen.usable))


def _known(found: dict[str, Any], member: str) -> bool:
    return text(found[member.rpartition(":")[0]][0]) in QUEUES
