"""A job's life in the ledger, on fakeredis and on a real server alike."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.errors import (
    ActionRefused,
    Canceled,
    CollectionNameRefused,
    Fenced,
    JobNotFound,
    SubmissionRefused,
    TooLateToCancel,
)
from tasks.ledger import Ledger, State, control, keys, monitor, queues, store
from tasks.ledger.changes import Reader
from tasks.ledger.news import Cursor
from tasks.ledger.records import text
from tasks.ledger.states import DocumentState
from tasks.recipe import Recipe
from tests.factories import claimed, finish_documents, new_documents, rq_id_of, run_to_publish, submitted


def test_a_submitted_job_is_queued_and_handed_to_rq(ledger: Ledger) -> None:
    job_id = submitted(ledger, 3)
    job = monitor.job(ledger, job_id)
    assert (job.state, job.documents_total, job.total_steps, job.attempt) == (State.QUEUED, 3, 4, 1)
    assert job.title == "paper-0.txt and 2 more"
    assert queues.waiting_ids(ledger) == {rq_id_of(ledger, job_id, str(at)) for at in range(3)}
    assert [event.text for event in monitor.events(ledger, job_id)] == ["Submitted by ana: 3 documents for contracts."]


def test_the_same_form_submits_once(ledger: Ledger) -> None:
    first = control.submit(ledger, collection="c", documents=new_documents(1), owner="a", recipe=Recipe(), token="t1")
    second = control.submit(ledger, collection="c", documents=new_documents(1), owner="a", recipe=Recipe(), token="t1")
    assert second.job == first.job
    assert monitor.page(ledger)[1] == 1


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 65, "ä", "a\x00b"])
def test_a_collection_name_that_is_no_folder_name_is_refused(ledger: Ledger, name: str) -> None:
    with pytest.raises(CollectionNameRefused):
        submitted(ledger, collection=name)
    assert monitor.page(ledger)[1] == 0


def test_a_submission_without_documents_is_refused(ledger: Ledger) -> None:
    with pytest.raises(SubmissionRefused, match="no documents"):
        submitted(ledger, 0)


def test_two_files_of_one_name_stay_two_documents(ledger: Ledger) -> None:
    job_id = submitted(ledger, documents=new_documents(1) * 3)
    assert [row.name for row in monitor.documents(ledger, job_id)] == [
        "paper-0.txt",
        "paper-0 (2).txt",
        "paper-0 (3).txt",
    ]


def test_a_job_runs_and_completes(ledger: Ledger) -> None:
    job_id = submitted(ledger, 20)
    claim = run_to_publish(ledger, job_id)
    assert claim is not None
    job = monitor.job(ledger, job_id)
    assert (job.state, job.documents_done, job.chunks, job.current_step) == (State.RUNNING, 20, 60, 20)
    assert store.close(ledger, job_id, claim.attempt, snapshot="000001") == "completed"
    job = monitor.job(ledger, job_id)
    assert (job.state, job.percent, job.snapshot, job.current_step) == (State.COMPLETED, 100.0, "000001", 21)
    assert job.ended_at is not None
    assert monitor.figures(ledger).done_today == 1


def test_a_failed_document_makes_the_job_partial_with_its_reason(ledger: Ledger) -> None:
    job_id = submitted(ledger, 3)
    claim = run_to_publish(ledger, job_id, failing=[1])
    assert claim is not None
    assert store.close(ledger, job_id, claim.attempt, snapshot="000001") == "partial"
    rows = monitor.documents(ledger, job_id)
    assert [(row.state, row.error) for row in rows][1] == (DocumentState.FAILED, "It is damaged.")
    assert "1 of 3 documents failed" in monitor.job(ledger, job_id).error


def test_a_job_whose_documents_all_failed_is_failed_and_publishes_nothing(ledger: Ledger) -> None:
    job_id = submitted(ledger, 2)
    assert run_to_publish(ledger, job_id, failing=[0, 1]) is None
    job = monitor.job(ledger, job_id)
    assert job.state is State.FAILED
    assert "Every document failed" in job.error


def test_only_a_window_of_a_big_job_waits_in_rq(ledger: Ledger) -> None:
    job_id = submitted(ledger, 320)
    assert len(queues.waiting_ids(ledger)) == 4
    claim = claimed(ledger, job_id)
    finish_documents(ledger, claim)
    delivery = store.settle(ledger, job_id, "0", claim.attempt, "done")
    assert delivery is not None
    assert delivery.shard == "4"


def test_a_delivery_is_claimed_once(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    rq_id = rq_id_of(ledger, job_id, "0")
    assert store.claim(ledger, job_id, "0", rq_id, "w1") is not None
    assert store.claim(ledger, job_id, "0", rq_id, "w2") is None


def test_a_queued_job_is_canceled_at_once_and_leaves_the_queue(ledger: Ledger) -> None:
    job_id = submitted(ledger, 5)
    receipt = control.cancel(ledger, job_id, by="bo")
    assert receipt.state is State.CANCELED
    assert queues.waiting_ids(ledger) == set()
    stop = monitor.job(ledger, job_id).stop
    assert stop is not None
    assert (stop.asked_by, stop.how) == ("bo", "before it started")
    assert {row.state for row in monitor.documents(ledger, job_id)} == {DocumentState.CANCELED}


def test_a_running_job_stops_at_its_next_checkpoint(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claim = claimed(ledger, job_id)
    assert control.cancel(ledger, job_id, by="bo").state is State.CANCELING
    with pytest.raises(Canceled):
        store.Reporter(ledger, claim).check()
    store.settle(ledger, job_id, "0", claim.attempt, "canceled", how="at a checkpoint")
    job = monitor.job(ledger, job_id)
    assert job.state is State.CANCELED
    assert job.stop is not None
    assert job.stop.how == "at a checkpoint"
    assert job.stop.took_s is not None


def test_a_job_with_two_shards_at_work_is_canceled_when_both_have_stopped(ledger: Ledger) -> None:
    job_id = submitted(ledger, 2)
    first, second = claimed(ledger, job_id, "0"), claimed(ledger, job_id, "1", "w2")
    control.cancel(ledger, job_id, by="bo")
    store.settle(ledger, job_id, "0", first.attempt, "canceled", how="at a checkpoint")
    assert monitor.job(ledger, job_id).state is State.CANCELING
    store.settle(ledger, job_id, "1", second.attempt, "canceled", how="at a checkpoint")
    assert monitor.job(ledger, job_id).state is State.CANCELED


def test_a_shard_of_a_canceled_job_cannot_be_claimed(ledger: Ledger) -> None:
    job_id = submitted(ledger, 2)
    claimed(ledger, job_id, "0")
    rq_id = rq_id_of(ledger, job_id, "1")
    control.cancel(ledger, job_id, by="bo")
    assert store.claim(ledger, job_id, "1", rq_id, "w2") is None


def test_after_the_commit_point_a_cancel_comes_too_late(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claim = run_to_publish(ledger, job_id)
    assert claim is not None
    store.Reporter(ledger, claim).check(commit=True)
    with pytest.raises(TooLateToCancel):
        control.cancel(ledger, job_id, by="bo")
    assert store.close(ledger, job_id, claim.attempt, snapshot="000001") == "completed"


def test_cancelling_a_finished_job_is_refused_with_a_sentence(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    control.cancel(ledger, job_id, by="bo")
    with pytest.raises(ActionRefused, match=f"Job {job_id} is canceled; only a job that is queued"):
        control.cancel(ledger, job_id, by="bo")


def test_a_job_that_is_not_there_is_said_so(ledger: Ledger) -> None:
    with pytest.raises(JobNotFound):
        control.cancel(ledger, "nothing", by="bo")


def test_a_lost_worker_is_tried_again_and_the_old_one_can_write_nothing(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    zombie = claimed(ledger, job_id)
    delivery = store.settle(ledger, job_id, "0", zombie.attempt, "lost", how="it was killed")
    assert delivery is not None
    assert monitor.job(ledger, job_id).state is State.RETRYING
    fresh = claimed(ledger, job_id, worker="w2")
    assert fresh.attempt == zombie.attempt + 1
    with pytest.raises(Fenced):
        finish_documents(ledger, zombie)
    with pytest.raises(Fenced):
        store.settle(ledger, job_id, "0", zombie.attempt, "done")
    finish_documents(ledger, fresh)
    assert monitor.job(ledger, job_id).documents_done == 1


def test_the_document_that_kills_its_worker_fails_alone(ledger: Ledger) -> None:
    job_id = submitted(ledger, documents=new_documents(16))
    for _ in range(ledger.settings.shard_tries):
        claim = claimed(ledger, job_id, "0")
        killer = claim.documents[0].number
        store.settle(ledger, job_id, "0", claim.attempt, "lost", how="it was killed", document=killer)
    rows = monitor.documents(ledger, job_id)
    assert rows[killer].state is DocumentState.FAILED
    assert all(row.state is DocumentState.QUEUED for row in rows if row.number != killer)


def test_the_document_that_is_overdue_fails_alone_and_is_not_tried_again(ledger: Ledger) -> None:
    job_id = submitted(ledger, documents=new_documents(16))
    claim = claimed(ledger, job_id, "0")
    slow = claim.documents[1].number
    reporter = store.Reporter(ledger, claim)
    reporter.document(claim.documents[0].number, DocumentState.COMPLETED, chunks=1)
    reporter.document(slow, DocumentState.RUNNING)
    reporter.check(now=True)
    delivery = store.settle(ledger, job_id, "0", claim.fence, "overdue", how="It took too long.", document=slow)
    assert delivery is not None
    row = monitor.job(ledger, job_id)
    assert (row.state, row.attempt, row.documents_done, row.documents_failed) == (State.RETRYING, 1, 1, 1)
    assert monitor.documents(ledger, job_id)[slow].error == "It took too long."
    again = store.claim(ledger, job_id, "0", delivery.rq_id, "w2")
    assert again is not None
    assert [one.number for one in again.documents] == [one.number for one in claim.documents[2:]]
    with pytest.raises(Fenced):
        store.settle(ledger, job_id, "0", claim.fence, "done")


def test_a_shard_that_loses_every_worker_fails_its_documents_in_the_end(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    for _ in range(ledger.settings.shard_tries):
        claim = claimed(ledger, job_id)
        store.settle(ledger, job_id, "0", claim.attempt, "lost", how="it was killed")
    assert monitor.job(ledger, job_id).state is State.FAILED


def test_work_that_is_handed_back_counts_as_no_try(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claim = claimed(ledger, job_id)
    delivery = store.settle(ledger, job_id, "0", claim.attempt, "released")
    assert delivery is not None
    assert store.claim(ledger, job_id, "0", delivery.rq_id, "w2") is not None
    assert monitor.job(ledger, job_id).attempt == 1


def test_a_shard_that_yields_goes_to_the_back_of_its_queue_and_the_job_stays_running(ledger: Ledger) -> None:
    big = submitted(ledger, documents=new_documents(16))
    claim = claimed(ledger, big)
    reporter = store.Reporter(ledger, claim)
    reporter.document(claim.documents[0].number, DocumentState.COMPLETED, chunks=1)
    reporter.check(now=True)
    assert reporter.waiting == 0
    small = submitted(ledger)
    reporter.check(now=True)
    assert reporter.waiting == 1
    delivery = store.settle(ledger, big, "0", claim.attempt, "yielded")
    assert delivery is not None
    queues.deliver(ledger, [delivery], "default")
    waiting = [text(rq_id) for rq_id in ledger.redis.lrange(keys.rq_queue("default"), 0, -1)]
    assert waiting.index(rq_id_of(ledger, small, "0")) < waiting.index(delivery.rq_id)
    assert monitor.job(ledger, big).state is State.RUNNING
    again = store.claim(ledger, big, "0", delivery.rq_id, "w2")
    assert again is not None
    assert len(again.documents) == len(claim.documents) - 1


def test_failed_documents_are_retried_as_a_new_attempt(ledger: Ledger) -> None:
    job_id = submitted(ledger, 3)
    claim = run_to_publish(ledger, job_id, failing=[1])
    assert claim is not None
    store.close(ledger, job_id, claim.attempt, snapshot="000001")
    control.retry(ledger, job_id, by="bo")
    job = monitor.job(ledger, job_id)
    assert (job.state, job.attempt, job.documents_done, job.documents_failed) == (State.QUEUED, 2, 2, 0)
    claim = run_to_publish(ledger, job_id)
    assert claim is not None
    assert store.close(ledger, job_id, claim.attempt, snapshot="000002") == "completed"
    assert monitor.job(ledger, job_id).documents_done == 3


def test_a_completed_job_has_no_failures_to_retry_but_can_run_again_whole(ledger: Ledger) -> None:
    job_id = submitted(ledger, 2)
    claim = run_to_publish(ledger, job_id)
    assert claim is not None
    store.close(ledger, job_id, claim.attempt, snapshot="000001")
    with pytest.raises(ActionRefused):
        control.retry(ledger, job_id, by="bo")
    control.retry(ledger, job_id, by="bo", failed_only=False)
    assert monitor.job(ledger, job_id).documents_done == 0


def test_a_canceled_job_is_retried_where_it_stopped(ledger: Ledger) -> None:
    job_id = submitted(ledger, 2)
    claim = claimed(ledger, job_id)
    finish_documents(ledger, claim)
    control.cancel(ledger, job_id, by="bo")
    store.settle(ledger, job_id, "0", claim.attempt, "done")
    assert monitor.job(ledger, job_id).state is State.CANCELED
    control.retry(ledger, job_id, by="bo")
    job = monitor.job(ledger, job_id)
    assert (job.state, job.documents_done, job.stop) == (State.QUEUED, 1, None)


def test_a_deleted_job_is_gone_and_readers_hear_of_it(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    control.cancel(ledger, job_id, by="bo")
    reader = Reader(ledger)
    revision = reader.start(Cursor(), 10)[0].revision
    before = Cursor(changes=revision, removed=revision)
    control.delete(ledger, job_id, by="bo")
    with pytest.raises(JobNotFound):
        monitor.job(ledger, job_id)
    assert list(reader.tick(before, {job_id}, 1, beat=False).removed) == [job_id]
    assert ledger.redis.keys(f"ib:job:{job_id}*") == []


def test_percent_never_falls_within_an_attempt(ledger: Ledger) -> None:
    job_id = submitted(ledger, 2)
    claim = claimed(ledger, job_id)
    reporter = store.Reporter(ledger, claim)
    reporter.progress(0.9)
    reporter.check(now=True)
    high = monitor.job(ledger, job_id).percent
    store.settle(ledger, job_id, "0", claim.attempt, "lost", how="it was killed")
    fresh = claimed(ledger, job_id, worker="w2")
    reporter = store.Reporter(ledger, fresh)
    reporter.progress(0.1)
    reporter.check(now=True)
    assert monitor.job(ledger, job_id).percent == high == 30.0


def test_the_event_log_keeps_its_last_five_hundred_lines(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    reporter = store.Reporter(ledger, claimed(ledger, job_id))
    for at in range(600):
        reporter.event(f"line {at}")
    reporter.check(now=True)
    events = monitor.events(ledger, job_id)
    assert len(events) == 500
    assert events[-1].text == "line 599"


def test_each_action_leaves_an_audit_row_also_when_refused(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    control.cancel(ledger, job_id, by="bo")
    with pytest.raises(ActionRefused):
        control.cancel(ledger, job_id, by="cy")
    stream: Any = ledger.redis.xrange(keys.AUDIT)
    rows = [fields for _, fields in stream]
    assert [(row[b"action"], row[b"by"]) for row in rows] == [
        (b"submit", b"ana"),
        (b"cancel", b"bo"),
        (b"cancel", b"cy"),
    ]


def test_a_garbled_job_is_shown_as_damaged_and_hides_no_other(ledger: Ledger) -> None:
    job_id, other = submitted(ledger), submitted(ledger)
    ledger.redis.hset(
        keys.job(job_id), mapping={"state": "nonsense", "percent": "nan", "created_at": "x", "title": b"\xff"}
    )
    ledger.redis.hset(keys.documents(job_id), "0", "{not json")
    rows = {row.id: row for row in monitor.page(ledger)[0]}
    assert rows[job_id].error == "The record of this job is damaged."
    assert rows[other].state is State.QUEUED
    assert monitor.documents(ledger, job_id)[0].error == "The record of this document is damaged."


def test_stages_add_up_what_workers_spent_in_them(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    reporter = store.Reporter(ledger, claimed(ledger, job_id))
    reporter.stage("load", "Reading")
    reporter.check(now=True)
    reporter.stage("embed", "Embedding")
    reporter.check(now=True)
    assert [row.stage for row in monitor.stages(ledger, job_id)] == ["load", "embed"]
    assert monitor.job(ledger, job_id).stage == "embed"


def test_counts_always_equal_the_jobs_in_each_state(ledger: Ledger) -> None:
    submitted(ledger)
    control.cancel(ledger, submitted(ledger), by="bo")
    run_to_publish(ledger, submitted(ledger), failing=[0])
    claimed(ledger, submitted(ledger))
    counted = ledger.redis.hgetall(keys.COUNTS)
    counts = {text(name): int(count) for name, count in counted.items() if int(count)}
    assert counts == {"queued": 1, "canceled": 1, "failed": 1, "running": 1}
