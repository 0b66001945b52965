"""Memory stays flat over a job of 5,000 documents: in the worker, and from its first work horse to its last."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil
import pytest
import redis

from tasks.ledger import State, monitor
from tasks.recipe import Recipe
from tasks.submitting import submit_folder
from tests.acceptance.conftest import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

DOCUMENTS = 5_000
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 1024**3  # a container may have 64 MB of it
FIRST = 500  # documents after which the worker has seen everything that it will see
MOST_BYTES = 10 * 1024**2
LOOK_S = 0.05  # a work horse lives for several of these


@dataclass
class Watched:
    """Resident bytes of a worker, and the most that each of its work horses had, in the order of their start."""

    worker: psutil.Process
    horses: dict[int, int] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Look again and again until told to stop; a work horse that ends in the meantime was seen before."""
        while not self.done.wait(LOOK_S):
            for horse in self.worker.children():
                try:
                    seen = horse.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
                self.horses[horse.pid] = max(self.horses.get(horse.pid, 0), seen)

    def resident(self) -> int:
        return int(self.worker.memory_info().rss)


@pytest.fixture
def one_worker(redis_url: str) -> Iterator[Stack]:
    """A stack with a single worker; in memory where there is such a folder, for twenty thousand fsyncs take long."""
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    client.close()
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES
    with tempfile.TemporaryDirectory(dir=MEMORY if roomy else None) as folder:
        data = Path(folder)
        (data / "shared").mkdir()
        found = Stack(data, redis_url)
        pool = found.start_pool(1)
        yield found
        pool.terminate()
        pool.wait(30)
        found.ledger.close()


def test_memory_is_flat_over_5000_documents_in_one_worker(one_worker: Stack) -> None:
    folder = one_worker.data / "shared" / "many"
    folder.mkdir()
    for number in range(DOCUMENTS):
        (folder / f"note-{number:04d}.txt").write_text(f"Note {number} says that {number} is its number.\n")
    recipe = Recipe(chunk_size=100, chunk_overlap=0)
    (row,) = monitor.workers(one_worker.ledger)
    watched = Watched(psutil.Process(row.pid))
    looking = threading.Thread(target=watched.look)
    looking.start()
    try:
        job_id = submit_folder(one_worker.ledger, folder, collection="many", owner="ana", recipe=recipe).job
        wait_until(lambda: one_worker.job(job_id).documents_done >= FIRST, timeout_s=60, what="the first documents")
        before = watched.resident()
        job = one_worker.ended(job_id, timeout_s=120)
        after = watched.resident()
    finally:
        watched.done.set()
        looking.join()
    assert (job.state, job.documents_done) == (State.COMPLETED, DOCUMENTS)
    assert after - before < MOST_BYTES, f"the worker grew by {(after - before) / 1024**2:.1f} MB"
    peaks = list(watched.horses.values())[:-1]  # the last one publishes, which is other work
    quarter = len(peaks) // 4
    assert quarter >= 2, f"only {len(peaks)} work horses were seen"
    grown = median(peaks[-quarter:]) - median(peaks[:quarter])
    assert grown < MOST_BYTES, f"a late work horse needs {grown / 1024**2:.1f} MB more than an early one"
