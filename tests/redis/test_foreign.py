"""RQ jobs of another program, made and run by RQ: listed, opened, requeued, stopped, deleted; and never decoded."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
import zlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rq import Queue, Repeat, Retry, SimpleWorker, Worker
from rq.job import Callback, Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry
from rq.serializers import JSONSerializer

from tasks.errors import ForeignActionRefused, ForeignJobNotFound
from tasks.ledger import Ledger, control, foreign, keys
from tasks.ledger.foreign_rows import Link
from tests.factories import rq_id_of, submitted
from tests.redis.foreign_functions import Bomb, add, fail, last
from tests.round_trips import counting
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
EMAILS = "emails"


def emails(ledger: Ledger) -> Queue:
    """A queue as another program makes it: pickled tasks."""
    return Queue(EMAILS, connection=ledger.redis)


def work(ledger: Ledger) -> None:
    """That program's worker, until its queue is empty."""
    SimpleWorker([emails(ledger)], connection=ledger.redis).work(burst=True, logging_level="CRITICAL")


def ids(ledger: Ledger, registry: str) -> list[str]:
    return [row.id for row in foreign.page(ledger, EMAILS, registry).rows]


# --- the overview ------------------------------------------------------------------------------------


def test_all_queues_are_there_with_ours_first(ledger: Ledger) -> None:
    emails(ledger).enqueue(add, 1, 2)
    Queue("alerts", connection=ledger.redis).enqueue(add, 1, 2)
    submitted(ledger)
    found = foreign.overview(ledger)
    assert [(row.name, row.ours, row.depth) for row in found.rows] == [
        ("high", True, 0),
        ("default", True, 1),
        ("low", True, 0),
        ("alerts", False, 1),
        (EMAILS, False, 1),
    ]
    assert not found.suspended


def test_the_counts_of_a_queue_are_those_of_its_registries(ledger: Ledger) -> None:
    queue = emails(ledger)
    queue.enqueue(add, 1, 2)
    broken = queue.enqueue(fail, "no")
    work(ledger)
    queue.enqueue(add, 1, 2, depends_on=broken)
    queue.enqueue(add, 1, 2).cancel()
    queue.enqueue(add, 3, 4)
    row = foreign.overview(ledger).rows[-1]
    counts = {registry: row.count(registry) for registry in foreign.REGISTRIES}
    assert counts == {
        "queued": 1,
        "started": 0,
        "failed": 1,
        "finished": 1,
        "deferred": 1,
        "scheduled": 0,
        "canceled": 1,
    }
    assert row.oldest_wait_s is not None
    assert 0 <= row.oldest_wait_s < 60


def test_workers_that_are_gone_do_not_count_as_consumers(ledger: Ledger) -> None:
    emails(ledger).enqueue(add, 1, 2)
    worker = Worker([emails(ledger)], connection=ledger.redis)
    worker.register_birth()  # type: ignore[no-untyped-call]
    ledger.redis.sadd(keys.rq_listeners(EMAILS), keys.rq_worker("long-gone"))
    assert foreign.overview(ledger).rows[-1].consumers == 1


def test_the_overview_takes_three_round_trips_however_many_queues(ledger: Ledger) -> None:
    for at in range(30):
        Queue(f"queue-{at:02}", connection=ledger.redis).enqueue(add, 1, 2)
    with counting(ledger) as trips:
        found = foreign.overview(ledger)
    assert len(found.rows) == 33
    assert trips.count == 3


def test_garbage_among_the_queues_breaks_nothing(ledger: Ledger) -> None:
    ledger.redis.sadd("rq:queues", b"\xff\xfe", "no-prefix", "rq:queue:", "rq:queue:text", "rq:queue:heads")
    ledger.redis.set("rq:queue:text", "no list")
    ledger.redis.set("rq:failed:text", "no registry")
    ledger.redis.rpush("rq:queue:heads", b"\xff\x00", "gone", "")
    rows = {row.name: row for row in foreign.overview(ledger).rows}
    assert (rows["text"].depth, rows["text"].failed) == (0, 0)
    assert rows["heads"].depth == 3
    assert rows["heads"].oldest_wait_s is None


