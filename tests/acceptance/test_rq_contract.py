"""What a user of RQ relies on holds for functions that the operator has named, and nothing else runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Callback, Queue, Repeat, Retry
from rq.command import send_stop_job_command
from rq.job import Dependency, Job
from rq.serializers import JSONSerializer

from tasks.ledger import State, keys
from tests.acceptance.conftest import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

HERE = "tests.rq_functions"
REGISTERED = [
    f"{HERE}.{name}" for name in ("note", "fail_at_first", "sleep", "after_success", "after_failure", "after_stop")
]


@pytest.fixture(scope="module")
def stack(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    client.close()
    found = Stack(tmp_path_factory.mktemp("contract"), redis_url, rq_functions=",".join(REGISTERED))
    pool = found.start_pool()
    yield found
    pool.terminate()
    pool.wait(30)
    found.ledger.close()


@pytest.fixture
def queue(stack: Stack) -> Queue:
    return Queue("default", connection=stack.ledger.redis, serializer=JSONSerializer)


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    return tmp_path / "paper.txt"


def until(stack: Stack, job: Job, status: str, timeout_s: float = 20) -> Job:
    """The job once it has that status."""
    wait_until(lambda: job.get_status(refresh=True) == status, timeout_s=timeout_s, what=f"{job.func_name} as {status}")
    return Job.fetch(job.id, stack.ledger.redis, JSONSerializer)


def lines(paper: Path) -> list[str]:
    return paper.read_text().splitlines() if paper.exists() else []


def test_a_function_runs_and_its_result_is_kept(stack: Stack, queue: Queue, paper: Path) -> None:
    job = queue.enqueue(f"{HERE}.note", str(paper), line="hello")
    assert until(stack, job, "finished").return_value() == 1
    assert lines(paper) == ["hello"]
    # The worker takes it out of there right after it has said that it failed.
    wait_until(lambda: stack.ledger.redis.llen(keys.rq_intermediate("default")) == 0, what="an empty list")


def test_a_failed_function_is_retried_as_often_as_it_may(stack: Stack, queue: Queue, paper: Path) -> None:
    job = queue.enqueue(f"{HERE}.fail_at_first", str(paper), 2, retry=Retry(max=3))
    assert until(stack, job, "finished").return_value() == "done at try 3"


def test_a_retry_may_wait(stack: Stack, queue: Queue, paper: Path) -> None:
    job = queue.enqueue(f"{HERE}.fail_at_first", str(paper), 1, retry=Retry(max=1, interval=1))
    assert until(stack, job, "finished").return_value() == "done at try 2"


def test_a_function_that_always_fails_ends_as_failed(stack: Stack, queue: Queue, paper: Path) -> None:
    job = until(stack, queue.enqueue(f"{HERE}.fail_at_first", str(paper), 9, retry=Retry(max=1)), "failed")
    assert len(lines(paper)) == 2
    result = job.latest_result()
    assert result is not None
    assert "try 2 of 9" in str(result.exc_string)


def test_callbacks_are_called(stack: Stack, queue: Queue, paper: Path) -> None:
    calls: dict[str, Any] = {
        "on_success": Callback(f"{HERE}.after_success"),
        "on_failure": Callback(f"{HERE}.after_failure"),
    }
    until(stack, queue.enqueue(f"{HERE}.note", str(paper), "hello", **calls), "finished")
    assert lines(paper) == ["hello", "success 1"]
    until(stack, queue.enqueue(f"{HERE}.fail_at_first", str(paper), 9, **calls), "failed")
    assert lines(paper)[2:] == ["tried", "failure RuntimeError"]


def test_a_function_repeats(stack: Stack, queue: Queue, paper: Path) -> None:
    queue.enqueue(f"{HERE}.note", str(paper), "again", repeat=Repeat(times=2, interval=1))
    wait_until(lambda: lines(paper) == ["again"] * 3, what="three times in all")


def test_a_function_past_its_timeout_is_ended(stack: Stack, queue: Queue) -> None:
    job = until(stack, queue.enqueue(f"{HERE}.sleep", 60, job_timeout=1), "failed")
    result = job.latest_result()
    assert result is not None
    assert "JobTimeoutException" in str(result.exc_string)


def test_a_function_waits_for_what_it_depends_on(stack: Stack, queue: Queue, paper: Path) -> None:
    first = queue.enqueue(f"{HERE}.sleep", 0.5)
    second = queue.enqueue(f"{HERE}.note", str(paper), "second", depends_on=first)
    assert second.get_status() == "deferred"
    until(stack, second, "finished")
    assert first.get_status(refresh=True) == "finished"


def test_a_function_may_depend_on_a_failure(stack: Stack, queue: Queue, paper: Path) -> None:
    first = queue.enqueue(f"{HERE}.fail_at_first", str(paper), 9)
    allowed = queue.enqueue(
        f"{HERE}.note", str(paper), "all the same", depends_on=Dependency(first, allow_failure=True)
    )
    until(stack, allowed, "finished")
    assert lines(paper) == ["tried", "all the same"]


@pytest.mark.parametrize("put", ["enqueue_in", "enqueue_at"])
def test_a_function_is_put_off(stack: Stack, queue: Queue, paper: Path, put: str) -> None:
    due = datetime.now(UTC) + timedelta(seconds=2)
    when: Any = timedelta(seconds=2) if put == "enqueue_in" else due
    function: Callable[..., Job] = getattr(queue, put)
    job = function(when, f"{HERE}.note", str(paper), "later")
    assert job.get_status() == "scheduled"
    until(stack, job, "finished")
    assert datetime.now(UTC) >= due - timedelta(seconds=0.1)


def test_a_function_is_stopped_by_rqs_command(stack: Stack, queue: Queue) -> None:
    job = queue.enqueue(f"{HERE}.sleep", 60, on_stopped=Callback(f"{HERE}.after_stop"))
    until(stack, job, "started")
    # The command travels by pub/sub and asks the worker's current job; it is set a moment after the status.
    wait_until(lambda: _stopped(stack, job), what="the stop")
    until(stack, job, "stopped")
    wait_until(lambda: stack.ledger.redis.get("test:stopped") == job.id.encode(), what="the callback")


def _stopped(stack: Stack, job: Job) -> bool:
    if job.get_status(refresh=True) == "started":
        send_stop_job_command(stack.ledger.redis, job.id, serializer=JSONSerializer)
    return job.get_status(refresh=True) == "stopped"


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("not_registered", {}),
        ("note.__call__", {}),
        ("note", {"on_success": Callback(f"{HERE}.not_registered")}),
        ("note", {"on_failure": Callback("os.system")}),
        ("note", {"on_stopped": Callback("os.system")}),
    ],
)
def test_what_is_not_named_is_refused(
    stack: Stack, queue: Queue, paper: Path, task: str, options: dict[str, Any]
) -> None:
    job = queue.enqueue(f"{HERE}.{task}", str(paper), "hello", retry=Retry(max=3), **options)
    refused = wait_until(until(stack, job, "failed").latest_result, what="the reason")
    assert "was not run" in str(refused.exc_string)
    assert lines(paper) == []
    intermediate = keys.rq_intermediate("default")
    wait_until(lambda: stack.ledger.redis.llen(intermediate) == 0, what="the entry's end where RQ looks for lost ones")


def test_documents_are_ingested_beside_them(stack: Stack, queue: Queue, paper: Path) -> None:
    job = queue.enqueue(f"{HERE}.note", str(paper), "beside")
    assert stack.ended(stack.submit("Text.", collection="beside")).state is State.COMPLETED
    until(stack, job, "finished")
