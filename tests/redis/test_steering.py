"""Queues paused, workers drained and written off, hosts sized: what is recorded and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.errors import ActionRefused, Canceled, Fenced, JobNotFound, SteeringRefused, WorkerNotFound
from tasks.ledger import Action, Ledger, State, control, fleet, keys, locks, monitor, queues, store
from tasks.ledger.records import text
from tasks.ledger.states import DocumentState
from tests.factories import claimed, finish_documents, rq_id_of, run_to_publish, submitted


def alive(ledger: Ledger, *names: str) -> None:
    ledger.redis.zadd(keys.WORKERS, dict.fromkeys(names, ledger.now()))


def audited(ledger: Ledger) -> list[tuple[str, str, str]]:
    """Who did what to what, oldest first; submissions left out."""
    stream: list[Any] = ledger.redis.xrange(keys.AUDIT) or []
    rows = [row for _, row in stream]
    found = [(text(row[b"by"]), text(row[b"action"]), text(row[b"subject"])) for row in rows]
    return [row for row in found if row[1] != "submit"]


def test_a_queue_is_paused_and_goes_on_on_the_record(ledger: Ledger) -> None:
    assert "is paused" in control.pause(ledger, "low", by="bo", why="The disk is being moved.")
    (paused,) = fleet.paused(ledger).items()
    assert (paused[0], paused[1].by, paused[1].why) == ("low", "bo", "The disk is being moved.")
    assert paused[1].at is not None
    with pytest.raises(SteeringRefused, match="the queue low is paused already"):
        control.pause(ledger, "low", by="ana")
    assert fleet.paused(ledger)["low"].by == "bo"
    control.resume(ledger, "low", by="ana")
    assert fleet.paused(ledger) == {}
    with pytest.raises(SteeringRefused, match="the queue low is not paused"):
        control.resume(ledger, "low", by="ana")
    assert audited(ledger) == [("bo", "pause", "low"), ("ana", "resume", "low")]


@pytest.mark.parametrize("queue", ["", "urgent", "ib:high"])
def test_a_queue_that_there_is_not_is_refused(ledger: Ledger, queue: str) -> None:
    with pytest.raises(SteeringRefused, match="there are high, default, low"):
        control.pause(ledger, queue, by="bo")
    with pytest.raises(SteeringRefused, match="there are high, default, low"):
        control.resume(ledger, queue, by="bo")


def test_nothing_is_taken_from_a_paused_queue_until_it_goes_on(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    control.pause(ledger, "default", by="bo")
    assert queues.take(ledger, "w1") is queues.Held.EMPTY
    control.resume(ledger, "default", by="bo")
    taken = queues.take(ledger, "w1")
    assert isinstance(taken, queues.Taken)
    assert taken.rq_id == rq_id_of(ledger, job_id, "0")


def test_a_worker_is_drained_and_takes_work_again(ledger: Ledger) -> None:
    alive(ledger, "w1")
    submitted(ledger)
    control.drain(ledger, "w1", by="bo")
    assert queues.take(ledger, "w1") is queues.Held.DRAINED
    with pytest.raises(SteeringRefused, match="is drained already"):
        control.drain(ledger, "w1", by="bo")
    control.undrain(ledger, "w1", by="bo")
    assert isinstance(queues.take(ledger, "w1"), queues.Taken)
    with pytest.raises(SteeringRefused, match="is not drained"):
        control.undrain(ledger, "w1", by="bo")


def test_a_worker_that_there_is_not_is_told(ledger: Ledger) -> None:
    for steer in (control.drain, control.write_off):
        with pytest.raises(WorkerNotFound, match="There is no worker nobody;"):
            steer(ledger, "nobody", by="bo")
    assert audited(ledger) == []


# --- hosts ----------------------------------------------------------------------------------------------


def pool(ledger: Ledger, host: str) -> None:
    ledger.redis.zadd(keys.POOLS, {f"{host}-1": ledger.now()})
    ledger.redis.hset(keys.pool(f"{host}-1"), mapping={"host": host, "size": 2})


def wanted(ledger: Ledger, host: str) -> dict[str, int]:
    return {text(name): int(value) for name, value in ledger.redis.hgetall(keys.wanted(host)).items()}


def test_a_host_is_given_its_size_or_two_bounds(ledger: Ledger) -> None:
    pool(ledger, "one")
    assert "The pool on one goes to 8 workers;" in control.scale(ledger, "one", 8, by="bo")
    assert wanted(ledger, "one") == {"size": 8, "low": 0, "high": 0}
    assert "between 2 and 6" in control.scale(ledger, "one", 8, by="bo", low=2, high=6)
    assert wanted(ledger, "one") == {"size": 6, "low": 2, "high": 6}
    control.scale(ledger, "one", 0, by="bo")
    assert wanted(ledger, "one") == {"size": 0, "low": 0, "high": 0}


@pytest.mark.parametrize(
    ("size", "low", "high"), [(-1, 0, 0), (513, 0, 0), (2, 6, 2), (2, 3, 3), (2, -1, 4), (2, 1, 999)]
)
def test_a_size_that_no_pool_can_have_is_refused(ledger: Ledger, size: int, low: int, high: int) -> None:
    pool(ledger, "one")
    with pytest.raises(SteeringRefused, match="a pool has 0 to 512 workers"):
        control.scale(ledger, "one", size, by="bo", low=low, high=high)
    assert wanted(ledger, "one") == {}


def test_a_host_without_a_pool_is_refused_with_those_that_have_one(ledger: Ledger) -> None:
    with pytest.raises(SteeringRefused, match="no pool is alive"):
        control.scale(ledger, "two", 2, by="bo")
    pool(ledger, "one")
    with pytest.raises(SteeringRefused, match="pools are on one"):
        control.scale(ledger, "two", 2, by="bo")


# --- writing off --------------------------------------------------------------------------------------


def test_a_worker_that_was_written_off_can_write_nothing_when_it_wakes(ledger: Ledger) -> None:
    job_id = submitted(ledger, 2)
    old = rq_id_of(ledger, job_id, "0")
    claim = claimed(ledger, job_id, "0", worker="zombie")
    zombie = store.Reporter(ledger, claim)
    zombie.check(now=True)
    sentence = control.write_off(ledger, "zombie", by="bo")
    assert sentence == (
        "Worker zombie is written off and can write nothing more. 1 part of jobs that it had in hand goes on elsewhere."
    )
    before = ledger.redis.hgetall(keys.job(job_id)), ledger.redis.hgetall(keys.documents(job_id))
    zombie.document(claim.documents[0].number, DocumentState.COMPLETED, chunks=9)
    with pytest.raises(Fenced):
        zombie.check(now=True)
    for outcome in ("done", "canceled", "released", "lost", "overdue"):
        with pytest.raises(Fenced):
            store.settle(ledger, job_id, "0", claim.attempt, outcome)
    assert not store.extend_lease(ledger, job_id, "0", old)
    assert store.claim(ledger, job_id, "0", rq_id_of(ledger, job_id, "0"), "zombie") is None
    assert queues.take(ledger, "zombie") is queues.Held.WRITTEN_OFF
    assert (ledger.redis.hgetall(keys.job(job_id)), ledger.redis.hgetall(keys.documents(job_id))) == before


def test_what_a_written_off_worker_had_goes_on_elsewhere_at_once(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claim = claimed(ledger, job_id, worker="zombie")
    control.write_off(ledger, "zombie", by="bo")
    row = monitor.job(ledger, job_id)
    assert (row.state, row.attempt) == (State.RETRYING, claim.attempt + 1)
    assert rq_id_of(ledger, job_id, "0") in queues.waiting_ids(ledger)
    again = claimed(ledger, job_id, worker="w2")
    assert again.attempt == claim.attempt + 1
    finish_documents(ledger, again)
    assert store.settle(ledger, job_id, "0", again.attempt, "done") is not None


def test_a_cancel_that_a_worker_never_heard_is_done_by_writing_it_off(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claim = claimed(ledger, job_id, worker="zombie")
    alive(ledger, "zombie")
    control.cancel(ledger, job_id, by="bo")
    receipt = control.write_off_workers_of(ledger, job_id, by="bo")
    assert receipt.state is State.CANCELED
    confirmed = monitor.receipt(ledger, job_id)
    assert confirmed is not None
    assert confirmed.how == control.WRITTEN_OFF_HOW
    with pytest.raises((Fenced, Canceled)):
        store.Reporter(ledger, claim).check(now=True)
    assert monitor.job(ledger, job_id).state is State.CANCELED


def test_a_publish_of_a_written_off_worker_is_left_to_the_janitor_who_sees_the_disk(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claim = run_to_publish(ledger, job_id)
    assert claim is not None
    lock = locks.acquire(ledger, "contracts", locks.holder(job_id, claim.attempt))
    assert lock is not None
    control.write_off(ledger, claim.worker, by="bo")
    assert not lock.renew(), "the zombie cannot move the pointer"
    row = json.loads(ledger.redis.hget(keys.shards(job_id), store.PUBLISH) or b"{}")
    assert (row["state"], row["attempt"]) == ("running", claim.attempt + 1)
    assert ledger.redis.zscore(keys.LEASES, f"{job_id}:publish") == 0
    with pytest.raises(Fenced):
        store.close(ledger, job_id, claim.attempt, snapshot="000009")
    delivery = store.settle(ledger, job_id, store.PUBLISH, row["attempt"], "lost", how="it stopped reporting")
    assert delivery is not None
    assert monitor.job(ledger, job_id).attempt == claim.attempt + 1, "one loss is one attempt"


def test_only_what_the_worker_has_in_hand_is_taken_back(ledger: Ledger) -> None:
    job_id = submitted(ledger, 3)
    claimed(ledger, job_id, "0", worker="zombie")
    other = claimed(ledger, job_id, "1", worker="w2")
    control.write_off(ledger, "zombie", by="bo")
    store.Reporter(ledger, other).check(now=True)
    assert monitor.job(ledger, job_id).state is State.RUNNING


def test_the_workers_of_a_job_that_live_are_not_written_off(ledger: Ledger) -> None:
    job_id = submitted(ledger, 2)
    claimed(ledger, job_id, "0", worker="w1")
    claimed(ledger, job_id, "1", worker="gone")
    alive(ledger, "w1")
    control.write_off_workers_of(ledger, job_id, by="bo")
    assert [text(name) for name in ledger.redis.hkeys(keys.WRITTEN_OFF)] == ["gone"]
    with pytest.raises(SteeringRefused, match="are alive; force the job to stop instead"):
        control.write_off_workers_of(ledger, job_id, by="bo")


def test_a_job_that_nobody_has_in_hand_has_no_worker_to_write_off(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    with pytest.raises(ActionRefused, match="is queued; only a job that is running or canceling"):
        control.write_off_workers_of(ledger, job_id, by="bo")
    with pytest.raises(JobNotFound):
        control.write_off_workers_of(ledger, "nothing", by="bo")
    outcomes = control.act(ledger, Action.WRITE_OFF, [job_id, "nothing"], by="bo")
    assert len(outcomes.refused) == 2


def test_notes_about_workers_that_are_gone_are_forgotten_in_time(ledger: Ledger) -> None:
    alive(ledger, "w1", "w2")
    for name in ("w1", "w2"):
        control.drain(ledger, name, by="bo")
        control.write_off(ledger, name, by="bo")
    ledger.redis.zrem(keys.WORKERS, "w1")
    control.forget_workers(ledger)
    assert ledger.redis.hkeys(keys.DRAINED) == [b"w2"]
    assert sorted(ledger.redis.hkeys(keys.WRITTEN_OFF)) == [b"w1", b"w2"], "it may still wake"
    ledger.redis.hset(keys.WRITTEN_OFF, "w1", json.dumps({"by": "bo", "at": ledger.now() - 8 * 86_400}))
    control.forget_workers(ledger)
    assert ledger.redis.hkeys(keys.WRITTEN_OFF) == [b"w2"]
