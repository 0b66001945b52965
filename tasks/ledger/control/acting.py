"""What a person does to jobs, one or many: stop, retry, delete, another priority. The scripts decide, not these.

Each action is written for many jobs, in a few round trips for all of them; a single job is a list of one. What a job
answers is a receipt or an error that is a sentence: that a job went on while somebody looked at it is no fault.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from tasks.access import Right
from tasks.errors import ActionRefused, IngestboardError, JobNotFound, SubmissionRefused, TooLateToCancel
from tasks.ledger import fleet, keys, monitor, queues, store
from tasks.ledger.connection import Ledger
from tasks.ledger.control import again, audit, steering
from tasks.ledger.control.permission import permit
from tasks.ledger.control.submission import AT_ONCE, counted
from tasks.ledger.control.writing import cut, deliver_all, window
from tasks.ledger.records import DocumentRow, JobRow, Outcomes, Receipt, Refused, job_row, text, whole
from tasks.ledger.states import Action, DocumentState, State, allows, states_allowing
from tasks.settings import QUEUES

PAST = {
    Action.CANCEL: "canceled",
    Action.FORCE_STOP: "force stopped",
    Action.RETRY: "retried",
    Action.DELETE: "deleted",
    Action.REPRIORITISE: "given another priority",
    Action.WRITE_OFF: "taken from its worker",
}

RIGHTS = {action: Right[action.name] for action in Action}

Answer = Receipt | IngestboardError
Work = Callable[[Ledger, Sequence[str], str], list[Answer]]


def cancel(ledger: Ledger, job_id: str, *, by: str = "", force: bool = False) -> Receipt:
    """Ask for the stop of a job. Raises NotAllowed, JobNotFound, ActionRefused or TooLateToCancel.

    The receipt tells what is known now; `monitor.receipt` gives the confirmed one once the work has stopped.
    """
    action = Action.FORCE_STOP if force else Action.CANCEL
    asked = _only(_asked(ledger, action, [job_id], by, partial(_cancel, force=force)))
    known = monitor.receipt(ledger, job_id)
    return asked if known is None else replace(known, state=asked.state, action=asked.action, sentence=asked.sentence)


def retry(
    ledger: Ledger, job_id: str, *, by: str = "", failed_only: bool = True, documents: Sequence[int] | None = None
) -> Receipt:
    """Run a final job again as a new attempt: what did not complete, all of it, or the documents of these numbers.

    Raises NotAllowed, JobNotFound or ActionRefused.
    """
    work = partial(_retry, failed_only=failed_only, documents=documents)
    return _only(_asked(ledger, Action.RETRY, [job_id], by, work))


def delete(ledger: Ledger, job_id: str, *, by: str = "") -> Receipt:
    """Take a final job off the board. Raises NotAllowed, JobNotFound or ActionRefused."""
    return _only(_asked(ledger, Action.DELETE, [job_id], by, _delete))


def reprioritise(ledger: Ledger, job_id: str, priority: str, *, by: str = "") -> Receipt:
    """Move a live job to another queue, with what of it waits. Raises NotAllowed, JobNotFound or ActionRefused."""
    return _only(_asked(ledger, Action.REPRIORITISE, [job_id], by, partial(_reprioritise, priority=priority)))


def act(
    ledger: Ledger,
    action: Action,
    job_ids: Sequence[str],
    *,
    by: str = "",
    failed_only: bool = True,
    documents: Sequence[int] | None = None,
    priority: str = "",
) -> Outcomes:
    """Do one thing to many jobs: the receipts of those that took it, and of the others why they did not.

    Raises NotAllowed; then nothing was done. Its round trips grow with every 500 jobs, not with each. A job that is
    named twice is asked once.
    """
    work: Work
    match action:
        case Action.CANCEL | Action.FORCE_STOP:
            work = partial(_cancel, force=action is Action.FORCE_STOP)
        case Action.RETRY:
            work = partial(_retry, failed_only=failed_only, documents=documents)
        case Action.DELETE:
            work = _delete
        case Action.REPRIORITISE:
            work = partial(_reprioritise, priority=priority)
        case Action.WRITE_OFF:
            work = _write_off
    ids = list(dict.fromkeys(job_ids))
    done: list[Receipt] = []
    refused: list[Refused] = []
    for first in range(0, len(ids), AT_ONCE):
        some = ids[first : first + AT_ONCE]
        for job_id, answer in zip(some, _asked(ledger, action, some, by, work), strict=True):
            if isinstance(answer, Receipt):
                done.append(answer)
            else:
                refused.append(Refused(job_id, str(answer)))
    return Outcomes(action, tuple(done), tuple(refused))


def _asked(ledger: Ledger, action: Action, ids: Sequence[str], by: str, work: Work) -> list[Answer]:
    """Do it, if this person may, to those of the jobs that they see; the others are not there for them."""
    by = permit(ledger, RIGHTS[action], ids, by=by, action=action.value)
    hidden = monitor.hidden_jobs(ledger, ids)
    if hidden:
        told = [(job_id, str(JobNotFound(job=job_id))) for job_id in ids if job_id in hidden]
        audit.record_all(ledger, action.value, told, by=by, refused=hidden)
    seen = [job_id for job_id in ids if job_id not in hidden]
    answers: dict[str, Answer] = dict(again.refused(ledger, seen)) if action is Action.RETRY else {}
    if answers:
        seen = [job_id for job_id in seen if job_id not in answers]
    if seen:
        answers |= zip(seen, work(ledger, seen, by), strict=True)
    return [answers[job_id] if job_id in answers else JobNotFound(job=job_id) for job_id in ids]


def _cancel(ledger: Ledger, ids: Sequence[str], by: str, *, force: bool) -> list[Answer]:
    action = Action.FORCE_STOP if force else Action.CANCEL
    replies = ledger.transitions("cancel", [(one, [by or "someone", "1" if force else "0"], ()) for one in ids])
    answers: list[Answer] = []
    unneeded: dict[str, list[str]] = {}
    for job_id, reply in zip(ids, replies, strict=True):
        if reply[0] != "ok":
            answers.append(_refusal(job_id, action, reply))
            continue
        state = State(reply[1])
        unneeded.setdefault(reply[2], []).extend(reply[3:])
        if state is State.CANCELED:
            sentence = f"Job {job_id} was canceled; nobody was working on it."
        elif force:
            sentence = f"Job {job_id} is being stopped by force; its work horses are killed within about a second."
        else:
            sentence = (
                f"Job {job_id} stops at its next checkpoint; after {ledger.settings.cancel_grace_s:g} s without one "
                "its work horse is killed."
            )
        answers.append(Receipt(job_id, action.value, state, sentence))
    for priority, rq_ids in unneeded.items():
        queues.withdraw(ledger, rq_ids, priority)
    return _recorded(ledger, action, ids, answers, by)


def _retry(
    ledger: Ledger, ids: Sequence[str], by: str, *, failed_only: bool, documents: Sequence[int] | None
) -> list[Answer]:
    workers = len(fleet.worker_names(ledger))
    held = window(workers)
    answers: dict[str, Answer] = {}
    asked: list[tuple[str, Sequence[str | int | float], tuple[str, ...]]] = []
    plans: list[tuple[JobRow, int, list[store.Delivery]]] = []
    for job_id, found in zip(ids, _with_documents(ledger, ids), strict=True):
        if found is None:
            answers[job_id] = JobNotFound(job=job_id)
            continue
        row, rows = found
        if not allows(row.state, Action.RETRY):
            answers[job_id] = _refusal(job_id, Action.RETRY, ["refused", row.state.value])
            continue
        again = _chosen(rows, failed_only, documents)
        unpublished = row.state in (State.CANCELED, State.FAILED)
        if not again and (documents is not None or not unpublished):
            answers[job_id] = _nothing_to_retry(row, documents)
            continue
        shards = cut([one.size_bytes for one in again], [one.number for one in again], workers)
        rq_ids = [store.new_rq_id() for _ in range(max(1, min(held, len(shards))))]
        names = [str(at) for at in range(len(shards))] or [store.PUBLISH]
        parts = [json.dumps(part) for part in ([one.number for one in again], [{"documents": one} for one in shards])]
        asked.append((job_id, [by or "someone", row.attempt, *parts, held, json.dumps(rq_ids)], ()))
        deliveries = [store.Delivery(job_id, name, rq_id) for name, rq_id in zip(names, rq_ids, strict=False)]
        plans.append((row, len(again), deliveries))
    to_deliver: list[tuple[str, store.Delivery]] = []
    for (row, count, deliveries), reply in zip(plans, ledger.transitions("retry", asked), strict=True):
        if reply[0] != "ok":
            answers[row.id] = _refusal(row.id, Action.RETRY, reply)
            continue
        to_deliver += [(row.priority, delivery) for delivery in deliveries]
        sentence = f"Job {row.id} is retried as attempt {reply[1]}: {counted(count, 'document')}."
        answers[row.id] = Receipt(row.id, Action.RETRY.value, State.QUEUED, sentence)
    deliver_all(ledger, to_deliver)
    return _recorded(ledger, Action.RETRY, ids, [answers[job_id] for job_id in ids], by)


def _delete(ledger: Ledger, ids: Sequence[str], by: str) -> list[Answer]:
    with ledger.redis.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hget(keys.job(job_id), "state")
        states = [text(state) for state in pipe.execute()]
    answers: list[Answer] = []
    for job_id, state, reply in zip(
        ids, states, ledger.transitions("delete", [(job_id, (), ()) for job_id in ids]), strict=True
    ):
        if reply[0] != "ok":
            answers.append(_refusal(job_id, Action.DELETE, reply))
            continue
        sentence = f"Job {job_id} was deleted from the board; what it published stays."
        was = State(state) if state in set(State) else State.FAILED
        answers.append(Receipt(job_id, Action.DELETE.value, was, sentence))
    return _recorded(ledger, Action.DELETE, ids, answers, by)


def _reprioritise(ledger: Ledger, ids: Sequence[str], by: str, *, priority: str) -> list[Answer]:
    if priority not in QUEUES:
        raise SubmissionRefused(reason=f"{priority!r} is no priority; use {', '.join(QUEUES)}")
    target = queues.queue_name(ledger, priority)
    lists = [keys.rq_queue(name) for name in queues.names(ledger)]
    arguments = [by or "someone", priority, target, keys.rq_job("")]
    extra = (keys.rq_queue(target), keys.RQ_QUEUES, *lists)
    answers: list[Answer] = []
    for job_id, reply in zip(
        ids, ledger.transitions("reprioritise", [(one, arguments, extra) for one in ids]), strict=True
    ):
        if reply[0] == "same":
            sentence = f"Job {job_id} has priority {priority} already; nothing was changed."
            answers.append(Receipt(job_id, Action.REPRIORITISE.value, State(reply[1]), sentence))
        elif reply[0] != "ok":
            answers.append(_refusal(job_id, Action.REPRIORITISE, reply))
        else:
            sentence = (
                f"Job {job_id} has priority {priority} now, after {reply[2] or 'default'}; "
                f"{counted(whole(reply[3]), 'part')} of it moved to the other queue."
            )
            answers.append(Receipt(job_id, Action.REPRIORITISE.value, State(reply[1]), sentence))
    return _recorded(ledger, Action.REPRIORITISE, ids, answers, by)


def _write_off(ledger: Ledger, ids: Sequence[str], by: str) -> list[Answer]:
    answers: list[Answer] = []
    for job_id in ids:
        try:
            answers.append(steering.write_off_workers_of(ledger, job_id, by=by))
        except IngestboardError as error:
            answers.append(error)
    return answers


def _chosen(rows: Sequence[DocumentRow], failed_only: bool, documents: Sequence[int] | None) -> list[DocumentRow]:
    if documents is not None:
        return [one for one in rows if one.number in set(documents) and one.state is not DocumentState.COMPLETED]
    return [one for one in rows if not failed_only or one.state is not DocumentState.COMPLETED]


def _nothing_to_retry(row: JobRow, documents: Sequence[int] | None) -> ActionRefused:
    what = "with no such document to retry" if documents is not None else "with no failed document"
    return ActionRefused(
        job=row.id,
        state=f"{row.state.value} {what}",
        action="retried for its failures",
        allowed="partial, failed or canceled",
    )


def _with_documents(ledger: Ledger, ids: Sequence[str]) -> list[tuple[JobRow, list[DocumentRow]] | None]:
    with ledger.redis.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hgetall(keys.job(job_id))
            pipe.hgetall(keys.documents(job_id))
        found = pipe.execute()
    rows: list[tuple[JobRow, list[DocumentRow]] | None] = []
    for at, job_id in enumerate(ids):
        fields, documents = found[2 * at], found[2 * at + 1]
        if b"state" not in fields:
            rows.append(None)
            continue
        decoded = sorted(
            (store.document_row(whole(index), raw) for index, raw in documents.items()), key=lambda one: one.number
        )
        rows.append((job_row(job_id, fields), decoded))
    return rows


def _only(answers: list[Answer]) -> Receipt:
    (answer,) = answers
    if isinstance(answer, IngestboardError):
        raise answer
    return answer


def _refusal(job_id: str, action: Action, reply: Sequence[str]) -> IngestboardError:
    if reply[0] == "gone":
        return JobNotFound(job=job_id)
    if reply[0] == "late":
        return TooLateToCancel(job=job_id)
    return ActionRefused(job=job_id, state=reply[1], action=PAST[action], allowed=states_allowing(action))


def _recorded(ledger: Ledger, action: Action, ids: Sequence[str], answers: list[Answer], by: str) -> list[Answer]:
    """The answers, each with its audit row; of a job that is not there nothing is recorded."""
    told = [
        (job_id, answer.sentence if isinstance(answer, Receipt) else str(answer))
        for job_id, answer in zip(ids, answers, strict=True)
        if not isinstance(answer, JobNotFound)
    ]
    if told:
        refused = {job_id for job_id, answer in zip(ids, answers, strict=True) if not isinstance(answer, Receipt)}
        audit.record_all(ledger, action.value, told, by=by, refused=refused)
    return answers
