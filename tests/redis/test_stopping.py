"""Stops, and the receipts that confirm them; on fakeredis and on a real server alike."""

from __future__ import annotations

import pytest

from tasks.errors import Canceled
from tasks.ledger import Ledger, State, control, keys, monitor, store
from tasks.ledger.states import DocumentState
from tests.factories import claimed, finish_documents, run_to_publish, submitted


def test_the_receipt_of_a_queued_job_is_confirmed_at_once(ledger: Ledger) -> None:
    job_id = submitted(ledger, 2)
    receipt = control.cancel(ledger, job_id, by="bo")
    assert receipt.confirmed
    assert (receipt.how, receipt.state) == ("before it started", State.CANCELED)
    assert receipt.asked_at == receipt.stopped_at
    assert receipt.kept == "Nothing was published and no document was finished; the submitted files are kept."
    assert receipt.resume == "A retry finds 0 documents ready and has 2 to do; how long that takes is not known yet."


def test_the_receipt_of_a_running_job_is_confirmed_after_its_checkpoint(ledger: Ledger) -> None:
    job_id = submitted(ledger, 3)
    done = claimed(ledger, job_id, "0")
    finish_documents(ledger, done)
    store.settle(ledger, job_id, "0", done.attempt, "done")
    running = claimed(ledger, job_id, "1")
    asked = control.cancel(ledger, job_id, by="bo")
    assert not asked.confirmed
    assert (asked.how, asked.kept, asked.resume) == ("", "", "")
    waiting = monitor.receipt(ledger, job_id)
    assert waiting is not None
    assert "has not stopped yet" in waiting.sentence
    reporter = store.Reporter(ledger, running)
    with pytest.raises(Canceled):
        reporter.check(now=True)
    store.settle(ledger, job_id, "1", running.attempt, "canceled", how="at a checkpoint")
    receipt = monitor.receipt(ledger, job_id)
    assert receipt is not None
    assert receipt.confirmed
    assert receipt.how == "at a checkpoint"
    assert receipt.sentence.startswith(f"Job {job_id} was canceled at a checkpoint, 0.")
    assert "1 finished document is kept" in receipt.kept
    assert receipt.resume.startswith("A retry finds 1 document ready and has 2 to do")


def test_what_a_resume_would_cost_comes_from_what_documents_took_here(ledger: Ledger) -> None:
    learned = submitted(ledger, 4)
    claim = claimed(ledger, learned, "0")
    for shard in range(4):
        claim = claim if shard == 0 else claimed(ledger, learned, str(shard))
        reporter = store.Reporter(ledger, claim)
        for row in claim.documents:
            reporter.document(row.number, DocumentState.COMPLETED, chunks=3, seconds=2.0)
        reporter.check(now=True)
        store.settle(ledger, learned, str(shard), claim.attempt, "done")
    job_id = submitted(ledger, 6)
    receipt = control.cancel(ledger, job_id, by="bo")
    assert receipt.resume == (
        "A retry finds 0 documents ready and has 6 to do, about 12 s of one worker's time; no worker is alive now."
    )
    ledger.redis.zadd(keys.WORKERS, {"w1": ledger.now(), "w2": ledger.now()})
    receipt = monitor.receipt(ledger, job_id) or receipt
    assert receipt.resume.endswith("has 6 to do, about 6.0 s with the 2 workers alive now.")