# --- pages of jobs -----------------------------------------------------------------------------------


def test_a_page_shows_what_rq_holds_of_each_job(ledger: Ledger) -> None:
    done = emails(ledger).enqueue(add, 1, 2, description="Add one to two")
    work(ledger)
    (row,) = foreign.page(ledger, EMAILS, "finished").rows
    assert (row.id, row.status, row.description, row.known) == (done.id, "finished", "Add one to two", True)
    assert row.started_at is not None
    assert row.ended_at is not None
    assert row.ended_at >= row.started_at


def test_deep_pages_cost_what_the_first_does(ledger: Ledger) -> None:
    data = Queue.prepare_data(add, args=(1, 2))
    jobs = emails(ledger).enqueue_many([data for _ in range(130)])
    foreign.page(ledger, EMAILS, "queued")  # from here on the server has the script
    for number, size in ((1, 50), (2, 50), (3, 30)):
        with counting(ledger) as trips:
            found = foreign.page(ledger, EMAILS, "queued", number)
        assert trips.count == 1
        start = (number - 1) * 50
        assert [row.id for row in found.rows] == [job.id for job in jobs[start : start + size]]
        assert (found.total, found.first) == (130, start)
    assert foreign.page(ledger, EMAILS, "queued", 9).rows == ()


def test_reading_changes_nothing_not_even_what_rq_would_clean_up(real_ledger: Ledger, tmp_path: Path) -> None:
    queue = emails(real_ledger)
    stale = queue.enqueue(add, 1, 2)
    real_ledger.redis.zadd("rq:wip:emails", {f"{stale.id}:0": 1})
    real_ledger.redis.zadd("rq:finished:emails", {"expired": 1})
    before = {key: real_ledger.redis.dump(key) for key in real_ledger.redis.keys("*")}
    foreign.overview(real_ledger)
    for registry in foreign.REGISTRIES:
        foreign.page(real_ledger, EMAILS, registry)
    foreign.job(real_ledger, stale.id)
    assert {key: real_ledger.redis.dump(key) for key in real_ledger.redis.keys("*")} == before


# --- one job -----------------------------------------------------------------------------------------


def test_a_failed_job_is_opened_with_its_traceback_and_its_runs(ledger: Ledger) -> None:
    broken = emails(ledger).enqueue(
        fail, "no paper", retry=Retry(max=2), job_timeout=33, failure_ttl=1000, meta={"tenant": "x", "step": 3}
    )
    work(ledger)
    foreign.job(ledger, broken.id)
    with counting(ledger) as trips:
        found = foreign.job(ledger, broken.id)
    assert trips.count == 2
    assert "RuntimeError: It cannot be done: no paper" in found.traceback
    assert (found.status, found.registries, found.queue) == ("failed", ("failed",), EMAILS)
    assert [one.outcome for one in found.attempts] == ["failed"]
    assert found.attempts[0].traceback == found.traceback
    assert (found.timeout_s, found.failure_ttl_s, found.retries_left) == (33, 1000, 0)
    assert found.meta_keys == ("tenant", "step")
    assert found.lives_s == pytest.approx(1000, abs=5)


def test_links_between_jobs_are_shown_both_ways(ledger: Ledger) -> None:
    first = emails(ledger).enqueue(add, 1, 2)
    second = emails(ledger).enqueue(add, 3, 4, depends_on=first)
    assert foreign.job(ledger, first.id).dependents == (Link(second.id, "deferred"),)
    waits = foreign.job(ledger, second.id)
    assert waits.dependencies == (Link(first.id, "queued"),)
    assert waits.registries == ("deferred",)
    assert foreign.job(ledger, first.id).position == 1


def test_repeats_callbacks_and_a_schedule_are_shown(ledger: Ledger) -> None:
    job = emails(ledger).enqueue(
        add, 1, 2, repeat=Repeat(times=3, interval=[10, 60]), on_failure=Callback("other.program.alarm")
    )
    found = foreign.job(ledger, job.id)
    assert (found.repeats_left, found.repeat_intervals) == (3, "10, 60 s")
    assert found.callbacks == (("when it fails", "other.program.alarm"),)
    work(ledger)
    again = foreign.job(ledger, job.id)
    assert again.status == "scheduled"
    assert again.due_at is not None
    assert [one.outcome for one in again.attempts] == ["finished"]


