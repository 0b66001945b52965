"""Handing shards to RQ: the transport. What RQ holds can be lost and handed over again; the ledger decides.

Deliveries are JSON, name a registered task, and carry ids only.
"""

from __future__ import annotations

from collections.abc import Iterable

from rq import Queue
from rq.serializers import JSONSerializer

from tasks.ledger import keys
from tasks.ledger.connection import Ledger
from tasks.ledger.store import PUBLISH, Delivery

RUN_SHARD = "tasks.ingest.run.run_shard"
RUN_PUBLISH = "tasks.ingest.run.run_publish"
REGISTERED = frozenset({RUN_SHARD, RUN_PUBLISH})

RESULT_TTL_S = 60
FAILURE_TTL_S = 7 * 86400


def names(ledger: Ledger) -> list[str]:
    """The queues of this installation, most urgent first."""
    return [queue_name(ledger, priority) for priority in ("high", "default", "low")]


def queue_name(ledger: Ledger, priority: str) -> str:
    return f"{ledger.settings.queue_prefix}{priority}"


def queue(ledger: Ledger, priority: str) -> Queue:
    """The RQ queue of a priority."""
    return Queue(queue_name(ledger, priority), connection=ledger.redis, serializer=JSONSerializer)


def deliver(ledger: Ledger, deliveries: Iterable[Delivery], priority: str) -> None:
    """Hand shards to RQ in one transaction. A publish goes to the front: its work is done, it only has to land."""
    target = queue(ledger, priority)
    with ledger.redis.pipeline(transaction=True) as pipe:
        for delivery in deliveries:
            target.enqueue_call(
                RUN_PUBLISH if delivery.shard == PUBLISH else RUN_SHARD,
                args=(delivery.job, delivery.shard, delivery.rq_id),
                job_id=delivery.rq_id,
                timeout=ledger.settings.shard_timeout_s,
                result_ttl=RESULT_TTL_S,
                failure_ttl=FAILURE_TTL_S,
                description=f"{delivery.shard} of job {delivery.job}",
                at_front=delivery.shard == PUBLISH,
                pipeline=pipe,
            )
        pipe.execute()


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


def waiting_ids(ledger: Ledger) -> set[str]:
    """The RQ ids that wait in our queues."""
    with ledger.redis.pipeline(transaction=True) as pipe:
        for name in names(ledger):
            pipe.lrange(keys.rq_queue(name), 0, -1)
        return {rq_id.decode("ascii", "replace") for ids in pipe.execute() for rq_id in ids}
