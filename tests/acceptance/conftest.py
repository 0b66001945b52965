"""Real programs on a real Redis: a pool of two workers whose embedder does what the documents say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
import redis

from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.ledger import Ledger, connection, monitor
from tasks.ledger.records import JobRow
from tasks.recipe import Recipe
from tasks.settings import Priority
from tasks.submitting import submit_files
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
EMBEDDER = "tests.embedders.ScriptedEmbedding"
GRACE_S = 1.5


class Stack:
    """A pool, its ledger and its log."""

    def __init__(self, data: Path, url: str, **settings: str | float) -> None:
        self.data = data
        self.log = data / "pool.log"
        self.environment = {
            **os.environ,
            "INGESTBOARD_DATA": str(data),
            "REDIS_URL": url,
            "INGESTBOARD_EMBEDDER": EMBEDDER,
            "INGESTBOARD_EMBED_BATCH": "1",
            "INGESTBOARD_CANCEL_GRACE_S": str(GRACE_S),
            "INGESTBOARD_LEASE_S": "4",
            "INGESTBOARD_FOLDERS": str(data / "shared"),
            **{f"INGESTBOARD_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.settings = settings_of.read(
            data=data,
            redis_url=url,
            embedder=EMBEDDER,
            embed_batch=1,
            cancel_grace_s=GRACE_S,
            lease_s=4,
            folders=(data / "shared",),
            **settings,
        )
        self.ledger = Ledger(connection.client(url), self.settings, PROGRAM)
        self.pools: list[subprocess.Popen[bytes]] = []

    def start_pool(self, workers: int = 2) -> subprocess.Popen[bytes]:
        """A pool that reports; the caller ends it."""
        before = set(monitor.worker_names(self.ledger))
        with self.log.open("ab") as log:
            pool = subprocess.Popen(
                [sys.executable, "-m", "workers", "-n", str(workers)],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        self.pools.append(pool)
        wait_until(
            lambda: len(set(monitor.worker_names(self.ledger)) - before) >= workers, timeout_s=120, what="the workers"
        )
        return pool

    def end(self) -> None:
        """End the pools that a test left: on the same Redis they would take what the next test has queued."""
        for pool in self.pools:
            if pool.poll() is None:
                pool.terminate()
        for pool in self.pools:
            pool.wait(60)
        self.ledger.close()

    def submit(
        self, *texts: str, collection: str = "c", names: tuple[str, ...] = (), priority: Priority = "default"
    ) -> str:
        """A job of text documents, one a text; its id."""
        labels = names or tuple(f"d{at}.txt" for at in range(len(texts)))
        files = [(label, BytesIO(text.encode())) for label, text in zip(labels, texts, strict=True)]
        return submit_files(
            self.ledger,
            files,
            collection=collection,
            owner="ana",
            recipe=Recipe(chunk_size=100, chunk_overlap=0),
            priority=priority,
        ).job

    def job(self, job_id: str) -> JobRow:
        return monitor.job(self.ledger, job_id)

    def ended(self, job_id: str, timeout_s: float = 30) -> JobRow:
        """The job once it is final."""
        wait_until(lambda: self.job(job_id).final, timeout_s=timeout_s, what=f"the end of job {job_id}")
        return self.job(job_id)

    def staging(self, collection: str = "c") -> list[Path]:
        """What publishes have left half done."""
        return list((self.data / "collections" / collection).glob("_tmp-*"))


def lines(count: int, marks: str) -> str:
    """A text of `count` chunks, each carrying the marks."""
    return "\n\n".join(
        f"Paragraph {at} says {marks} and then some more words to fill its own chunk." for at in range(count)
    )


@pytest.fixture(scope="module")
def stack(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with two workers, for the tests of one module."""
    data = tmp_path_factory.mktemp("stack")
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    client.close()
    found = Stack(data, redis_url)
    pool = found.start_pool()
    yield found
    pool.terminate()
    pool.wait(30)
    found.ledger.close()
