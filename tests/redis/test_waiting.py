"""Why a job does not run: each reason, told in at most three round trips, on both kinds of server."""

from __future__ import annotations

import json

import pytest

from tasks.errors import JobNotFound
from tasks.ledger import Ledger, control, keys, locks, queues, store, waiting
from tasks.ledger.waiting import Cause, Why
from tests.factories import claimed, rq_id_of, run_to_publish, submitted
from tests.round_trips import counting


def appear(ledger: Ledger, *names: str, listening: tuple[str, ...] = ("high", "default", "low")) -> None:
    """Workers that report and listen."""
    for name in names:
        ledger.redis.zadd(keys.WORKERS, {name: ledger.now()})
        for queue in listening:
            ledger.redis.sadd(keys.rq_listeners(queue), keys.rq_worker(name))


def measured(ledger: Ledger, *, seconds_a_document: float) -> None:
    ledger.redis.hset(keys.RATES, mapping={"txt:documents": 10, "txt:seconds": 10 * seconds_a_document})


def why(ledger: Ledger, job_id: str) -> Why:
    with counting(ledger) as trips:
        found = waiting.why(ledger, job_id)
    assert trips.count <= 3
    return found


def test_a_job_that_there_is_not_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(JobNotFound):
        waiting.why(ledger, "nope")


def test_a_final_job_waits_for_nothing(ledger: Ledger) -> None:
    job = submitted(ledger)
    control.cancel(ledger, job, by="ana")
    assert why(ledger, job) == Why("It is canceled; nothing of it waits.", cause=Cause.ENDED)


def test_a_running_job_says_where_it_runs(ledger: Ledger) -> None:
    job = submitted(ledger)
    claimed(ledger, job, worker="w1@here")
    found = why(ledger, job)
    assert found.cause is Cause.RUNNING
    assert found.reason == "It runs on w1@here."


def test_a_job_that_is_being_stopped_says_so(ledger: Ledger) -> None:
    job = submitted(ledger)
    claimed(ledger, job)
    control.cancel(ledger, job, by="ana")
    assert why(ledger, job).cause is Cause.STOPPING


def test_without_any_worker_it_says_how_to_start_one(ledger: Ledger) -> None:
    found = why(ledger, submitted(ledger))
    assert found.cause is Cause.NO_WORKER
    assert "ingestboard worker" in found.reason
    assert (found.position, found.ahead, found.starts_in_s) == (1, 0, None)


def test_a_pool_that_was_scaled_to_none_is_told_apart_from_no_pool(ledger: Ledger) -> None:
    job = submitted(ledger)
    ledger.redis.zadd(keys.POOLS, {"host-7-4711": ledger.now()})
    found = why(ledger, job)
    assert found.cause is Cause.NO_WORKER
    assert "a pool is on host-7: it was scaled to none" in found.reason
    ledger.redis.zadd(keys.POOLS, {"host-7-4711": ledger.now() - 60})
    assert "ingestboard worker" in why(ledger, job).reason


def test_a_worker_that_fell_silent_is_no_worker(ledger: Ledger) -> None:
    job = submitted(ledger)
    appear(ledger, "w1")
    ledger.redis.zadd(keys.WORKERS, {"w1": ledger.now() - 60})
    assert why(ledger, job).cause is Cause.NO_WORKER


def test_a_paused_queue_is_told_with_the_name_of_who_paused_it(ledger: Ledger) -> None:
    job = submitted(ledger, priority="low")
    appear(ledger, "w1")
    ledger.redis.hset(keys.PAUSED, "low", json.dumps({"by": "ben", "at": ledger.now()}))
    found = why(ledger, job)
    assert found.cause is Cause.PAUSED
    assert "The queue low is paused by ben since 2" in found.reason
    assert found.starts_in_s is None


def test_another_queue_that_is_paused_is_not_told(ledger: Ledger) -> None:
    job = submitted(ledger, priority="high")
    appear(ledger, "w1")
    ledger.redis.hset(keys.PAUSED, "low", json.dumps({"by": "ben", "at": ledger.now()}))
    assert why(ledger, job).cause is Cause.QUEUE


