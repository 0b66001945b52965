"""Do one thing to many jobs, in portions; a worker that dies is followed by one that goes on where it was.

Before a portion the states of its jobs are written down. Whoever finds such a note under the cursor takes over a
portion that was cut short: what its jobs show to have been done is counted and not done again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks import bulk
from tasks.errors import Fenced, IngestboardError
from tasks.ingest.kinds import Work
from tasks.kinds import Arguments, BulkArguments
from tasks.ledger import FINAL, Ledger, State, control, keys
from tasks.ledger.records import fields_of, number, text, whole
from tasks.ledger.states import Action

PORTION = 50  # jobs between two checkpoints: about ten round trips
AUDIT_LOOKED_AT = 2_000  # audit rows since the portion began, to see whether a job has its own
FIELDS = ("state", "attempt", "priority", "stop_asked_by", "stop_asked_at")


class ListLost(IngestboardError):
    """The ids of a bulk action are not there. Data: found, wanted."""

    sentence = "The list of its jobs is not complete ({found} of {wanted}), so nothing was done; ask for it again."


@dataclass
class Portion:
    """What became of some jobs: how many took it, how many refused for which reason, and which those are."""

    done: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    named: list[tuple[str, str]] = field(default_factory=list)


def run(work: Work, arguments: Arguments) -> str:
    assert isinstance(arguments, BulkArguments)
    ledger, job = work.ledger, work.job.id
    ids = bulk.ids(ledger, job)
    if len(ids) != arguments.jobs:
        raise ListLost(found=len(ids), wanted=arguments.jobs)
    cursor = whole(ledger.redis.hget(keys.bulk_outcome(job), "cursor"))
    work.stage("act", _so_far(arguments, cursor, len(ids)))
    while cursor < len(ids):
        some = ids[cursor : cursor + PORTION]
        portion = _act(work, arguments, some, cursor)
        _count(work, portion, cursor, len(some))
        cursor += len(some)
        work.reporter.stage("act", _so_far(arguments, cursor, len(ids)))
        work.reporter.progress(cursor / len(ids))
        work.reporter.check(now=True)  # the next portion is ours only if this attempt still is
    return bulk.outcome(ledger, job).said(arguments.action)


def _so_far(arguments: BulkArguments, cursor: int, total: int) -> str:
    return f"{arguments.action.capitalize()}: {cursor:,} of {total:,} jobs"


def _act(work: Work, arguments: BulkArguments, ids: Sequence[str], cursor: int) -> Portion:
    """Do it to each of these jobs, but to none a second time."""
    ledger, by = work.ledger, work.job.owner
    portion = Portion()
    before = _intent(ledger, work.job.id, ids, cursor)
    if before is not None:
        now = _fields(ledger, ids)
        done = {job for job in ids if _was_done(arguments, before, job, now[job], by)}
        _make_up_for_audit(ledger, arguments, done, by=by, since=float(before["at"]))
        portion.done += len(done)
        ids = [job for job in ids if job not in done]
    outcomes = control.act(
        ledger,
        Action(arguments.action),
        ids,
        by=by,
        failed_only=arguments.failed_only,
        priority=arguments.priority,
    )
    portion.done += len(outcomes.done)
    states = _fields(ledger, [one.job for one in outcomes.refused])
    for one in outcomes.refused:
        portion.refused[_reason(arguments.action, states[one.job]["state"])] += 1
        portion.named.append((one.job, one.reason))
    return portion


def _reason(action: str, state: str) -> str:
    """Why a job in that state refused, in words that go after a number of jobs."""
    if not state:
        return "were gone"
    ended = state in set(FINAL)
    if action in ("retry", "delete"):
        return "had nothing to retry" if ended and action == "retry" else "had not ended yet"
    if ended:
        return "had ended already"
    if state == State.CANCELING:
        return "were being stopped already"
    return "could not be moved" if action == "reprioritise" else "were publishing already"


def _fields(ledger: Ledger, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    with ledger.redis.pipeline(transaction=False) as pipe:
        for job in ids:
            pipe.hmget(keys.job(job), FIELDS)
        found = pipe.execute()
    return {job: dict(zip(FIELDS, map(text, values), strict=True)) for job, values in zip(ids, found, strict=True)}


def _intent(ledger: Ledger, bulk_job: str, ids: Sequence[str], cursor: int) -> dict[str, Any] | None:
    """Write down how the jobs are before they are acted on; what was written down, if this portion was begun before."""
    raw = ledger.redis.hget(keys.bulk_outcome(bulk_job), "intent")
    known = fields_of(raw)
    if known.get("cursor") == cursor:
        return known
    note = {"cursor": cursor, "at": ledger.now(), "jobs": _fields(ledger, ids)}
    with ledger.redis.pipeline(transaction=True) as pipe:
        pipe.hset(keys.bulk_outcome(bulk_job), "intent", json.dumps(note))
        pipe.expire(keys.bulk_outcome(bulk_job), bulk.kept_s(ledger))
        pipe.execute()
    return None


def _was_done(arguments: BulkArguments, note: dict[str, Any], job: str, now: dict[str, str], by: str) -> bool:
    """Whether the portion that was cut short had come to this job: it shows what was asked, and did not before."""
    then: dict[str, str] = note["jobs"].get(job, {})
    match arguments.action:
        case "cancel" | "force stop":
            return now["stop_asked_by"] == by and number(now["stop_asked_at"]) >= float(note["at"])
        case "retry":
            return then.get("state") in set(FINAL) and whole(now["attempt"]) > whole(then.get("attempt"))
        case "delete":
            return bool(then.get("state")) and not now["state"]
    return now["priority"] == arguments.priority != then.get("priority")


def _make_up_for_audit(
    ledger: Ledger, arguments: BulkArguments, jobs: Collection[str], *, by: str, since: float
) -> None:
    """The audit rows of jobs whose worker died between the action and its record."""
    rows: list[Any] = ledger.redis.xrange(keys.AUDIT, min=int(since * 1000), max="+", count=AUDIT_LOOKED_AT) or []
    told = {text(row.get(b"subject")) for _, row in rows if text(row.get(b"by")) == by}
    for job in sorted(set(jobs) - told):
        result = f"Job {job} was {bulk.PAST[arguments.action]}; the worker that did it ended before it could say more."
        control.record(ledger, arguments.action, job, by=by, result=result)


def _count(work: Work, portion: Portion, cursor: int, taken: int) -> None:
    """Count a portion and move the cursor, together and once. Raises Fenced when another worker has moved it."""
    outcome, refused = keys.bulk_outcome(work.job.id), keys.bulk_refused(work.job.id)

    def write(pipe: Any) -> None:
        at = whole(pipe.hget(outcome, "cursor"))
        kept = pipe.llen(refused)
        if at != cursor:
            raise Fenced(job=work.job.id, attempt=work.reporter.claim.attempt)
        pipe.multi()
        pipe.hset(outcome, "cursor", cursor + taken)
        pipe.hincrby(outcome, "done", portion.done)
        for reason, count in portion.refused.items():
            pipe.hincrby(outcome, bulk.REFUSED + reason, count)
        if room := portion.named[: max(0, bulk.REFUSED_KEPT - kept)]:
            pipe.rpush(refused, *map(json.dumps, room))
            pipe.expire(refused, bulk.kept_s(work.ledger))

    work.ledger.redis.transaction(write, outcome)