def test_a_stop_that_comes_after_the_publish_says_what_stays(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claim = run_to_publish(ledger, job_id)
    assert claim is not None
    store.Reporter(ledger, claim).check(now=True, commit=True)
    control.cancel(ledger, job_id, by="bo", force=True)
    store.close(ledger, job_id, claim.attempt, snapshot="000004")
    receipt = monitor.receipt(ledger, job_id)
    assert receipt is not None
    assert receipt.state is State.COMPLETED
    assert "too late" in receipt.how
    assert "Snapshot 000004 of contracts stays" in receipt.kept
    assert receipt.resume == ""


def test_a_job_that_nobody_asked_to_stop_has_no_receipt(ledger: Ledger) -> None:
    assert monitor.receipt(ledger, submitted(ledger)) is None


def test_a_retry_forgets_the_stop_before(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    control.cancel(ledger, job_id, by="bo")
    control.retry(ledger, job_id, by="bo")
    assert monitor.receipt(ledger, job_id) is None


# --- time limits ---------------------------------------------------------------------------------------


def late(ledger: Ledger, job_id: str) -> None:
    """As if the job had started an hour ago."""
    ledger.redis.hset(keys.job(job_id), "started_at", ledger.now() - 3600)
    ledger.redis.zadd(keys.LIMITED, {job_id: ledger.now() - 3000}, xx=True)


def test_a_job_past_its_limit_fails_at_its_next_checkpoint(ledger: Ledger) -> None:
    job_id = submitted(ledger, 2, time_limit_s=600)
    claim = claimed(ledger, job_id)
    reporter = store.Reporter(ledger, claim)
    reporter.check(now=True)
    late(ledger, job_id)
    with pytest.raises(Canceled):
        reporter.check(now=True)
    assert monitor.job(ledger, job_id).state is State.CANCELING
    store.settle(ledger, job_id, "0", claim.attempt, "canceled", how="at a checkpoint")
    row = monitor.job(ledger, job_id)
    assert row.state is State.FAILED
    assert row.error.startswith("It ran longer than its time limit of 600 s")
    receipt = monitor.receipt(ledger, job_id)
    assert receipt is not None
    assert receipt.sentence.startswith(f"Job {job_id} failed; it was stopped at a checkpoint")
    assert control.retry(ledger, job_id, by="bo").state is State.QUEUED
    assert monitor.job(ledger, job_id).error == ""


def test_a_work_horse_that_reports_nothing_is_past_its_limit_all_the_same(ledger: Ledger) -> None:
    job_id = submitted(ledger, time_limit_s=600)
    claim = claimed(ledger, job_id)
    late(ledger, job_id)
    rq_id = store.delivery_of(ledger, job_id, "0")
    assert store.extend_lease(ledger, job_id, "0", rq_id)
    assert monitor.job(ledger, job_id).state is State.CANCELING
    assert ledger.redis.exists(keys.cancel(job_id)), "so its parent kills it after the grace"
    store.settle(ledger, job_id, "0", claim.attempt, "canceled", how="by killing its work horse")
    assert monitor.job(ledger, job_id).state is State.FAILED


def test_a_part_that_is_taken_up_too_late_ends_the_job(ledger: Ledger) -> None:
    job_id = submitted(ledger, time_limit_s=600)
    claim = claimed(ledger, job_id)
    store.settle(ledger, job_id, "0", claim.attempt, "released")
    late(ledger, job_id)
    rq_id = store.delivery_of(ledger, job_id, "0")
    assert store.claim(ledger, job_id, "0", rq_id, "w2") is None
    assert monitor.job(ledger, job_id).state is State.FAILED


def test_a_job_that_nobody_has_in_hand_is_ended_by_the_janitor(ledger: Ledger) -> None:
    job_id = submitted(ledger, time_limit_s=600)
    claim = claimed(ledger, job_id)
    store.settle(ledger, job_id, "0", claim.attempt, "released")
    assert ledger.transition("expire", job_id, extra=(keys.LIMITED,)) == ["later"]
    late(ledger, job_id)
    assert ledger.transition("expire", job_id, extra=(keys.LIMITED,)) == ["ok", "failed"]
    assert ledger.redis.zscore(keys.LIMITED, job_id) is None
    assert ledger.transition("expire", job_id, extra=(keys.LIMITED,)) == ["none"]


def test_the_limit_does_not_stop_a_publish_that_has_begun_to_commit(ledger: Ledger) -> None:
    job_id = submitted(ledger, time_limit_s=600)
    claim = run_to_publish(ledger, job_id)
    assert claim is not None
    reporter = store.Reporter(ledger, claim)
    reporter.check(now=True, commit=True)
    late(ledger, job_id)
    reporter.check(now=True)
    assert store.close(ledger, job_id, claim.attempt, snapshot="000001") == "completed"


def test_a_person_who_stops_a_job_past_its_limit_has_canceled_it(ledger: Ledger) -> None:
    job_id = submitted(ledger, time_limit_s=600)
    claim = claimed(ledger, job_id)
    late(ledger, job_id)
    store.extend_lease(ledger, job_id, "0", store.delivery_of(ledger, job_id, "0"))
    control.cancel(ledger, job_id, by="bo", force=True)
    store.settle(ledger, job_id, "0", claim.attempt, "canceled", how="by killing its work horse")
    assert monitor.job(ledger, job_id).state is State.CANCELED


@pytest.mark.parametrize("limit", [-1.0, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(ledger: Ledger, limit: float) -> None:
    with pytest.raises(Exception, match="a time limit of a job is a number of seconds"):
        submitted(ledger, time_limit_s=limit)
    with pytest.raises(Exception, match="a time limit of a document is a number of seconds"):
        submitted(ledger, document_limit_s=limit)


# --- progress and leases -------------------------------------------------------------------------------


def test_progress_is_noted_when_work_moves_and_not_when_a_worker_only_reports(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    reporter = store.Reporter(ledger, claimed(ledger, job_id))
    reporter.stage("load", "Reading")
    reporter.check(now=True)
    first = monitor.job(ledger, job_id)
    reporter.check(now=True)
    second = monitor.job(ledger, job_id)
    assert second.progressed_at == first.progressed_at
    assert second.last_updated is not None
    assert first.last_updated is not None
    assert second.last_updated > first.last_updated
    reporter.progress(0.5)
    reporter.check(now=True)
    moved = monitor.job(ledger, job_id).progressed_at
    assert moved is not None
    assert first.progressed_at is not None
    assert moved > first.progressed_at


def test_a_parent_that_wakes_up_late_cannot_hold_what_another_has(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claim = claimed(ledger, job_id)
    old = store.delivery_of(ledger, job_id, "0")
    store.settle(ledger, job_id, "0", claim.attempt, "lost", how="it stopped reporting")
    assert not store.extend_lease(ledger, job_id, "0", old)
    assert ledger.redis.zcard(keys.LEASES) == 0
    claimed(ledger, job_id, worker="w2")
    ledger.redis.zadd(keys.LEASES, {f"{job_id}:0": 1.0})
    assert not store.extend_lease(ledger, job_id, "0", old)
    assert ledger.redis.zscore(keys.LEASES, f"{job_id}:0") == 1.0
    assert store.extend_lease(ledger, job_id, "0", store.delivery_of(ledger, job_id, "0"))