@pytest.mark.parametrize("mark", [keys.DRAINED, keys.WRITTEN_OFF])
def test_when_all_workers_are_drained_it_says_so(ledger: Ledger, mark: str) -> None:
    job = submitted(ledger)
    appear(ledger, "w1", "w2")
    for name in ("w1", "w2"):
        ledger.redis.hset(mark, name, json.dumps({"by": "ben", "at": 1}))
    found = why(ledger, job)
    assert found.cause is Cause.DRAINED
    assert found.reason.startswith("All 2 workers are alive and drained")


def test_a_queue_that_nobody_listens_to_is_told(ledger: Ledger) -> None:
    job = submitted(ledger, priority="low")
    appear(ledger, "w1", listening=("high",))
    found = why(ledger, job)
    assert found.cause is Cause.NO_LISTENER
    assert "queue low" in found.reason


def test_rq_suspended_is_told(ledger: Ledger) -> None:
    job = submitted(ledger)
    appear(ledger, "w1")
    ledger.redis.set(keys.RQ_SUSPENDED, 1)
    assert why(ledger, job).cause is Cause.SUSPENDED


def test_a_job_that_is_next_with_a_free_worker_starts_at_once(ledger: Ledger) -> None:
    job = submitted(ledger)
    appear(ledger, "w1")
    found = why(ledger, job)
    assert found.reason == "It is next in the queue default, and a worker takes it in a moment."
    assert (found.position, found.ahead, found.starts_in_s) == (1, 0, 0.0)


def test_the_place_in_the_queue_counts_more_urgent_queues_too(ledger: Ledger) -> None:
    appear(ledger, "w1")
    for _ in range(3):
        submitted(ledger)
    job = submitted(ledger)
    submitted(ledger)
    submitted(ledger, priority="high")
    found = why(ledger, job)
    assert (found.position, found.ahead) == (4, 4)
    assert found.reason.startswith("It waits for 3 in the queue default and 1 in more urgent queues; 1 worker works")
    assert found.starts_in_s is None, "nothing was measured yet"


def test_the_start_is_estimated_from_the_work_ahead_over_the_workers(ledger: Ledger) -> None:
    appear(ledger, "w1", "w2")
    measured(ledger, seconds_a_document=6.0)
    for _ in range(4):
        submitted(ledger)
    job = submitted(ledger)
    found = why(ledger, job)
    assert found.starts_in_s == pytest.approx(4 * 6.0 / 2)
    other = submitted(ledger, priority="high")
    queues.withdraw(ledger, [rq_id_of(ledger, other, "0")], "high")
    claimed(ledger, other)
    assert why(ledger, job).starts_in_s == pytest.approx((4 * 6.0 + 6.0 / 2) / 2), "what runs is half done"


def test_a_retry_says_when_it_is_due(ledger: Ledger) -> None:
    job = submitted(ledger)
    claim = claimed(ledger, job)
    assert store.settle(ledger, job, "0", claim.attempt, "lost", how="it was killed", delay_s=30) is None
    found = why(ledger, job)
    assert found.cause is Cause.RETRY
    assert found.starts_in_s == pytest.approx(30, abs=2)
    assert "as attempt 2" in found.reason


def test_a_publish_that_waits_says_who_holds_the_lock(ledger: Ledger) -> None:
    job = submitted(ledger)
    claim = run_to_publish(ledger, job)
    assert claim is not None
    reporter = store.Reporter(ledger, claim)
    reporter.stage("publish", "Waiting for the publish lock of contracts")
    reporter.check(now=True)
    assert locks.acquire(ledger, "contracts", locks.holder("abc123", 1)) is not None
    found = why(ledger, job)
    assert (found.cause, found.holder) == (Cause.LOCK, "abc123")
    assert "job abc123 holds its publish lock" in found.reason


def test_a_job_that_waits_for_the_embedder_says_so(ledger: Ledger) -> None:
    job = submitted(ledger)
    reporter = store.Reporter(ledger, claimed(ledger, job))
    reporter.stage("embed", "Waiting for the embedder (rate limit), 12 s")
    reporter.check(now=True)
    found = why(ledger, job)
    assert found.cause is Cause.EMBEDDER
    assert found.reason == "It waits for the embedder (rate limit), 12 s."


def test_what_rq_lost_is_told(ledger: Ledger) -> None:
    job = submitted(ledger)
    appear(ledger, "w1")
    queues.withdraw(ledger, [rq_id_of(ledger, job, "0")], "default")
    assert why(ledger, job).cause is Cause.HANDED_OVER
