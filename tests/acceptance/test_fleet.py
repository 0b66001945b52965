"""A live pool is paused, drained, scaled and written off; and low is not starved."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator

import psutil
import pytest
import redis

from tasks.ledger import State, control, fleet, keys, monitor
from tasks.ledger.records import WorkerRow
from tests.acceptance.conftest import Stack, lines
from tests.waiting import kept_within, wait_until

pytestmark = pytest.mark.acceptance

HOST = socket.gethostname()
HONOURED_S = 2.0


@pytest.fixture(scope="module")
def stack(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two workers, whose queues age fast and whose pool sizes itself fast."""
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    client.close()
    found = Stack(
        tmp_path_factory.mktemp("fleet"), redis_url, queue_ageing_s=1.5, autoscale_grow_s=0.5, autoscale_idle_s=1.0
    )
    pool = found.start_pool()
    yield found
    pool.terminate()
    pool.wait(30)
    found.ledger.close()


def workers(stack: Stack) -> list[WorkerRow]:
    return fleet.workers(stack.ledger)


def busy(stack: Stack, job_id: str) -> list[WorkerRow]:
    return [row for row in workers(stack) if row.job == job_id]


def test_a_paused_queue_rests_while_the_others_go_on_and_is_resumed_at_once(stack: Stack) -> None:
    control.pause(stack.ledger, "default", by="ana")
    held = stack.submit("Held.", collection="held")
    assert stack.ended(stack.submit("Urgent.", collection="urgent", priority="high")).state is State.COMPLETED
    assert stack.ended(stack.submit("Slow.", collection="slow", priority="low")).state is State.COMPLETED
    assert stack.job(held).state is State.QUEUED
    control.resume(stack.ledger, "default", by="ana")
    assert stack.ended(held).state is State.COMPLETED

    def resumed() -> float:
        control.pause(stack.ledger, "default", by="ana")
        job_id = stack.submit("Held again.", collection="held")
        control.resume(stack.ledger, "default", by="ana")
        asked = time.monotonic()
        wait_until(lambda: stack.job(job_id).state is not State.QUEUED, what="the held job's start")
        took_s = time.monotonic() - asked
        assert stack.ended(job_id).state is State.COMPLETED
        return took_s

    kept_within(HONOURED_S, resumed)


def test_a_drained_worker_ends_its_shard_and_takes_no_more_until_it_may(stack: Stack) -> None:
    job_id = stack.submit(*[lines(1, "SLEEP 0.2") + f" drained {at}" for at in range(120)], collection="drained")
    wait_until(lambda: len(busy(stack, job_id)) == 2, what="both workers on it")
    name = workers(stack)[0].name
    control.drain(stack.ledger, name, by="ana")
    wait_until(
        lambda: (
            [row.name for row in busy(stack, job_id)] not in ([], [name])
            and name not in {row.name for row in busy(stack, job_id)}
        ),
        what="the drained one's rest",
    )
    assert next(row for row in workers(stack) if row.name == name).drained
    done = stack.job(job_id).documents_done
    wait_until(lambda: stack.job(job_id).documents_done >= done + 4, what="the other's progress")
    assert name not in {row.name for row in busy(stack, job_id)}
    control.undrain(stack.ledger, name, by="ana")
    wait_until(lambda: name in {row.name for row in busy(stack, job_id)}, what="the drained one's return")
    control.cancel(stack.ledger, job_id, by="ana", force=True)
    assert stack.ended(job_id).attempt == 1


def test_a_worker_tells_what_it_does_and_uses(stack: Stack) -> None:
    job_id = stack.submit(lines(60, "SLEEP 0.05"), collection="telling", names=("report.txt",))

    def telling() -> WorkerRow | None:
        return next((row for row in busy(stack, job_id) if row.document and row.stage == "embed"), None)

    row = wait_until(telling, what="its document")
    (pool,) = [pool for pool in fleet.pools(stack.ledger) if pool.alive]
    assert (row.document, row.pool, row.host) == ("report.txt", pool.name, HOST)
    assert row.rss_bytes > 50 * 1024**2
    assert stack.ended(job_id).state is State.COMPLETED
    wait_until(lambda: any(row.documents_a_minute > 0 for row in workers(stack)), what="its pace")
    wait_until(lambda: not any(row.document for row in workers(stack)), what="empty hands")


def test_a_pool_grows_at_once_and_shrinks_when_shards_end(stack: Stack) -> None:
    def grown() -> float:
        control.scale(stack.ledger, HOST, 2, by="ana")
        wait_until(lambda: len(workers(stack)) == 2, what="two workers")
        control.scale(stack.ledger, HOST, 4, by="ana")
        asked = time.monotonic()
        wait_until(lambda: len(workers(stack)) == 4, what="four workers")
        return time.monotonic() - asked

    kept_within(HONOURED_S, grown)
    (pool,) = [pool for pool in fleet.pools(stack.ledger) if pool.alive]
    assert pool.wanted == 4
    job_id = stack.submit(*[lines(3, "SLEEP 0.3") + f" scaled {at}" for at in range(12)], collection="scaled")
    wait_until(lambda: len(busy(stack, job_id)) == 4, what="four workers on it")
    control.scale(stack.ledger, HOST, 2, by="ana")
    wait_until(lambda: len(workers(stack)) == 2, what="two workers")
    job = stack.ended(job_id)
    assert (job.state, job.documents_done, job.attempt) == (State.COMPLETED, 12, 1)
    said = [event.text for event in monitor.events(stack.ledger, job_id)]
    assert not any("lost" in text or "goes back" in text for text in said), said