def test_jobs_of_a_program_that_writes_json_are_opened_alike(ledger: Ledger) -> None:
    queue = Queue("plain", connection=ledger.redis, serializer=JSONSerializer)
    job = queue.enqueue(add, 1, 2, meta={"a": 1})
    assert foreign.job(ledger, job.id).meta_keys == ("a",)


def test_a_job_that_is_gone_is_said_to_be(ledger: Ledger) -> None:
    with pytest.raises(ForeignJobNotFound):
        foreign.job(ledger, "nope")
    with pytest.raises(ForeignJobNotFound):
        control.requeue_foreign(ledger, EMAILS, "nope", by="ana")


# --- hostile jobs ------------------------------------------------------------------------------------


def hostile(ledger: Ledger, path: Path) -> dict[str, str]:
    """Jobs that mean harm, or are broken, by what is wrong with them."""
    queue = emails(ledger)
    bomb = pickle.dumps(Bomb(str(path)))
    made: dict[str, dict[Any, Any]] = {
        "bomb": {"data": zlib.compress(bomb), "meta": bomb, "result": bomb, "exc_info": bomb},
        "deflated": {"exc_info": zlib.compress(b"\0" * 200_000_000, 9), "meta": b"x" * 300_000},
        "corrupt": {"data": b"\x78\x9c garbage", "exc_info": b"\x78\x9c garbage", "timeout": b"\xff", "ttl": "many"},
        "huge": {"description": "x" * 10_000_000},
        "unreadable": {
            "description": b"\xff\xfe\x00",
            "status": b"\xff",
            "enqueued_at": b"\xff" * 26,
            "origin": EMAILS,
        },
        "markup": {"description": "<script>alert(1)</script>"},
    }
    for name, fields in made.items():
        job = queue.enqueue(add, 1, 2, job_id=name)
        ledger.redis.hset(keys.rq_job(job.id), mapping=fields)
        ledger.redis.zadd("rq:failed:emails", {name: 4e9})
    ledger.redis.set(keys.rq_job("text"), "no hash")
    ledger.redis.rpush("rq:queue:emails", "text", b"\xff\xff", "y" * 100_000, "")
    ledger.redis.xadd(
        "rq:results:bomb",
        {"type": "2", "exc_string": b64encode(zlib.compress(b"a" * 50_000_000, 9)), "return_value": b64encode(bomb)},
    )
    ledger.redis.xadd("rq:results:corrupt", {"type": "many", "exc_string": "%%%", "execution_started_at": "nan"})
    return {name: name for name in made}


