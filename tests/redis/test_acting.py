"""What people do to jobs, one or many, at once and in each other's way; on fakeredis and on a real server alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tasks.access import PROGRAM
from tasks.errors import ActionRefused, IngestboardError, JobNotFound, SubmissionRefused
from tasks.ledger import Action, Ledger, State, control, keys, monitor, queues, store
from tasks.ledger.records import text
from tasks.ledger.states import ACTIONS, DocumentState, allows
from tasks.recipe import Recipe
from tests.factories import claimed, finish_documents, new_documents, rq_id_of, run_to_publish, submitted
from tests.round_trips import counting


def in_state(ledger: Ledger, state: State) -> str:
    """A job in that state."""
    job_id = submitted(ledger, 2)
    match state:
        case State.QUEUED:
            pass
        case State.RUNNING:
            claimed(ledger, job_id)
        case State.RETRYING:
            claim = claimed(ledger, job_id)
            store.settle(ledger, job_id, "0", claim.attempt, "released")
        case State.CANCELING:
            claimed(ledger, job_id)
            control.cancel(ledger, job_id, by="bo")
        case State.CANCELED:
            control.cancel(ledger, job_id, by="bo")
        case State.COMPLETED | State.PARTIAL:
            publish = run_to_publish(ledger, job_id, failing=[1] if state is State.PARTIAL else [])
            assert publish is not None
            store.close(ledger, job_id, publish.attempt, snapshot="000001")
        case State.FAILED:
            run_to_publish(ledger, job_id, failing=[0, 1])
    assert monitor.job(ledger, job_id).state is state
    return job_id


@pytest.mark.parametrize("action", [one for one in Action if one is not Action.WRITE_OFF])
@pytest.mark.parametrize("state", list(State))
def test_the_ledger_takes_the_actions_of_the_table_and_no_others(
    fake_ledger: Ledger, state: State, action: Action
) -> None:
    job_id = in_state(fake_ledger, state)
    outcomes = control.act(fake_ledger, action, [job_id], by="bo", failed_only=False, priority="high")
    assert bool(outcomes.done) is allows(state, action)
    for refused in outcomes.refused:
        assert refused.reason.startswith(f"Job {job_id} is {state.value}; only a job that is ")
        assert all(one.value in refused.reason for one in State if action in ACTIONS[one])


def test_many_are_asked_at_once_and_each_answers(ledger: Ledger) -> None:
    queued, canceled = submitted(ledger), submitted(ledger)
    control.cancel(ledger, canceled, by="ana")
    running = submitted(ledger)
    claimed(ledger, running)
    outcomes = control.act(ledger, Action.CANCEL, [queued, canceled, running, "nothing", queued], by="bo")
    assert [(one.job, one.state) for one in outcomes.done] == [(queued, State.CANCELED), (running, State.CANCELING)]
    assert [one.job for one in outcomes.refused] == [canceled, "nothing"]
    assert "is canceled; only a job that is" in outcomes.refused[0].reason
    assert outcomes.refused[1].reason.startswith("There is no job nothing")


def test_many_cost_no_more_round_trips_than_one(ledger: Ledger) -> None:
    def trips(jobs: int, action: Action, **options: object) -> int:
        ids = [submitted(ledger) for _ in range(jobs)]
        if action in (Action.RETRY, Action.DELETE):
            control.act(ledger, Action.CANCEL, ids, by="bo")
        with counting(ledger) as counted:
            assert len(control.act(ledger, action, ids, by="bo", **options).done) == jobs  # type: ignore[arg-type]
        return counted.count

    for action in (Action.CANCEL, Action.RETRY, Action.DELETE):
        trips(1, action)  # the scripts are loaded by the first call
        assert trips(15, action) == trips(1, action)
    trips(1, Action.REPRIORITISE, priority="high")
    assert trips(15, Action.REPRIORITISE, priority="high") == trips(1, Action.REPRIORITISE, priority="high")


def test_every_action_on_many_leaves_its_audit_row(ledger: Ledger) -> None:
    ids = [submitted(ledger), submitted(ledger)]
    control.act(ledger, Action.CANCEL, [*ids, "nothing"], by="bo")
    found: list[Any] = ledger.redis.xrange(keys.AUDIT) or []
    rows = [row for _, row in found if row[b"action"] == b"cancel"]
    assert [text(row[b"subject"]) for row in rows] == ids
    assert {row[b"by"] for row in rows} == {b"bo"}


# --- retry ---------------------------------------------------------------------------------------------


def partial(ledger: Ledger, failing: tuple[int, ...]) -> str:
    job_id = submitted(ledger, 4)
    publish = run_to_publish(ledger, job_id, failing=failing)
    assert publish is not None
    store.close(ledger, job_id, publish.attempt, snapshot="000001")
    return job_id


def test_one_document_is_retried_and_the_others_stay_as_they_are(ledger: Ledger) -> None:
    job_id = partial(ledger, (1, 3))
    receipt = control.retry(ledger, job_id, by="bo", documents=[3])
    assert receipt.sentence == f"Job {job_id} is retried as attempt 2: 1 document."
    states = [one.state for one in monitor.documents(ledger, job_id)]
    assert states == [
        DocumentState.COMPLETED,
        DocumentState.FAILED,
        DocumentState.COMPLETED,
        DocumentState.QUEUED,
    ]
    assert [row.number for row in claimed(ledger, job_id).documents] == [3]


def test_a_document_that_did_not_fail_is_not_retried_alone(ledger: Ledger) -> None:
    job_id = partial(ledger, (1,))
    for number in (0, 17, -1):
        with pytest.raises(ActionRefused, match="with no such document to retry"):
            control.retry(ledger, job_id, by="bo", documents=[number])
    assert monitor.job(ledger, job_id).state is State.PARTIAL


def test_retrying_one_document_ends_partial_while_another_is_still_failed(ledger: Ledger) -> None:
    job_id = partial(ledger, (1, 3))
    control.retry(ledger, job_id, by="bo", documents=[3])
    claim = claimed(ledger, job_id)
    finish_documents(ledger, claim)
    store.settle(ledger, job_id, "0", claim.attempt, "done")
    publish = claimed(ledger, job_id, store.PUBLISH)
    assert store.close(ledger, job_id, publish.attempt, snapshot="000002") == "partial"


# --- another priority ----------------------------------------------------------------------------------


def waiting(ledger: Ledger, priority: str) -> list[str]:
    return [text(one) for one in ledger.redis.lrange(keys.rq_queue(queues.queue_name(ledger, priority)), 0, -1)]


def test_another_priority_moves_what_waits_and_only_that(ledger: Ledger) -> None:
    other, job_id = submitted(ledger, 2), submitted(ledger, 3)
    claim = claimed(ledger, job_id, "0")
    ledger.redis.lrem(keys.rq_queue("default"), 1, rq_id_of(ledger, job_id, "0"))
    receipt = control.reprioritise(ledger, job_id, "high", by="bo")
    assert (
        receipt.sentence
        == f"Job {job_id} has priority high now, after default; 2 parts of it moved to the other queue."
    )
    moved = [rq_id_of(ledger, job_id, "1"), rq_id_of(ledger, job_id, "2")]
    assert waiting(ledger, "high") == moved
    assert waiting(ledger, "default") == [rq_id_of(ledger, other, "0"), rq_id_of(ledger, other, "1")]
    assert {ledger.redis.hget(keys.rq_job(one), "origin") for one in moved} == {b"high"}
    assert monitor.job(ledger, job_id).priority == "high"
    # What follows goes through the new queue too.
    finish_documents(ledger, claim)
    delivery = store.settle(ledger, job_id, "0", claim.attempt, "released")
    assert delivery is not None
    queues.deliver(ledger, [delivery], monitor.job(ledger, job_id).priority)
    assert waiting(ledger, "high")[-1] == delivery.rq_id


def test_a_publish_that_waits_moves_to_the_front(ledger: Ledger) -> None:
    control.reprioritise(ledger, submitted(ledger), "high", by="bo")
    job_id = submitted(ledger)
    claim = claimed(ledger, job_id)
    finish_documents(ledger, claim)
    delivery = store.settle(ledger, job_id, "0", claim.attempt, "done")
    assert delivery is not None
    queues.deliver(ledger, [delivery], "default")
    control.reprioritise(ledger, job_id, "high", by="bo")
    assert waiting(ledger, "high")[0] == delivery.rq_id


def test_the_priority_that_a_job_has_already_changes_nothing(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    before = monitor.job(ledger, job_id).revision
    assert "already; nothing was changed" in control.reprioritise(ledger, job_id, "default", by="bo").sentence
    assert monitor.job(ledger, job_id).revision == before


@pytest.mark.parametrize("priority", ["urgent", "", "High"])
def test_a_priority_that_there_is_not_is_refused(ledger: Ledger, priority: str) -> None:
    with pytest.raises(SubmissionRefused, match="is no priority; use high, default, low"):
        control.reprioritise(ledger, submitted(ledger), priority, by="bo")
    with pytest.raises(JobNotFound):
        control.reprioritise(ledger, "nothing", "high", by="bo")


# --- at once ---------------------------------------------------------------------------------------------


def partial_of(act: Callable[..., object], *args: object, by: str) -> Callable[[Ledger], object]:
    """The action, waiting for the ledger to act on."""
    return lambda ledger: act(ledger, *args, by=by)


def at_once(url: str, ledger: Ledger, *works: Callable[[Ledger], object]) -> list[object]:
    """Each work in a thread with a connection of its own, started together; what each gave, or its error."""
    gate = threading.Barrier(len(works))
    answers: list[object] = [None] * len(works)

    def run(at: int) -> None:
        own = Ledger(redis.Redis.from_url(url), ledger.settings, PROGRAM)
        own.redis.ping()
        gate.wait(10)
        try:
            answers[at] = works[at](own)
        except IngestboardError as error:
            answers[at] = error
        finally:
            own.close()

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return answers


def test_of_two_who_cancel_at_once_one_is_told_that_it_was_done(real_ledger: Ledger, redis_url: str) -> None:
    for _ in range(20):
        job_id = submitted(real_ledger)
        answers = at_once(
            redis_url,
            real_ledger,
            partial_of(control.cancel, job_id, by="ana"),
            partial_of(control.cancel, job_id, by="bo"),
        )
        refused = [one for one in answers if isinstance(one, ActionRefused)]
        assert len(refused) == 1
        assert str(refused[0]).startswith(f"Job {job_id} is canceled; only a job that is")
        assert sum("asked to cancel" in event.text for event in monitor.events(real_ledger, job_id)) == 1


def test_of_two_who_retry_at_once_one_makes_an_attempt(real_ledger: Ledger, redis_url: str) -> None:
    for _ in range(20):
        job_id = submitted(real_ledger, 3)
        control.cancel(real_ledger, job_id, by="ana")
        answers = at_once(redis_url, real_ledger, *[partial_of(control.retry, job_id, by="bo")] * 3)
        assert sum(isinstance(one, ActionRefused) for one in answers) == 2
        assert monitor.job(real_ledger, job_id).attempt == 2
        assert len(set(waiting(real_ledger, "default"))) == len(waiting(real_ledger, "default")) == 3
        control.cancel(real_ledger, job_id, by="ana")


def test_whoever_moves_a_job_at_once_loses_and_doubles_nothing(real_ledger: Ledger, redis_url: str) -> None:
    for _ in range(10):
        job_id = submitted(real_ledger, 6)
        at_once(
            redis_url,
            real_ledger,
            *[
                partial_of(control.reprioritise, job_id, priority, by="bo")
                for priority in ("high", "low", "default", "high")
            ],
        )
        row = monitor.job(real_ledger, job_id)
        there = {priority: waiting(real_ledger, priority) for priority in ("high", "default", "low")}
        held = int(real_ledger.redis.hget(keys.job(job_id), "next_shard") or 0)
        assert sorted([one for some in there.values() for one in some]) == sorted(
            rq_id_of(real_ledger, job_id, str(at)) for at in range(held)
        )
        assert len(there[row.priority]) == held
        control.cancel(real_ledger, job_id, by="ana")
        assert [one for some in there.values() for one in some]
        assert not queues.waiting_ids(real_ledger)


def test_a_delete_and_a_retry_at_once_leave_a_job_or_none(real_ledger: Ledger, redis_url: str) -> None:
    for _ in range(10):
        job_id = submitted(real_ledger)
        control.cancel(real_ledger, job_id, by="ana")
        answers = at_once(
            redis_url,
            real_ledger,
            partial_of(control.delete, job_id, by="ana"),
            partial_of(control.retry, job_id, by="bo"),
        )
        assert sum(isinstance(one, IngestboardError) for one in answers) == 1
        left = real_ledger.redis.exists(keys.job(job_id))
        assert left == isinstance(answers[0], IngestboardError)


# --- many submissions ----------------------------------------------------------------------------------


def test_many_submissions_are_many_jobs_in_order(ledger: Ledger) -> None:
    asked = [
        control.Submission("c", new_documents(1 + at % 3), "ana", Recipe(), title=f"job {at}", token=f"t{at % 60}")
        for at in range(120)
    ]
    receipts = control.submit_many(ledger, asked)
    assert [one.job for one in receipts[:60]] == [one.job for one in receipts[60:]], "a token submits once"
    assert monitor.page(ledger)[1] == 60
    for at, receipt in enumerate(receipts[:60]):
        row = monitor.job(ledger, receipt.job)
        assert (row.title, row.documents_total, row.state) == (f"job {at}", 1 + at % 3, State.QUEUED)
        assert [event.text for event in monitor.events(ledger, row.id)] == [
            f"Submitted by ana: {row.documents_total} document{'s' if at % 3 else ''} for c."
        ]
    assert len(queues.waiting_ids(ledger)) == sum(1 + at % 3 for at in range(60))
    assert len(claimed(ledger, receipts[59].job, "2").documents) == 1


def test_one_submission_that_is_refused_keeps_all_from_being_made(ledger: Ledger) -> None:
    good = control.Submission("c", new_documents(1), "ana", Recipe())
    with pytest.raises(SubmissionRefused):
        control.submit_many(ledger, [good, control.Submission("c", [], "ana", Recipe())])
    assert monitor.page(ledger)[1] == 0


def test_a_job_of_one_waits_behind_a_window_of_a_job_of_ten_thousand(ledger: Ledger) -> None:
    submitted(ledger, documents=new_documents(10_000))
    small = submitted(ledger)
    assert waiting(ledger, "default").index(rq_id_of(ledger, small, "0")) == 4
