"""Handing shards to RQ: the transport. What RQ holds can be lost and handed over again; the ledger decides.

Deliveries are JSON, name a registered task, and carry ids only.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

from rq import Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.utils import now

from tasks.ledger import keys
from tasks.ledger.connection import Ledger
from tasks.ledger.records import number, text
from tasks.ledger.store import PUBLISH, Delivery
from tasks.settings import QUEUES

RUN_SHARD = "tasks.ingest.run.run_shard"
RUN_PUBLISH = "tasks.ingest.run.run_publish"
REGISTERED = frozenset({RUN_SHARD, RUN_PUBLISH})

RESULT_TTL_S = 60
FAILURE_TTL_S = 7 * 86400
BELL_LENGTH = 1024

_dumps: Callable[[Any], bytes] = JSONSerializer.dumps  # RQ gives it no types


def names(ledger: Ledger) -> list[str]:
    """The queues of this installation, most urgent first."""
    return [queue_name(ledger, priority) for priority in QUEUES]


def queue_name(ledger: Ledger, priority: str) -> str:
    """The queue of a priority; a job whose record names none that there is goes to the default one."""
    return f"{ledger.settings.queue_prefix}{priority if priority in QUEUES else 'default'}"


def queue(ledger: Ledger, priority: str) -> Queue:
    """The RQ queue of a priority."""
    return Queue(queue_name(ledger, priority), connection=ledger.redis, serializer=JSONSerializer)


def deliver(ledger: Ledger, deliveries: Iterable[Delivery], priority: str) -> None:
    """Hand shards to RQ in one transaction. A publish goes to the front: its work is done, it only has to land.

    What RQ would write one job at a time is written for all of them; what a job's hash holds comes from RQ itself.
    """
    target = queue(ledger, priority)
    back: list[str] = []
    front: list[str] = []
    made: dict[str, list[Any]] = {}
    with ledger.redis.pipeline(transaction=True) as pipe:
        send: Callable[..., Any] = pipe.execute_command
        for delivery in deliveries:
            task = RUN_PUBLISH if delivery.shard == PUBLISH else RUN_SHARD
            if task not in made:
                made[task] = _template(ledger, target, task)
            call: tuple[Any, ...] = (task, None, (delivery.job, delivery.shard, delivery.rq_id), {})
            own = {
                "data": zlib.compress(_dumps(call)),
                "description": f"{delivery.shard} of job {delivery.job}",
                "ingestboard_shard": f"{delivery.job}:{delivery.shard}",
            }
            # As `hset`, which looks at each of twenty fields again for every delivery of ten thousand.
            send("HSET", keys.rq_job(delivery.rq_id), *made[task], *chain.from_iterable(own.items()))
            (front if delivery.shard == PUBLISH else back).append(delivery.rq_id)
        if not made:
            return
        pipe.sadd(target.redis_queues_keys, target.key)
        if back:
            pipe.rpush(target.key, *back)
        if front:
            pipe.lpush(target.key, *front)
        ring(pipe, len(back) + len(front))
        pipe.execute()


def _template(ledger: Ledger, target: Queue, task: str) -> list[Any]:
    """Fields and values of an RQ job of this task that waits in the queue, as RQ writes it; less what is its own."""
    job = Job.create(
        task,
        connection=ledger.redis,
        serializer=JSONSerializer,
        origin=target.name,
        status=JobStatus.QUEUED,
        timeout=ledger.settings.shard_timeout_s,
        result_ttl=RESULT_TTL_S,
        failure_ttl=FAILURE_TTL_S,
        description="",
    )
    job.enqueued_at = now()
    common = {name: value for name, value in job.to_dict().items() if name not in ("data", "description")}
    return list(chain.from_iterable(common.items()))


def withdraw(ledger: Ledger, rq_ids: Iterable[str], priority: str) -> None:
    """Take shards that were not started back from RQ; one that is under way is not touched."""
    ids = list(rq_ids)
    if not ids:
        return
    name = keys.rq_queue(queue_name(ledger, priority))
    with ledger.redis.pipeline(transaction=False) as pipe:
        for rq_id in ids:
            pipe.lrem(name, 1, rq_id)
        removed = pipe.execute()
        for rq_id, count in zip(ids, removed, strict=True):
            if count:
                pipe.delete(keys.rq_job(rq_id))
        pipe.execute()


def ring(pipe: Any, deliveries: int) -> None:
    """Wake that many workers that wait. What nobody hears costs a second at most: they look by themselves too."""
    if deliveries > 0:
        pipe.rpush(keys.BELL, *[b"1"] * min(deliveries, BELL_LENGTH))
        pipe.ltrim(keys.BELL, 0, BELL_LENGTH - 1)


class Held(StrEnum):
    """Why a worker gets nothing."""

    WRITTEN_OFF = "written off"
    DRAINED = "drained"
    SUSPENDED = "suspended"  # by RQ's own switch, for all its workers
    EMPTY = "empty"  # or paused


@dataclass(frozen=True, slots=True)
class Taken:
    """An entry that a worker has taken off its queue."""

    queue: str
    rq_id: str


def take(ledger: Ledger, worker: str) -> Taken | Held:
    """Take the entry whose turn it is, in one step with the look whether it may be taken. One round trip."""
    reply = [text(part) for part in _take(ledger, worker)]
    if reply[0] != "taken":
        return Held(reply[0])
    return Taken(reply[1].removeprefix(keys.rq_queue("")), reply[2])


def oldest_wait_s(ledger: Ledger) -> float | None:
    """Seconds that the first entry of a queue has waited, the longest of all queues that are not paused."""
    reply = _take(ledger, "")
    return number(reply[1]) if text(reply[0]) == "oldest" else None


def _take(ledger: Ledger, worker: str) -> list[Any]:
    held = [keys.BELL, keys.ENQUEUED, keys.PAUSED, keys.DRAINED, keys.WRITTEN_OFF]
    lists = [keys.rq_queue(name) for name in names(ledger)]
    reply: list[Any] = ledger.run(
        "take", [*held, *lists], [worker, ledger.settings.queue_ageing_s, keys.rq_job(""), keys.RQ_SUSPENDED, *QUEUES]
    )
    return reply


def put_back(ledger: Ledger, taken: Taken) -> None:
    """Give an entry back to the front of its queue."""
    with ledger.redis.pipeline(transaction=True) as pipe:
        pipe.lrem(keys.rq_intermediate(taken.queue), 1, taken.rq_id)
        pipe.lpush(keys.rq_queue(taken.queue), taken.rq_id)
        ring(pipe, 1)
        pipe.execute()


def waiting_ids(ledger: Ledger) -> set[str]:
    """The RQ ids that wait in our queues."""
    with ledger.redis.pipeline(transaction=True) as pipe:
        for name in names(ledger):
            pipe.lrange(keys.rq_queue(name), 0, -1)
        return {rq_id.decode("ascii", "replace") for ids in pipe.execute() for rq_id in ids}
