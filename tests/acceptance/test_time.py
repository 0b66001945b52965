"""Time limits and turns, on real workers: a job past its limit ends, and a small job does not wait for a big one."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import pytest

from tasks.ledger import State, control, monitor
from tasks.ledger.control import NewDocument
from tasks.recipe import Recipe
from tasks.snapshots.shelf import Shelf
from tasks.submitting import submit_files, with_embedder
from tasks.uploads import Uploads
from tests.acceptance.conftest import Stack, lines
from tests.waiting import kept_within, wait_until

pytestmark = pytest.mark.acceptance

RECIPE = Recipe(chunk_size=100, chunk_overlap=0)
TURN_S = 2.0  # within which a one-document job starts, whatever runs


def limited(stack: Stack, *texts: str, collection: str, job_s: float = 0.0, document_s: float = 0.0) -> str:
    files = [(f"d{at}.txt", BytesIO(text.encode())) for at, text in enumerate(texts)]
    return submit_files(
        stack.ledger,
        files,
        collection=collection,
        owner="ana",
        recipe=RECIPE,
        time_limit_s=job_s,
        document_limit_s=document_s,
    ).job


def test_a_job_past_its_limit_fails_at_a_checkpoint_and_a_retry_goes_on(stack: Stack) -> None:
    job_id = limited(stack, lines(200, "SLEEP 0.1"), "Short.", collection="late", job_s=1.5)
    job = stack.ended(job_id)
    assert job.state is State.FAILED
    assert job.error.startswith("It ran longer than its time limit of 1.5 s")
    assert (job.documents_done, job.documents_failed) == (1, 0)
    assert job.stop is not None
    assert job.stop.how == "at a checkpoint"
    assert Shelf(stack.data).current("late") is None


def test_a_job_past_its_limit_that_reports_nothing_is_killed(stack: Stack) -> None:
    job_id = limited(stack, lines(1, "SLEEP 60") + " late", collection="late", job_s=1)
    job = stack.ended(job_id)
    assert job.state is State.FAILED
    assert "time limit of 1 s" in job.error
    assert job.stop is not None
    assert job.stop.how == "by killing its work horse"


def test_a_document_past_its_limit_fails_and_its_neighbours_do_not(stack: Stack) -> None:
    job_id = limited(stack, "Good.", lines(200, "SLEEP 0.1") + " slow", "Also good.", collection="part", document_s=1)
    job = stack.ended(job_id)
    assert (job.state, job.documents_done, job.documents_failed) == (State.PARTIAL, 2, 1)
    assert monitor.documents(stack.ledger, job_id)[1].error.startswith("The document took longer than the limit of 1 s")


def test_a_document_past_its_limit_that_reports_nothing_fails_alone_and_at_once(stack: Stack) -> None:
    job_id = limited(stack, lines(1, "SLEEP 60") + " hangs", "Good as well.", collection="stuck", document_s=1)
    job = stack.ended(job_id)
    assert (job.state, job.documents_done, job.documents_failed, job.attempt) == (State.PARTIAL, 1, 1, 1)
    hung = monitor.documents(stack.ledger, job_id)[0]
    assert hung.error.startswith("The document took longer than the limit of 1 s")
    assert hung.tries == 0


@pytest.fixture
def big(stack: Stack) -> Iterator[str]:
    """A job of 10,000 documents that keeps both workers busy for as long as the test takes."""
    uploads = Uploads(stack.data)
    saved = [
        uploads.save(BytesIO((lines(1, "SLEEP 0.1") + f" big {at}").encode()), max_bytes=10_000, name="d")
        for at in range(400)
    ]
    documents = [NewDocument(f"d{at}.txt", saved[at % 400][1], sha256=saved[at % 400][0]) for at in range(10_000)]
    job_id = control.submit(
        stack.ledger,
        collection="big",
        documents=documents,
        owner="ana",
        recipe=with_embedder(RECIPE, stack.settings),
    ).job
    wait_until(lambda: sum(row.job == job_id for row in monitor.workers(stack.ledger)) == 2, what="both workers on it")
    yield job_id
    control.cancel(stack.ledger, job_id, by="bo")
    assert stack.ended(job_id).state is State.CANCELED


def test_a_job_of_one_document_starts_within_two_seconds_behind_one_of_ten_thousand(stack: Stack, big: str) -> None:
    def waited() -> float:
        job = stack.ended(stack.submit("Small.", collection="small"))
        assert job.state is State.COMPLETED
        assert job.created_at is not None
        assert job.started_at is not None
        return (job.started_at - job.created_at).total_seconds()

    kept_within(TURN_S, waited)
    assert stack.job(big).state is State.RUNNING
