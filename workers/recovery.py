"""What a worker or pool looks up when a work horse is gone; what is then done is in `tasks.recovery`."""

from __future__ import annotations

from tasks.ledger import Ledger, keys
from tasks.ledger.records import fields_of, text


def shard_row(ledger: Ledger, job_id: str, shard: str) -> dict[str, object]:
    """The ledger's row of a shard; empty when it is gone or garbled."""
    return fields_of(ledger.redis.hget(keys.shards(job_id), shard))


def expire_leases_of(ledger: Ledger, worker: str) -> list[str]:
    """Have the janitor take back at once what a worker that is known to be dead had in hand, as '<job>:<shard>'.

    Told by the shards themselves: what a worker says of itself may be a second old.
    """
    leased = [text(member) for member in ledger.redis.zrange(keys.LEASES, 0, -1)]
    with ledger.redis.pipeline(transaction=False) as pipe:
        for member in leased:
            job_id, _, shard = member.rpartition(":")
            pipe.hget(keys.shards(job_id), shard)
        rows = [fields_of(raw) for raw in pipe.execute()] if leased else []
    held = [
        member
        for member, row in zip(leased, rows, strict=True)
        if row.get("state") == "running" and row.get("worker") == worker
    ]
    if held:
        ledger.redis.zadd(keys.LEASES, dict.fromkeys(held, 0), xx=True)
    return held