def test_a_pool_sizes_itself_between_its_bounds(stack: Stack) -> None:
    control.scale(stack.ledger, HOST, 2, by="ana", low=1, high=3)
    wait_until(lambda: len(workers(stack)) == 1, what="one worker while nothing waits")
    jobs = [stack.submit(lines(4, "SLEEP 0.2") + f" auto {at}", collection=f"auto{at}") for at in range(12)]
    wait_until(lambda: len(workers(stack)) == 3, what="three workers while jobs wait")
    for job_id in jobs:
        assert stack.ended(job_id).state is State.COMPLETED
        assert len(workers(stack)) <= 3
    wait_until(lambda: len(workers(stack)) == 1, what="one worker again")
    control.scale(stack.ledger, HOST, 2, by="ana")
    wait_until(lambda: len(workers(stack)) == 2, what="two workers")


def test_a_low_job_is_not_starved_by_high_ones(stack: Stack) -> None:
    high = [
        stack.submit(lines(1, "SLEEP 0.4") + f" high {at}", collection=f"h{at}", priority="high") for at in range(6)
    ]
    low = stack.submit("Low.", collection="low", priority="low")
    waited = time.monotonic()
    at = len(high)
    while not stack.job(low).final:
        waiting = [job_id for job_id in high if stack.job(job_id).state is State.QUEUED]
        if len(waiting) < 4:  # so that a high one always waits
            high.append(stack.submit(lines(1, "SLEEP 0.4") + f" high {at}", collection=f"h{at}", priority="high"))
            at += 1
        assert time.monotonic() - waited < 60, "the low job starves"
    assert any(stack.job(job_id).state is State.QUEUED for job_id in high)
    assert time.monotonic() - waited > 2 * 1.5 - 0.5
    for job_id in high:
        stack.ended(job_id)


def test_a_worker_that_was_written_off_ends_when_it_wakes_and_writes_nothing(stack: Stack) -> None:
    job_id = stack.submit(lines(12, "SLEEP 0.2"), collection="zombie")
    row = wait_until(lambda: next(iter(busy(stack, job_id)), None), what="a worker on it")
    wait_until(lambda: stack.job(job_id).percent > 0, what="progress")
    family = [psutil.Process(row.pid), *psutil.Process(row.pid).children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGSTOP)
    control.write_off(stack.ledger, row.name, by="ana")
    job = stack.ended(job_id)
    assert (job.state, job.attempt) == (State.COMPLETED, 2)
    events = monitor.events(stack.ledger, job_id)
    for process in family:
        process.send_signal(signal.SIGCONT)
    wait_until(lambda: not any(process.is_running() for process in family), what="the zombie's end")
    wait_until(lambda: len(workers(stack)) == 2, what="a fresh one")
    assert row.name not in {worker.name for worker in workers(stack)}
    wait_until(lambda: not stack.ledger.redis.hexists(keys.WRITTEN_OFF, row.name), what="the end of its mark")
    assert stack.job(job_id) == job
    assert monitor.events(stack.ledger, job_id) == events


def test_a_worker_that_was_asleep_for_long_loses_its_shard_and_ends(stack: Stack) -> None:
    job_id = stack.submit(lines(12, "SLEEP 0.2") + " asleep", collection="asleep")
    row = wait_until(lambda: next(iter(busy(stack, job_id)), None), what="a worker on it")
    wait_until(lambda: stack.job(job_id).percent > 0, what="progress")
    family = [psutil.Process(row.pid), *psutil.Process(row.pid).children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGSTOP)
    job = stack.ended(job_id)
    assert (job.state, job.attempt) == (State.COMPLETED, 2)
    for process in family:
        process.send_signal(signal.SIGCONT)
    wait_until(lambda: not any(process.is_running() for process in family), what="the zombie's end")
    assert stack.job(job_id) == job
    wait_until(lambda: len(workers(stack)) == 2, what="a fresh one")


def test_a_stopped_work_horse_is_killed_by_a_cancel(stack: Stack) -> None:
    job_id = stack.submit(lines(50, "SLEEP 0.2") + " frozen", collection="frozen")
    row = wait_until(lambda: next(iter(busy(stack, job_id)), None), what="a worker on it")
    wait_until(lambda: stack.job(job_id).percent > 0, what="progress")
    (horse,) = psutil.Process(row.pid).children()
    horse.send_signal(signal.SIGSTOP)
    control.cancel(stack.ledger, job_id, by="bo", force=True)
    job = stack.ended(job_id)
    assert job.state is State.CANCELED
    assert job.stop is not None
    assert job.stop.how == "by killing its work horse"
    assert not horse.is_running()


def test_what_a_killed_worker_had_in_hand_goes_on_at_once(stack: Stack) -> None:
    job_id = stack.submit(lines(15, "SLEEP 0.2") + " killed", collection="killed")
    row = wait_until(lambda: next(iter(busy(stack, job_id)), None), what="a worker on it")
    wait_until(lambda: stack.job(job_id).percent > 0, what="progress")
    control.pause(stack.ledger, "default", by="ana")  # so that what is handed over again stays to be seen
    os.kill(row.pid, signal.SIGKILL)
    wait_until(lambda: stack.job(job_id).state is State.RETRYING, what="its shard's return to the queue")
    control.resume(stack.ledger, "default", by="ana")
    assert stack.ended(job_id).state is State.COMPLETED
    assert "goes to another worker" in stack.log.read_text(), "nobody waited for the end of its lease"
