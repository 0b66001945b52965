"""What a person may see of the ledger: by the collection of a job. Every read model that names jobs goes by this."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.errors import CollectionNotFound
from tasks.ledger import keys
from tasks.ledger.connection import Ledger
from tasks.ledger.records import text


def must_see(ledger: Ledger, collection: str) -> None:
    """Raises CollectionNotFound for a collection that this person may not see: for them there is none."""
    if not ledger.person.sees(collection):
        raise CollectionNotFound(name=collection)


def hidden_jobs(ledger: Ledger, ids: Sequence[str]) -> frozenset[str]:
    """Those of the jobs that this person may not see. No round trip for who sees everything."""
    person = ledger.person
    if not person.limited:
        return frozenset()
    with ledger.redis.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hget(keys.job(job_id), "collection")
        found = pipe.execute() if ids else []
    return frozenset(job_id for job_id, name in zip(ids, found, strict=True) if not person.sees(text(name)))
