"""The real programs, started for a measurement: the embedded Redis as `make run` starts it, a pool, a plain RQ worker.

Everything lives in a scratch DATA folder and is gone when the block ends.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tasks import embedded
from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.child import Child, python_module
from tasks.ledger import Ledger, connect, fleet, monitor
from tasks.ledger.records import JobRow
from tasks.ledger.states import State

START_S = 60.0
STOP_S = 20.0
WATCH_S = 0.001  # between two looks at Redis while a moment is waited for
ENVIRONMENT = "INGESTBOARD_"

T = TypeVar("T")


class Late(Exception):
    """What a measurement waited for did not happen; the figures would mean nothing."""


def watch(condition: Callable[[], T | None], *, what: str, timeout_s: float = START_S, every_s: float = WATCH_S) -> T:
    """Look until the condition gives something true; that. Raises Late."""
    until = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > until:
            raise Late(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(every_s)
    return found


class Stack:
    """A Redis server, its DATA and the programs that were started on it. `documents` may be submitted from."""

    def __init__(self, data: Path, documents: Path, **settings: object) -> None:
        self.documents = documents
        self.settings = settings_of.read(data=data, redis_url=None, folders=(documents,), **settings)
        self.data = self.settings.data
        self.overrides = {"folders": str(documents), **{name: str(value) for name, value in settings.items()}}
        self.children: list[Child] = []
        embedded.prepare(self.settings)
        server = embedded.spawn(self.settings, embedded.find_server())
        self.children.append(server)
        embedded.wait_until_ready(self.settings, server)
        self.ledger: Ledger = connect(self.settings, PROGRAM)

    @property
    def address(self) -> str:
        return self.settings.redis_address()

    def start_pool(self, workers: int) -> Child:
        """`python -m workers -n N`, once all of them report."""
        before = set(fleet.worker_names(self.ledger))
        pool = self._start(f"pool of {workers}", python_module("workers", "-n", str(workers)))

        def there() -> bool:
            return len(set(fleet.worker_names(self.ledger)) - before) >= workers

        watch(there, what=f"the pool; see {pool.log}", every_s=0.02)
        return pool

    def start_plain_worker(self, queue: str) -> Child:
        """`rq worker QUEUE` with the settings it comes with, once it is idle."""
        program = Path(sys.executable).with_name("rq")
        worker = self._start("rq worker", [str(program), "worker", "--url", self.address, queue])
        watch(lambda: self.idle(plain=True), what=f"the RQ worker; see {worker.log}", every_s=0.02)
        return worker

    def idle(self, *, plain: bool = False) -> bool:
        """Whether every worker (the plain ones, or those of the pool) waits for work."""
        ours = {f"rq:worker:{name}".encode() for name in fleet.worker_names(self.ledger)}
        known = set(self.ledger.redis.smembers("rq:workers"))
        chosen = known - ours if plain else known & ours
        return bool(chosen) and all(self.ledger.redis.hget(key, "state") == b"idle" for key in chosen)

    def ended(self, job_id: str, *, timeout_s: float = 600.0, every_s: float = 0.005) -> JobRow:
        """The job once it is final."""

        def final() -> JobRow | None:
            row = monitor.job(self.ledger, job_id)
            return row if row.final else None

        return watch(final, what=f"the end of job {job_id}", timeout_s=timeout_s, every_s=every_s)

    def running(self, job_id: str) -> JobRow:
        """The job once a worker has it."""

        def started() -> JobRow | None:
            row = monitor.job(self.ledger, job_id)
            return row if row.state is not State.QUEUED else None

        return watch(started, what=f"the start of job {job_id}")

    def completed(self, job_id: str) -> JobRow:
        """The job, which must have completed. Raises Late when it ended in another way."""
        row = self.ended(job_id)
        if row.state is not State.COMPLETED:
            raise Late(f"job {job_id} ended as {row.state.value}: {row.error}")
        return row

    def forget_documents(self) -> None:
        """Cold stores: no upload, artifact or snapshot is left. Nothing may be running."""
        for folder in ("uploads", "artifacts", "collections"):
            shutil.rmtree(self.data / folder, ignore_errors=True)

    def stop(self, child: Child) -> None:
        """End one program that this stack started."""
        child.ask_to_stop()
        until = time.monotonic() + STOP_S
        while child.alive and time.monotonic() < until:
            time.sleep(0.02)
        child.kill()
        self.children.remove(child)

    def close(self) -> None:
        """End everything, Redis last."""
        self.ledger.close()
        for child in reversed(self.children.copy()):
            self.stop(child)
        embedded.clear(self.settings)

    def _start(self, name: str, command: list[str]) -> Child:
        # Not os.environ itself: stacks of different settings live side by side.
        foreign = [name for name in os.environ if name.startswith(ENVIRONMENT) or name in ("REDIS_URL", "PORT")]
        given = {"data": str(self.data), "log_level": "WARNING", **self.overrides}
        words = [f"{ENVIRONMENT}{key.upper()}={value}" for key, value in given.items()]
        unset = [part for variable in foreign for part in ("-u", variable)]
        log = self.data / "logs" / f"{name.replace(' ', '-')}.log"
        child = Child(name, ["/usr/bin/env", *unset, *words, *command], log, stop_s=STOP_S)
        child.start()
        self.children.append(child)
        return child


@contextmanager
def stack(documents: Path | None = None, **settings: object) -> Iterator[Stack]:
    """A stack in a scratch folder of its own; `documents` is a folder that is there already."""
    with scratch() as folder:
        shared = documents or folder / "documents"
        shared.mkdir(exist_ok=True)
        made = Stack(folder / "data", shared, **settings)
        try:
            yield made
        finally:
            made.close()


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="ib-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
