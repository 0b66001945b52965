"""What a worker or pool looks up when a work horse is gone; what is then done is in `tasks.recovery`."""

from __future__ import annotations

from tasks.ledger import Ledger, keys
from tasks.ledger.records import fields_of


def shard_row(ledger: Ledger, job_id: str, shard: str) -> dict[str, object]:
    """The ledger's row of a shard; empty when it is gone or garbled."""
    return fields_of(ledger.redis.hget(keys.shards(job_id), shard))


def expire_leases_of(ledger: Ledger, worker: str, member: str) -> bool:
    """Have the janitor take back at once what a worker that is known to be dead had in hand ('<job>:<shard>')."""
    job_id, _, shard = member.rpartition(":")
    row = shard_row(ledger, job_id, shard)
    if row.get("state") != "running" or row.get("worker") != worker:
        return False
    return bool(ledger.redis.zadd(keys.LEASES, {member: 0}, xx=True, ch=True))