def test_hostile_jobs_are_listed_and_opened_and_nothing_of_them_runs(ledger: Ledger, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    names = hostile(ledger, trap)
    rows = {row.id[:20]: row for row in foreign.page(ledger, EMAILS, "queued").rows}
    assert rows["huge"].description == "(10000000 bytes, too long to be shown)"
    assert not rows["text"].known
    assert not rows["y" * 20].openable
    assert set(ids(ledger, "failed")) == set(names)
    opened = {name: foreign.job(ledger, name) for name in names}
    assert not trap.exists()
    assert opened["bomb"].meta_keys is None
    assert opened["bomb"].traceback.startswith("aaaa")
    assert len(opened["bomb"].traceback) < 30_000
    assert len(opened["deflated"].traceback) < 30_000
    assert "not unpacked" in opened["deflated"].traceback
    assert opened["corrupt"].traceback
    assert opened["unreadable"].enqueued_at is None
    with pytest.raises(ForeignJobNotFound):
        foreign.job(ledger, "text")


def test_hostile_jobs_can_be_deleted(ledger: Ledger, tmp_path: Path) -> None:
    names = hostile(ledger, tmp_path / "trap")
    for name in [*names, "text"]:
        control.delete_foreign(ledger, EMAILS, name, by="ana")
    assert ids(ledger, "failed") == []
    assert not ledger.redis.keys("rq:job:*")
    assert not ledger.redis.keys("rq:results:*")
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_in_a_job_are_shown_and_never_raise(fake_ledger: Ledger, seed: int) -> None:
    dice = random.Random(seed)
    fields = [name for name in (*foreign.OPENED, "data") if name != "origin"]
    job = emails(fake_ledger).enqueue(add, 1, 2)
    noise: dict[Any, Any] = {name: dice.randbytes(dice.randrange(60)) for name in fields}
    fake_ledger.redis.hset(keys.rq_job(job.id), mapping=noise)
    assert foreign.job(fake_ledger, job.id).id == job.id
    assert len(foreign.page(fake_ledger, EMAILS, "queued").rows) == 1


# --- actions -----------------------------------------------------------------------------------------


def audit(ledger: Ledger) -> list[tuple[str, str]]:
    rows: list[Any] = ledger.redis.xrange(keys.AUDIT) or []
    return [(row[b"action"].decode(), row[b"by"].decode()) for _, row in rows]


def test_a_failed_job_is_requeued_and_its_own_worker_runs_it_again(ledger: Ledger) -> None:
    queue = emails(ledger)
    broken = queue.enqueue(fail, "no paper", failure_ttl=1000)
    work(ledger)
    receipt = control.requeue_foreign(ledger, EMAILS, broken.id, by="ana")
    assert receipt.sentence == f"The RQ job {broken.id} was requeued and waits in emails."
    assert queue.job_ids == [broken.id]
    fresh = Job.fetch(broken.id, connection=ledger.redis)
    assert (fresh.get_status(), fresh.started_at, fresh.ended_at) == ("queued", None, None)
    assert ledger.redis.ttl(keys.rq_job(broken.id)) == -1, "what waits does not expire"
    assert FailedJobRegistry(queue=queue).get_job_count(cleanup=False) == 0
    work(ledger)
    assert ids(ledger, "failed") == [broken.id]
    assert len(foreign.job(ledger, broken.id).attempts) == 2
    assert audit(ledger) == [("requeue RQ job", "ana")]


def test_requeueing_leaves_what_rq_itself_would_leave(ledger: Ledger) -> None:
    queue = emails(ledger)
    by_rq, by_us = queue.enqueue(fail, "x"), queue.enqueue(fail, "x")
    work(ledger)
    FailedJobRegistry(queue=queue).requeue(by_rq.id)
    control.requeue_foreign(ledger, EMAILS, by_us.id, by="ana")
    changing = {b"enqueued_at", b"created_at", b"last_heartbeat"}

    def held(job: Job) -> dict[Any, Any]:
        fields = ledger.redis.hgetall(keys.rq_job(job.id))
        return {name: value for name, value in fields.items() if name not in changing}

    assert held(by_us) == held(by_rq)


def test_a_canceled_job_is_requeued(ledger: Ledger) -> None:
    job = emails(ledger).enqueue(add, 1, 2)
    job.cancel()
    control.requeue_foreign(ledger, EMAILS, job.id, by="ana")
    work(ledger)
    assert ids(ledger, "finished") == [job.id]
    assert ids(ledger, "canceled") == []


def test_a_job_that_did_not_fail_is_not_requeued(ledger: Ledger) -> None:
    job = emails(ledger).enqueue(add, 1, 2)
    with pytest.raises(ForeignActionRefused, match="it is queued; only one that failed or was canceled"):
        control.requeue_foreign(ledger, EMAILS, job.id, by="ana")
    assert emails(ledger).job_ids == [job.id]


def test_a_job_of_another_queue_is_left_alone(ledger: Ledger) -> None:
    job = emails(ledger).enqueue(fail, "x")
    work(ledger)
    with pytest.raises(ForeignActionRefused, match="it belongs to the queue emails"):
        control.delete_foreign(ledger, "alerts", job.id, by="ana")


def test_a_deleted_job_leaves_nothing_behind(ledger: Ledger) -> None:
    queue = emails(ledger)
    first = queue.enqueue(fail, "x")
    second = queue.enqueue(add, 1, 2, depends_on=first)
    work(ledger)
    control.delete_foreign(ledger, EMAILS, second.id, by="ana")
    control.delete_foreign(ledger, EMAILS, first.id, by="ana")
    left = {str(key) for key in ledger.redis.keys("rq:*")}
    assert [key for key in left if first.id in key or second.id in key] == []
    assert foreign.overview(ledger).rows[-1].failed == 0


def test_a_job_that_runs_is_not_deleted(ledger: Ledger) -> None:
    job = emails(ledger).enqueue(add, 1, 2)
    ledger.redis.hset(keys.rq_job(job.id), mapping={"status": "started", "worker_name": "theirs"})
    ledger.redis.hset(keys.rq_worker("theirs"), "current_job", job.id)
    with pytest.raises(ForeignActionRefused, match="worker theirs runs it"):
        control.delete_foreign(ledger, EMAILS, job.id, by="ana")
    ledger.redis.delete(keys.rq_worker("theirs"))
    control.delete_foreign(ledger, EMAILS, job.id, by="ana")


def test_all_that_failed_is_requeued_at_once_and_what_cannot_be_is_told(ledger: Ledger) -> None:
    queue = emails(ledger)
    queue.enqueue_many([Queue.prepare_data(fail, args=("x",)) for _ in range(5)])
    work(ledger)
    ledger.redis.zadd("rq:failed:emails", {"gone": 4e9})
    receipt = control.move_foreign(ledger, "requeue", EMAILS, "failed", by="ana")
    assert (receipt.done, receipt.refused) == (5, 1)
    assert receipt.sentence == "5 failed RQ jobs of emails were requeued; 1 were not: 1 gone meanwhile."
    assert len(queue.job_ids) == 5
    emptied = control.move_foreign(ledger, "delete", EMAILS, "queued", by="ana")
    assert emptied.done == 5
    assert queue.job_ids == []


def test_deliveries_of_our_own_jobs_are_the_ledgers_alone(ledger: Ledger) -> None:
    job = submitted(ledger)
    rq_id = rq_id_of(ledger, job, "0")
    assert foreign.job(ledger, rq_id).ours
    with pytest.raises(ForeignActionRefused, match=f"it is a part of the job {job}"):
        control.delete_foreign(ledger, "default", rq_id, by="ana")
    assert foreign.page(ledger, "default", "queued").total == 1


def test_a_job_that_waits_cannot_be_stopped(ledger: Ledger) -> None:
    job = emails(ledger).enqueue(add, 1, 2)
    with pytest.raises(ForeignActionRefused, match="only one that runs can be"):
        control.stop_foreign(ledger, job.id, by="ana")


def test_a_stop_that_nobody_hears_is_said(real_ledger: Ledger) -> None:
    job = emails(real_ledger).enqueue(add, 1, 2)
    real_ledger.redis.hset(keys.rq_job(job.id), mapping={"status": "started", "worker_name": "dead"})
    with pytest.raises(ForeignActionRefused, match="worker dead does not listen any more"):
        control.stop_foreign(real_ledger, job.id, by="ana")


@pytest.fixture
def their_worker(real_ledger: Ledger, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process of the other program."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rq.cli", "worker", EMAILS, "--url", redis_url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield process
    process.kill()
    process.wait(10)


def test_a_running_job_is_stopped_and_the_outcome_is_seen(
    real_ledger: Ledger, their_worker: subprocess.Popen[bytes]
) -> None:
    job = emails(real_ledger).enqueue(last, 60)
    wait_until(lambda: foreign.standing(real_ledger, job.id)[0] == "started", what="the other program's worker")
    (row,) = foreign.page(real_ledger, EMAILS, "started").rows
    assert (row.id, row.known) == (job.id, True)
    assert foreign.job(real_ledger, job.id).worker_alive
    with pytest.raises(ForeignActionRefused, match="runs it at this moment"):
        control.delete_foreign(real_ledger, EMAILS, job.id, by="ana")
    receipt = control.stop_foreign(real_ledger, job.id, by="ana")
    assert "was asked to stop" in receipt.sentence
    wait_until(lambda: foreign.standing(real_ledger, job.id)[0] == "stopped", what="the stop")
    assert ids(real_ledger, "failed") == [job.id]
    assert FinishedJobRegistry(queue=emails(real_ledger)).get_job_count(cleanup=False) == 0
