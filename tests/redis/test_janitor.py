"""What the janitor repairs, on both kinds of server. Its turns are called by hand; time passes by editing scores."""

from __future__ import annotations

import pytest

from tasks.ledger import Ledger, State, control, journal, keys, monitor, queues, store
from tests.factories import claimed, finish_documents, rq_id_of, submitted

pytest.importorskip("workers.janitor")
from workers.janitor import Janitor
from workers.recovery import expire_leases_of


def test_a_shard_whose_worker_stopped_reporting_is_tried_again(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    zombie = claimed(ledger, job_id)
    ledger.redis.zadd(keys.LEASES, {f"{job_id}:0": ledger.now() - 1})
    Janitor(ledger, "j").turn()
    assert monitor.job(ledger, job_id).state is State.RETRYING
    assert claimed(ledger, job_id, worker="w2").attempt == zombie.attempt + 1


def test_what_a_dead_worker_had_in_hand_is_taken_back_without_its_lease(ledger: Ledger) -> None:
    dead, living = (submitted(ledger) for _ in range(2))
    claimed(ledger, dead, worker="w1")
    claimed(ledger, living, worker="w2")
    # Killed within its first second, it had not told yet what it has in hand.
    assert expire_leases_of(ledger, "w1") == [f"{dead}:0"]
    Janitor(ledger, "j").turn()
    assert [monitor.job(ledger, job_id).state for job_id in (dead, living)] == [State.RETRYING, State.RUNNING]


def test_a_job_canceled_while_its_worker_died_becomes_canceled(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claimed(ledger, job_id)
    control.cancel(ledger, job_id, by="bo")
    ledger.redis.zadd(keys.LEASES, {f"{job_id}:0": ledger.now() - 1})
    Janitor(ledger, "j").turn()
    assert monitor.job(ledger, job_id).state is State.CANCELED


def test_a_delivery_that_rq_lost_is_handed_over_again_under_a_new_id(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    lost = rq_id_of(ledger, job_id, "0")
    ledger.redis.delete(keys.rq_queue("default"))
    ledger.redis.zadd(keys.ENQUEUED, {f"{job_id}:0": ledger.now() - 60})
    Janitor(ledger, "j").turn()
    again = rq_id_of(ledger, job_id, "0")
    assert again != lost
    assert queues.waiting_ids(ledger) == {again}


def test_a_delivery_that_only_waits_its_turn_is_left_alone(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    rq_id = rq_id_of(ledger, job_id, "0")
    ledger.redis.zadd(keys.ENQUEUED, {f"{job_id}:0": ledger.now() - 60})
    Janitor(ledger, "j").turn()
    assert queues.waiting_ids(ledger) == {rq_id}


def test_a_publish_that_was_counted_and_never_reached_rq_is_handed_over(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claim = claimed(ledger, job_id)
    finish_documents(ledger, claim)
    store.settle(ledger, job_id, "0", claim.attempt, "done")  # and the worker dies before it delivers
    ledger.redis.delete(keys.rq_queue("default"))
    ledger.redis.zadd(keys.ENQUEUED, {f"{job_id}:publish": ledger.now() - 60})
    Janitor(ledger, "j").turn()
    assert queues.waiting_ids(ledger) == {rq_id_of(ledger, job_id, store.PUBLISH)}


def test_a_retry_is_handed_over_when_it_is_due(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claim = claimed(ledger, job_id)
    assert store.settle(ledger, job_id, "0", claim.attempt, "lost", how="it was killed", delay_s=30) is None
    ledger.redis.delete(keys.rq_queue("default"))
    janitor = Janitor(ledger, "j")
    janitor.turn()
    assert queues.waiting_ids(ledger) == set()
    ledger.redis.zadd(keys.DELAYED, {f"{job_id}:0": ledger.now() - 1})
    janitor.turn()
    assert queues.waiting_ids(ledger) == {rq_id_of(ledger, job_id, "0")}


def test_only_one_janitor_works_at_a_time(ledger: Ledger) -> None:
    assert Janitor(ledger, "first").turn()
    assert not Janitor(ledger, "second").turn()


def test_final_jobs_past_their_time_leave_the_board(ledger: Ledger) -> None:
    old, fresh = submitted(ledger), submitted(ledger)
    control.cancel(ledger, old, by="bo")
    control.cancel(ledger, fresh, by="bo")
    ledger.redis.zadd(keys.FINAL, {old: ledger.now() - 40 * 86_400})
    Janitor(ledger, "j").turn()
    assert [row.id for row in monitor.page(ledger)[0]] == [fresh]


def test_no_more_final_jobs_are_kept_than_the_settings_say(ledger: Ledger) -> None:
    jobs = [submitted(ledger) for _ in range(3)]
    for job_id in jobs:
        control.cancel(ledger, job_id, by="bo")
    ledger.settings = ledger.settings.model_copy(update={"retention_jobs": 2})
    Janitor(ledger, "j").turn()
    assert {row.id for row in monitor.page(ledger)[0]} == set(jobs[1:])


def test_a_job_whose_hash_was_lost_leaves_no_orphans(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    journal.set_aside(ledger.settings)  # it was accepted long ago
    ledger.redis.delete(keys.job(job_id))
    Janitor(ledger, "j").turn()
    assert ledger.redis.zscore(keys.LIVE, job_id) is None
    assert ledger.redis.keys(f"ib:job:{job_id}*") == []
