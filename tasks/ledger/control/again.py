"""Whether a person may let a job run again: it takes what asking for such a job takes, whoever asked the first time.

Else an operator could roll a collection back, or delete jobs, by retrying what an administrator had asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks import kinds
from tasks.access import NEEDS, Right
from tasks.errors import IngestboardError, NotAllowed, SubmissionRefused
from tasks.ledger import keys, monitor
from tasks.ledger.connection import Ledger
from tasks.ledger.control import audit
from tasks.ledger.control.permission import permit
from tasks.ledger.control.submission import REBUILD
from tasks.ledger.records import fields_of, text
from tasks.ledger.states import Action


def refused(ledger: Ledger, ids: Sequence[str]) -> dict[str, IngestboardError]:
    """Those of the jobs that this person may not retry, each with its refusal, which is on the record.

    A round trip for who does not hold every right, and one for each bulk action for who does not see every collection.
    """
    person = ledger.person
    if not person.limited and all(person.may(right) for right, needed in NEEDS.items() if needed is not None):
        return {}
    with ledger.redis.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hmget(keys.job(job_id), "kind", "arguments")
        found = pipe.execute() if ids else []
    answers: dict[str, IngestboardError] = {}
    for job_id, (kind, arguments) in zip(ids, found, strict=True):
        try:
            permit(ledger, right_of(text(kind), text(arguments)), job_id, action=Action.RETRY.value)
        except NotAllowed as refusal:
            answers[job_id] = refusal
        else:
            if text(kind) == kinds.BULK.name and _about_others(ledger, job_id):
                answers[job_id] = _for_others(ledger, job_id)
    return answers


def right_of(kind: str, arguments: str) -> Right:
    """What asking for a job of this kind takes."""
    if kind == REBUILD:
        return Right.REBUILD
    if kind == kinds.BULK.name:
        action = text(fields_of(arguments).get("action"))
        return Right[Action(action).name] if action in set(Action) else Right.UPKEEP
    return kinds.KINDS[kind].right if kind in kinds.KINDS else Right.RETRY


def _about_others(ledger: Ledger, job_id: str) -> bool:
    if not ledger.person.limited:
        return False
    return bool(monitor.hidden_jobs(ledger, [text(one) for one in ledger.redis.lrange(keys.bulk(job_id), 0, -1)]))


def _for_others(ledger: Ledger, job_id: str) -> IngestboardError:
    refusal = SubmissionRefused(reason=f"job {job_id} is about jobs that are for others; ask who submitted it")
    by = ledger.person.signs()
    audit.record(ledger, Action.RETRY.value, job_id, by=by, result=str(refusal), outcome="refused")
    return refusal
