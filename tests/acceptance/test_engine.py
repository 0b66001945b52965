"""Real workers, an embedder that counts, readers that are lost: nothing is embedded twice, a bad file is put aside."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import redis

from tasks.ledger import State, control, monitor
from tasks.ledger.states import DocumentState
from tasks.recipe import Recipe
from tasks.submitting import submit_files
from tests.acceptance.conftest import Stack, lines
from tests.unit.factories.documents import pdf
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

SILENCE_S = 3


class CountingStack(Stack):
    """A stack whose embedder writes down what it is asked for."""

    seen: Path

    def counted(self, since: int = 0) -> Counter[str]:
        """How often each text was embedded, after the first `since` calls."""
        return Counter(self.calls()[since:])

    def calls(self) -> list[str]:
        found = self.seen.read_text().splitlines() if self.seen.exists() else []
        return [line for line in found if not line.startswith("busy")]

    def some_calls(self) -> None:
        """Wait for a few calls more, nobody knows how many."""
        enough = len(self.calls()) + random.randint(3, 12)
        wait_until(lambda: len(self.calls()) >= enough, what="some batches")

    def kept(self) -> list[Path]:
        """What is kept of documents that are not whole."""
        return [path for path in (self.data / "artifacts").rglob("*") if path.suffix in (".partial", ".lock")]


@pytest.fixture(scope="module")
def stack(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountingStack]:
    data = tmp_path_factory.mktemp("engine")
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    client.close()
    seen = data / "seen.txt"
    found = CountingStack(data, redis_url, embedder_args=json.dumps({"seen": str(seen)}), document_silence_s=SILENCE_S)
    found.seen = seen
    pool = found.start_pool()
    yield found
    pool.terminate()
    pool.wait(30)
    found.ledger.close()


def child_of(parent: psutil.Process | None) -> psutil.Process | None:
    children = parent.children() if parent is not None and parent.is_running() else []
    return children[0] if children else None


def horses(stack: Stack, job_id: str) -> list[psutil.Process]:
    """The work horses that have the job in hand."""
    workers = [row.pid for row in monitor.workers(stack.ledger) if row.job == job_id]
    return [horse for pid in workers if psutil.pid_exists(pid) and (horse := child_of(psutil.Process(pid)))]


def reader_of(stack: Stack, job_id: str, other_than: int = 0) -> psutil.Process:
    """The process that reads a document of the job."""

    def find() -> psutil.Process | None:
        try:
            for horse in horses(stack, job_id):
                reader = child_of(horse)
                if reader is not None and reader.pid != other_than:
                    return reader
        except psutil.NoSuchProcess:
            pass
        return None

    return wait_until(find, what="a reader")


def submit_large(stack: Stack, marks: str, collection: str, *others: str) -> str:
    """A job of a text that is too large for the reader to read ahead of its embedding, about 150 chunks."""
    body = "".join(f"{marks} {collection} line {at}, and then words, words and words.\n" for at in range(50_000))
    files = [("large.txt", BytesIO(body.encode()))]
    files += [(f"other{at}.txt", BytesIO(text.encode())) for at, text in enumerate(others)]
    recipe = Recipe(chunk_size=20_000, chunk_overlap=0)
    return submit_files(stack.ledger, files, collection=collection, owner="ana", recipe=recipe).job


def test_a_document_that_is_canceled_anywhere_goes_on_where_it_stopped(stack: CountingStack) -> None:
    before = len(stack.calls())
    job_id = stack.submit(lines(40, "SLEEP 0.05 canceled"), collection="canceled")
    for _ in range(2):
        stack.some_calls()
        control.cancel(stack.ledger, job_id, by="bo")
        assert stack.ended(job_id).state is State.CANCELED
        control.retry(stack.ledger, job_id, by="bo")
    job = stack.ended(job_id)
    assert (job.state, job.chunks) == (State.COMPLETED, 40)
    assert sorted(stack.counted(before).values()) == [1] * 40
    assert stack.kept() == []


def test_a_kill_anywhere_costs_the_batch_in_flight_at_most(stack: CountingStack) -> None:
    before = len(stack.calls())
    job_id = stack.submit(lines(40, "SLEEP 0.05 killed"), collection="killed")
    for _ in range(2):
        stack.some_calls()
        wait_until(lambda: horses(stack, job_id), what="a work horse")[0].send_signal(signal.SIGKILL)
    job = stack.ended(job_id)
    assert (job.state, job.chunks) == (State.COMPLETED, 40)
    counted = stack.counted(before)
    assert len(counted) == 40
    assert counted.total() <= 42
    assert stack.kept() == []


def test_equal_content_in_two_jobs_at_once_is_embedded_once(stack: CountingStack) -> None:
    before = len(stack.calls())
    text = lines(20, "SLEEP 0.05 shared")
    jobs = [stack.submit(text, text, collection=name, names=("a.txt", "b.txt")) for name in ("one", "two")]
    assert [(job.state, job.chunks) for job in map(stack.ended, jobs)] == [(State.COMPLETED, 40)] * 2
    assert sorted(stack.counted(before).values()) == [1] * 20
    assert sum(stack.job(job_id).documents_cached for job_id in jobs) == 3


def test_a_document_whose_reader_is_lost_once_is_read_again(stack: CountingStack) -> None:
    before = len(stack.calls())
    job_id = submit_large(stack, "SLEEP 0.02", "lost")
    wait_until(lambda: len(stack.calls()) > before + 5, what="some batches")
    reader_of(stack, job_id).kill()
    job = stack.ended(job_id)
    (document,) = monitor.documents(stack.ledger, job_id)
    assert (job.state, job.attempt, document.tries) == (State.COMPLETED, 1, 1)
    assert any("it is tried once more" in event.text for event in monitor.events(stack.ledger, job_id))
    assert set(stack.counted(before).values()) == {1}


def test_a_file_that_hangs_its_reader_twice_is_put_aside_and_the_job_goes_on(stack: CountingStack) -> None:
    job_id = submit_large(stack, "", "hanging", "A good one.")
    stopped = 0
    for _ in range(2):
        reader = reader_of(stack, job_id, other_than=stopped)
        reader.suspend()
        stopped = reader.pid
    job = stack.ended(job_id)
    assert (job.state, job.documents_done, job.documents_failed) == (State.PARTIAL, 1, 1)
    failed = monitor.documents(stack.ledger, job_id)[0]
    assert failed.state is DocumentState.FAILED
    assert "made no progress for 3 s while it was read and was put aside after 2 tries" in failed.error
    assert not psutil.pid_exists(stopped)


def test_a_job_whose_reader_hangs_is_canceled_at_once(stack: CountingStack) -> None:
    job_id = submit_large(stack, "", "hung")
    reader = reader_of(stack, job_id)
    reader.suspend()
    calls, since = -1, time.monotonic()

    def still() -> bool:
        nonlocal calls, since
        if len(stack.calls()) != calls:
            calls, since = len(stack.calls()), time.monotonic()
        return time.monotonic() - since > 0.6

    wait_until(still, what="the work to wait for the reader")
    control.cancel(stack.ledger, job_id, by="bo")
    job = stack.ended(job_id)
    assert job.stop is not None
    assert (job.state, job.stop.how) == (State.CANCELED, "at a checkpoint")
    assert job.stop.took_s is not None
    assert job.stop.took_s < 1
    wait_until(lambda: not reader.is_running(), what="the reader's end")


def test_a_long_pdf_moves_the_bar_and_stops_at_once(stack: CountingStack) -> None:
    body = pdf([f"Page {page} of a long report, SLEEP 0.02" for page in range(1, 401)])
    files = [("long.pdf", BytesIO(body))]
    job_id = submit_files(stack.ledger, files, collection="long", owner="ana", recipe=Recipe()).job
    moves: dict[float, float] = {}

    def half_way() -> bool:
        percent = stack.job(job_id).percent
        moves.setdefault(percent, time.monotonic())
        return percent > 50

    wait_until(half_way, timeout_s=40, what="half of it")
    at = list(moves.values())[1:]  # the first is from before a worker had it
    assert max(later - earlier for earlier, later in pairwise(at)) < 2
    control.cancel(stack.ledger, job_id, by="bo")
    job = stack.ended(job_id)
    assert job.stop is not None
    assert (job.state, job.stop.how) == (State.CANCELED, "at a checkpoint")
    assert job.stop.took_s is not None
    assert job.stop.took_s < 2


def test_a_killed_work_horse_takes_its_reader_with_it(stack: CountingStack) -> None:
    job_id = submit_large(stack, "SLEEP 0.02", "taken")
    reader = reader_of(stack, job_id)
    control.cancel(stack.ledger, job_id, by="bo", force=True)
    wait_until(lambda: not reader.is_running(), what="the reader's end")
    assert stack.ended(job_id).state is State.CANCELED


def test_a_busy_embedder_is_waited_for_and_the_board_says_so(stack: CountingStack) -> None:
    job_id = stack.submit("BUSY 2 and then it answers.", collection="busy")
    wait_until(lambda: "Waiting for the embedder (rate limit)" in stack.job(job_id).step_description, what="the words")
    assert stack.job(job_id).state is State.RUNNING
    assert stack.ended(job_id).state is State.COMPLETED
    assert b"sk-secret" not in stack.log.read_bytes()


def test_a_job_that_waits_for_its_embedder_is_canceled_at_once(stack: CountingStack) -> None:
    job_id = stack.submit("BUSY 1000 is what it always says.", collection="waiting")
    wait_until(lambda: "Waiting for the embedder" in stack.job(job_id).step_description, what="the words")
    control.cancel(stack.ledger, job_id, by="bo")
    job = stack.ended(job_id)
    assert job.stop is not None
    assert (job.state, job.stop.how) == (State.CANCELED, "at a checkpoint")
    assert job.stop.took_s is not None
    assert job.stop.took_s < 1
