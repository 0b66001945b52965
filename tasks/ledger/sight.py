"""What a person may see of the ledger: by the collection of a job. Every read model that names jobs goes by this."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from tasks.access import Person
from tasks.errors import CollectionNotFound
from tasks.ledger import keys
from tasks.ledger.connection import Ledger
from tasks.ledger.records import JobRow, loaded, text


def must_see(ledger: Ledger, collection: str) -> None:
    """Raises CollectionNotFound for a collection that this person may not see: for them there is none."""
    if not ledger.person.sees(collection):
        raise CollectionNotFound(name=collection)


def hidden_jobs(ledger: Ledger, ids: Sequence[str]) -> frozenset[str]:
    """Those of the jobs that this person may not see. No round trip for who sees everything.

    A job that is gone tells its collection no more: what is left of it is for those who see everything.
    """
    person = ledger.person
    if not person.limited:
        return frozenset()
    with ledger.redis.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hmget(keys.job(job_id), "state", "collection")
        found = pipe.execute() if ids else []
    return frozenset(
        job_id for job_id, (state, name) in zip(ids, found, strict=True) if state is None or not person.sees(text(name))
    )


def as_told_to(person: Person, row: JobRow) -> JobRow:
    """A job as this person may read it: the search that somebody else took the jobs of a bulk action from is theirs."""
    if not person.limited or row.owner == person.signs():
        return row
    asked = loaded(row.arguments)
    if not isinstance(asked, dict) or not asked.get("shown"):
        return row
    return replace(row, arguments=json.dumps({**asked, "shown": ""}))
