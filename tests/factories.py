"""Factories of what tests need: small, explicit, no fixtures of fixtures."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.ledger import Ledger, control, keys, store
from tasks.ledger.control import NewDocument
from tasks.ledger.states import DocumentState
from tasks.recipe import Recipe


def new_documents(count: int) -> list[NewDocument]:
    """Documents whose bytes are claimed to be saved."""
    return [NewDocument(f"paper-{at}.txt", 1000 + at, sha256=f"{at:064x}") for at in range(count)]


def submitted(ledger: Ledger, count: int = 1, **changes: object) -> str:
    """A job of `count` documents; its id."""
    arguments: dict[str, object] = {
        "collection": "contracts",
        "documents": new_documents(count),
        "owner": "ana",
        "recipe": Recipe(),
    }
    return control.submit(ledger, **(arguments | changes)).job  # type: ignore[arg-type]


def rq_id_of(ledger: Ledger, job_id: str, shard: str) -> str:
    """The delivery that is current for a shard."""
    return store.delivery_of(ledger, job_id, shard)


def claimed(ledger: Ledger, job_id: str, shard: str = "0", worker: str = "w1") -> store.Claim:
    """A shard in the hands of a worker."""
    claim = store.claim(ledger, job_id, shard, rq_id_of(ledger, job_id, shard), worker)
    assert claim is not None
    return claim


def finish_documents(ledger: Ledger, claim: store.Claim, *, failing: Sequence[int] = ()) -> None:
    """Report every document of a claim as done, but the failing ones."""
    reporter = store.Reporter(ledger, claim)
    for row in claim.documents:
        if row.number in failing:
            reporter.document(row.number, DocumentState.FAILED, error="It is damaged.")
        else:
            reporter.document(row.number, DocumentState.COMPLETED, chunks=3, cached=False, sha256=row.sha256)
    reporter.check(now=True)


def run_to_publish(ledger: Ledger, job_id: str, *, failing: Sequence[int] = ()) -> store.Claim | None:
    """Work through every shard; the claim of the publish, or None if there is none."""
    shards = int(ledger.redis.hget(keys.job(job_id), "shards_total") or 0)
    for at in range(shards):
        claim = claimed(ledger, job_id, str(at))
        finish_documents(ledger, claim, failing=failing)
        store.settle(ledger, job_id, str(at), claim.attempt, "done")
    if ledger.redis.hget(keys.shards(job_id), store.PUBLISH) is None:
        return None
    return claimed(ledger, job_id, store.PUBLISH)
