"""A disk that is full or read-only, under real workers: the reason is said, what is published stays, a retry works."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tasks import kinds
from tasks.errors import DataUnwritable
from tasks.ledger import State, control, locks, monitor
from tasks.snapshots.shelf import Shelf
from tests.acceptance.conftest import Stack, lines
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

SIZE = "6m"


class Small(Stack):
    """A stack whose DATA is a small file system of its own."""

    def fill(self) -> None:
        """Leave no room at all."""
        with (self.data / "ballast").open("ab", buffering=0) as ballast:
            for size in (64 * 1024, 4096, 1):
                try:
                    while ballast.write(b"\0" * size) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        (self.data / "ballast").unlink()

    def remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.data)], check=True)

    def documents_said(self, job_id: str) -> str:
        return " ".join(row.error for row in monitor.documents(self.ledger, job_id))


@pytest.fixture(scope="module")
def stack(redis_url: str) -> Iterator[Small]:
    # Not below pytest's own folder, which it could not remove if this were left behind.
    base = Path(tempfile.mkdtemp(prefix="ib-disk-"))
    data = base / "data"
    data.mkdir()
    small = ["-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(data)]
    try:
        subprocess.run(["mount", *small], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        shutil.rmtree(base)
        pytest.skip("this user may not mount a small file system")
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    client.close()
    found = Small(data, redis_url, embedder_args=json.dumps({"seen": str(base / "seen.txt")}))
    found.log = base / "pool.log"
    try:
        pool = found.start_pool()
        yield found
        pool.terminate()
        pool.wait(30)
    finally:
        found.ledger.close()
        subprocess.run(["umount", "--lazy", str(data)], check=True)
        shutil.rmtree(base)


def whole(stack: Small, collection: str) -> tuple[str | None, int]:
    """The current snapshot and how many documents can be read from it."""
    shelf = Shelf(stack.data)
    current = shelf.current(collection)
    return current, len(shelf.documents(collection, current)) if current else 0


def test_a_submission_to_a_full_disk_is_refused_with_the_remedy(stack: Small) -> None:
    stack.fill()
    with pytest.raises(DataUnwritable, match=r"No space left.*free space"):
        stack.submit("A text that has no room." * 1000, collection="refused")
    stack.free()
    assert monitor.page(stack.ledger, collection="refused") == ([], 0)
    assert list((stack.data / "uploads").glob("_tmp-*")) == []


def test_a_disk_that_fills_up_while_a_document_is_embedded_fails_it_with_the_remedy(stack: Small) -> None:
    job_id = stack.submit(lines(40, "SLEEP 0.05 filled"), collection="filled")
    wait_until(lambda: stack.job(job_id).percent > 0, what="progress")
    stack.fill()
    job = stack.ended(job_id)
    assert job.state is State.FAILED
    assert "The disk that holds DATA is full; free space and retry" in stack.documents_said(job_id)
    stack.free()
    control.retry(stack.ledger, job_id, by="bo")
    job = stack.ended(job_id)
    assert (job.state, job.chunks) == (State.COMPLETED, 40)


def test_a_publish_to_a_full_disk_fails_with_the_reason(stack: Small) -> None:
    stack.ended(stack.submit("The first text.", collection="full", names=("a.txt",)))
    lock = locks.acquire(stack.ledger, "full")
    assert lock is not None
    job_id = stack.submit(lines(30, "third"), collection="full", names=("b.txt",))
    wait_until(lambda: "Waiting for the publish lock" in stack.job(job_id).step_description, what="the publish")
    stack.fill()
    lock.release()
    job = stack.ended(job_id)
    assert job.state is State.FAILED
    assert "cannot be written (No space left on device); free space" in job.error
    assert whole(stack, "full") == ("000001", 1)
    stack.free()
    control.retry(stack.ledger, job_id, by="bo")
    assert stack.ended(job_id).state is State.COMPLETED
    assert whole(stack, "full") == ("000002", 2)
    assert stack.staging("full") == []


def test_a_read_only_disk_fails_what_writes_and_hurts_nothing(stack: Small) -> None:
    stack.ended(stack.submit("The first text.", collection="frozen", names=("a.txt",)))
    lock = locks.acquire(stack.ledger, "frozen")
    assert lock is not None
    job_id = stack.submit(lines(10, "frozen"), collection="frozen", names=("b.txt",))
    wait_until(lambda: "Waiting for the publish lock" in stack.job(job_id).step_description, what="the publish")
    control.pause(stack.ledger, "low", by="ana")
    embedding = stack.submit(lines(10, "icy"), collection="icy", priority="low")
    stack.remount("ro")
    control.resume(stack.ledger, "low", by="ana")
    lock.release()
    job, other = stack.ended(job_id), stack.ended(embedding)
    assert (job.state, other.state) == (State.FAILED, State.FAILED)
    assert "Read-only file system" in job.error
    assert "Read-only file system" in stack.documents_said(embedding)
    with pytest.raises(DataUnwritable, match="Read-only file system"):
        stack.submit("Not now.", collection="icy")
    stack.remount("rw")
    assert whole(stack, "frozen") == ("000001", 1)
    for one in (job_id, embedding):
        control.retry(stack.ledger, one, by="bo")
        assert stack.ended(one).state is State.COMPLETED
    assert whole(stack, "frozen") == ("000002", 2)


def test_an_export_without_room_fails_with_the_reason_and_leaves_nothing(stack: Small) -> None:
    job_id = stack.submit(lines(60, "export"), collection="exported")
    assert stack.ended(job_id).state is State.COMPLETED
    stack.fill()
    asked = control.request(
        stack.ledger,
        kind=kinds.EXPORT.name,
        collection="exported",
        arguments=kinds.ExportArguments(format="jsonl", version="", vectors=True).model_dump_json(),
        owner="ana",
        title="Export",
    ).job
    job = stack.ended(asked)
    assert job.state is State.FAILED
    assert "No space left on device" in job.error
    stack.free()
    control.retry(stack.ledger, asked, by="bo")
    assert stack.ended(asked).state is State.COMPLETED
