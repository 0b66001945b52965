"""Real workers on a real Redis: jobs run, stop, fail and survive."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from tasks.ledger import State, control, keys, monitor, store
from tasks.ledger.states import DocumentState
from tasks.snapshots.shelf import Shelf
from tests.acceptance.conftest import GRACE_S, Stack, lines
from tests.waiting import kept_within, wait_until

pytestmark = pytest.mark.acceptance


def horse_of(stack: Stack, job_id: str) -> psutil.Process:
    """The work horse that has the job in hand."""

    def find() -> psutil.Process | None:
        if stack.job(job_id).state is State.QUEUED:  # forked, and not yet claimed
            return None
        for row in monitor.workers(stack.ledger):
            if row.job == job_id:
                children = psutil.Process(row.pid).children()
                if children:
                    return children[0]
        return None

    return wait_until(find, what="a work horse")


def test_documents_become_a_snapshot(stack: Stack) -> None:
    job = stack.ended(stack.submit("One text.", "Another text.", collection="first"))
    assert (job.state, job.documents_done, job.snapshot) == (State.COMPLETED, 2, "000001")
    (row,) = Shelf(stack.data).snapshots("first")
    assert (row.documents, row.chunks, row.current, row.job) == (2, 2, True, job.id)


def test_a_failed_document_does_not_fail_its_neighbours(stack: Stack) -> None:
    job_id = stack.submit("Good.", "   ", "Also good.", collection="partly")
    job = stack.ended(job_id)
    assert (job.state, job.documents_done, job.documents_failed) == (State.PARTIAL, 2, 1)
    assert "no text" in monitor.documents(stack.ledger, job_id)[1].error


def test_all_documents_failed_publishes_nothing(stack: Stack) -> None:
    job = stack.ended(stack.submit("", "%PDF-1.7 broken", collection="none"))
    assert job.state is State.FAILED
    assert Shelf(stack.data).current("none") is None


def test_the_embedders_message_with_its_key_is_shown_nowhere(stack: Stack) -> None:
    job_id = stack.submit("RAISE now", collection="raising")
    assert stack.ended(job_id).state is State.FAILED
    (document,) = monitor.documents(stack.ledger, job_id)
    assert "RuntimeError" in document.error
    assert "sk-secret" not in document.error
    assert b"sk-secret" not in stack.log.read_bytes()


def test_one_big_job_keeps_every_worker_busy(stack: Stack) -> None:
    job_id = stack.submit(*[lines(1, "SLEEP 0.05") + str(at) for at in range(60)], collection="wide")
    wait_until(lambda: sum(row.job == job_id for row in monitor.workers(stack.ledger)) == 2, what="both workers on it")
    assert stack.ended(job_id).documents_done == 60


def test_what_was_embedded_once_is_not_embedded_again(stack: Stack) -> None:
    text = lines(3, "SLEEP 0.1")
    stack.ended(stack.submit(text, collection="once"))
    job = stack.ended(stack.submit(text, collection="twice"))
    assert (job.documents_cached, job.chunks) == (1, 3)


def test_a_running_job_stops_at_a_checkpoint_and_leaves_nothing(stack: Stack) -> None:
    job_id = stack.submit(lines(200, "SLEEP 0.1"), collection="stopped")
    wait_until(lambda: stack.job(job_id).percent > 0, what="progress")
    control.cancel(stack.ledger, job_id, by="bo")
    job = stack.ended(job_id)
    assert job.state is State.CANCELED
    assert job.stop is not None
    assert job.stop.how == "at a checkpoint"
    assert stack.staging("stopped") == []
    assert Shelf(stack.data).current("stopped") is None


def test_a_canceled_job_can_be_retried_to_its_end(stack: Stack) -> None:
    job_id = stack.submit(lines(30, "SLEEP 0.1"), "A short one.", collection="resumed")
    wait_until(lambda: stack.job(job_id).documents_done == 1, what="the short one")
    control.cancel(stack.ledger, job_id, by="bo")
    stack.ended(job_id)
    control.retry(stack.ledger, job_id, by="bo")
    job = stack.ended(job_id)
    assert (job.state, job.attempt, job.documents_done) == (State.COMPLETED, 2, 2)


def test_no_checkpoint_within_the_grace_and_the_work_horse_is_killed(stack: Stack) -> None:
    job_id = stack.submit(lines(1, "SLEEP 60"), collection="hung")
    horse = horse_of(stack, job_id)
    control.cancel(stack.ledger, job_id, by="bo")
    job = stack.ended(job_id)
    assert job.state is State.CANCELED
    assert job.stop is not None
    assert job.stop.how == "by killing its work horse"
    assert job.stop.took_s is not None
    assert job.stop.took_s >= GRACE_S
    assert not horse.is_running()


def test_a_forced_stop_does_not_wait_for_the_grace(stack: Stack) -> None:
    def stopped() -> float:
        job_id = stack.submit(lines(1, "SLEEP 60") + " forced", collection="hung")
        horse_of(stack, job_id)
        control.cancel(stack.ledger, job_id, by="bo", force=True)
        job = stack.ended(job_id)
        assert job.stop is not None
        assert job.stop.forced
        assert job.stop.took_s is not None
        return job.stop.took_s

    kept_within(GRACE_S, stopped)


def test_a_work_horse_that_hangs_on_a_shard_of_another_ends_too(stack: Stack) -> None:
    job_id = stack.submit(lines(1, "SLEEP 60") + " behind", collection="hung")
    horse = horse_of(stack, job_id)
    worker = stack.job(job_id).worker
    # What a janitor does while a worker cannot be reached, which then comes back and was never away itself.
    assert stack.ledger.transition("write_off", job_id, "0", worker, store.new_rq_id())[0] == "ok"
    wait_until(lambda: not horse.is_running(), what="its end")
    assert worker in monitor.worker_names(stack.ledger)
    control.cancel(stack.ledger, job_id, by="bo", force=True)
    assert stack.ended(job_id).state is State.CANCELED


@pytest.mark.parametrize("end", ["forced stop", "its own end"])
def test_what_a_work_horse_has_started_ends_with_it_even_in_a_session_of_its_own(stack: Stack, end: str) -> None:
    mark = "SPAWN SLEEP 60" if end == "forced stop" else "SPAWN SLEEP 0.8"
    job_id = stack.submit(lines(1, mark), collection="spawning")
    horse = horse_of(stack, job_id)

    def started() -> list[psutil.Process]:
        below = horse.children(recursive=True)
        return below if any(process.name() == "sleep" for process in below) else []

    below = wait_until(started, what="the grandchild")
    if end == "forced stop":
        control.cancel(stack.ledger, job_id, by="bo", force=True)
    assert stack.ended(job_id).state is (State.CANCELED if end == "forced stop" else State.COMPLETED)
    wait_until(lambda: not any(process.is_running() for process in below), what="their end")


def test_a_reader_that_is_stopped_is_killed_with_its_work_horse(stack: Stack) -> None:
    page = "<html><body>" + "<p>SLEEP 0.3 A paragraph of its own.</p>" * 400 + "</body></html>"
    job_id = stack.submit(page, collection="reading", names=("page.html",))
    horse = horse_of(stack, job_id)
    reader = wait_until(lambda: next(iter(horse.children()), None), what="its reader")
    for process in (horse, reader):
        process.send_signal(signal.SIGSTOP)
    control.cancel(stack.ledger, job_id, by="bo", force=True)
    assert stack.ended(job_id).state is State.CANCELED
    wait_until(lambda: not reader.is_running() and not horse.is_running(), what="their end")


def test_a_killed_work_horse_costs_its_document_nothing(stack: Stack) -> None:
    job_id = stack.submit(lines(20, "SLEEP 0.1"), collection="survivor")
    horse = horse_of(stack, job_id)
    wait_until(lambda: stack.job(job_id).percent > 0, what="progress")
    horse.send_signal(signal.SIGKILL)
    job = stack.ended(job_id)
    assert (job.state, job.attempt, job.documents_done) == (State.COMPLETED, 2, 1)
    assert any("signal 9" in event.text for event in monitor.events(stack.ledger, job_id))


def test_the_document_that_kills_every_work_horse_fails_alone(stack: Stack) -> None:
    job_id = stack.submit("Good.", lines(1, "DIE"), "Good too.", collection="poison")
    job = stack.ended(job_id)
    assert (job.state, job.documents_done, job.documents_failed) == (State.PARTIAL, 2, 1)
    failed = monitor.documents(stack.ledger, job_id)[1]
    assert failed.state is DocumentState.FAILED
    assert "worker was lost 3 times" in failed.error


@pytest.mark.parametrize(
    "task",
    [("os.system", ["touch /tmp/never"]), ("tasks.ingest.run.run_shard", ["only one"]), ("no.such.module.task", [])],
)
def test_an_unregistered_task_is_refused_and_the_worker_goes_on(stack: Stack, task: tuple[str, list[str]]) -> None:
    queue = Queue("default", connection=stack.ledger.redis, serializer=JSONSerializer)
    entry = queue.enqueue_call(task[0], args=task[1])
    wait_until(lambda: entry.get_status(refresh=True) == "failed", what="the refusal")
    result = Job.fetch(entry.id, stack.ledger.redis, JSONSerializer).latest_result()
    assert result is not None
    assert "was not run" in str(result.exc_string)
    assert stack.ended(stack.submit("Still here.", collection="after")).state is State.COMPLETED


def test_a_pickled_task_is_never_unpickled(stack: Stack, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'pwned'}",)

    entry = Queue("default", connection=stack.ledger.redis).enqueue_call("print", args=(Evil(),))
    wait_until(lambda: stack.ledger.redis.hget(keys.rq_job(entry.id), "status") == b"failed", what="the refusal")
    assert not (tmp_path / "pwned").exists()
    assert stack.ended(stack.submit("Still here.", collection="after")).state is State.COMPLETED


def test_an_entry_that_cannot_be_decoded_is_put_aside(stack: Stack) -> None:
    stack.ledger.redis.hset(keys.rq_job("garbage"), mapping={"data": b"\x00\xff", "created_at": "not a date"})
    stack.ledger.redis.rpush(keys.rq_queue("default"), "garbage")
    wait_until(lambda: stack.ledger.redis.hget(keys.rq_job("garbage"), "status") == b"failed", what="the refusal")
    assert stack.ended(stack.submit("Still here.", collection="after")).state is State.COMPLETED


def test_two_jobs_that_publish_to_one_collection_both_end_up_in_it(stack: Stack) -> None:
    jobs = [stack.submit(f"Text number {at}.", names=(f"n{at}.txt",), collection="shared") for at in range(6)]
    assert {stack.ended(job_id).state for job_id in jobs} == {State.COMPLETED}
    assert Shelf(stack.data).snapshots("shared")[0].documents == 6


def test_a_small_job_gets_its_turn_while_a_big_one_runs(stack: Stack) -> None:
    big = stack.submit(*[lines(1, "SLEEP 0.2") + f" big {at}" for at in range(100)], collection="big")
    wait_until(lambda: sum(row.job == big for row in monitor.workers(stack.ledger)) == 2, what="both workers on it")
    small = stack.ended(stack.submit("Small.", collection="small"))
    assert small.state is State.COMPLETED
    assert stack.job(big).state is State.RUNNING
    assert stack.job(big).documents_done < 60
    control.cancel(stack.ledger, big, by="bo")
    assert stack.ended(big).state is State.CANCELED


def test_a_folder_on_the_server_is_read_by_the_workers(stack: Stack) -> None:
    from tasks.submitting import submit_folder

    folder = stack.data / "shared" / "papers"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("Alpha.")
    (folder / "sub" / "b.txt").write_text("Beta.")
    job_id = submit_folder(stack.ledger, folder, collection="folder", owner="ana").job
    assert stack.ended(job_id).state is State.COMPLETED
    assert [row.name for row in monitor.documents(stack.ledger, job_id)] == ["a.txt", "sub/b.txt"]


def test_sigterm_hands_the_work_back_and_another_pool_ends_it(stack: Stack) -> None:
    job_id = stack.submit(lines(25, "SLEEP 0.2") + " handed", collection="handed")
    horse_of(stack, job_id)
    worker = next(row for row in monitor.workers(stack.ledger) if row.job == job_id)
    asked = time.monotonic()
    os.kill(worker.pid, signal.SIGTERM)
    wait_until(lambda: not psutil.pid_exists(worker.pid), what="the worker's end")
    assert time.monotonic() - asked < 5
    job = stack.ended(job_id)
    assert (job.state, job.attempt) == (State.COMPLETED, 1)
    assert any("goes back to the queue" in event.text for event in monitor.events(stack.ledger, job_id))


def test_a_worker_killed_with_its_work_horse_is_replaced_and_the_job_goes_on(stack: Stack) -> None:
    job_id = stack.submit(lines(25, "SLEEP 0.2") + " orphaned", collection="orphaned")
    horse = horse_of(stack, job_id)
    worker = next(row for row in monitor.workers(stack.ledger) if row.job == job_id)
    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: not horse.is_running(), what="the work horse's end with its parent")
    job = stack.ended(job_id, timeout_s=40)
    assert (job.state, job.documents_done) == (State.COMPLETED, 1)


def test_percent_never_falls_while_a_job_runs(stack: Stack) -> None:
    job_id = stack.submit(*[lines(5, "SLEEP 0.05") + str(at) for at in range(4)], collection="steady")
    seen: list[float] = []

    def watch() -> bool:
        seen.append(stack.job(job_id).percent)
        return stack.job(job_id).final

    wait_until(watch, what="the end")
    assert seen == sorted(seen)
    assert len(set(seen)) > 5


def test_the_ledger_holds_no_text_of_a_document(stack: Stack) -> None:
    stack.ended(stack.submit("The xylophone canary sentence.", collection="private"))
    for key in stack.ledger.redis.scan_iter(count=1000):
        assert b"xylophone" not in (stack.ledger.redis.dump(key) or b"")
    assert b"xylophone" not in stack.log.read_bytes()
