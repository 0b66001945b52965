"""A dashboard of its own over a ledger that the test fills: no worker runs, so that a job stays as it was left."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import redis
from rq import Queue, SimpleWorker

from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.ledger import Ledger, control, failures, history, keys
from tests.factories import submitted
from tests.pages.stub_worker import StubWorker
from tests.programs import ROOT
from tests.redis.foreign_functions import add, fail
from tests.waiting import wait_until

SCANS = "Page 17 of scan-1.pdf cannot be read."
LOCKED = "The file is encrypted; save it without a password."


class ScratchBoard:
    """The dashboard's process, its ledger, and a job in every state."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        client = redis.Redis.from_url(redis_url)
        client.flushall()
        self.ledger = Ledger(client, settings_of.read(data=folder / "data", redis_url=redis_url), PROGRAM)
        self.fill()
        environment = {"REDIS_URL": redis_url, "INGESTBOARD_DATA": str(folder / "data"), "PORT": str(port)}
        environment |= self.settings_for(folder)
        with (folder / "dashboard.log").open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dashboard"], cwd=ROOT, env={**os.environ, **environment}, stdout=out, stderr=out
            )
        wait_until(self.answers, timeout_s=30, what="the dashboard")

    def settings_for(self, folder: Path) -> dict[str, str]:
        """Further settings of the dashboard."""
        return {}

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/healthz", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def fill(self) -> None:
        done = StubWorker(self.ledger, submitted(self.ledger, 3, title="Leases of spring", owner="ana"))
        done.work_through()
        done.publish()
        self.failed = self.fails(SCANS, title="Scans of May", owner="ben", collection="minutes")
        self.fails("Page 4 of scan-22.pdf cannot be read.", title="Scans of June", owner="ben", collection="minutes")
        self.fails(LOCKED, title="Salaries", owner="chidi", collection="archive")
        failures.acknowledge(self.ledger, self.key(LOCKED), "Asked for the password.", by="ana")
        control.cancel(self.ledger, submitted(self.ledger, 2, title="Not needed any more"), by="ben")
        self.running = submitted(self.ledger, 4, title="Handbook", owner="dewi")
        self.worker = StubWorker(self.ledger, self.running)
        self.worker.start()
        self.worker.enter("embed", "Embedding chapter-1.md", 0.4)
        self.lost = submitted(self.ledger, title="Left behind", owner="dewi")
        StubWorker(self.ledger, self.lost, name="gone@there").start()
        self.ledger.redis.hset(keys.job(self.lost), "last_updated", self.ledger.now() - 120)
        for at in range(4):
            submitted(self.ledger, 2, title=f"Offer {at}", owner="ana", collection="offers")
        self.worker.appear()
        self.cause = self.key(SCANS)
        history.roll_up(self.ledger)
        self.letter = self.of_another_program()

    def of_another_program(self) -> str:
        """An RQ queue with a job that failed and one that waits for it; the id of the first."""
        queue = Queue("letters", connection=self.ledger.redis)
        failed = queue.enqueue(fail, "no paper", description="Print letter 17")
        queue.enqueue(add, 1, 2, description="Post letter 17", depends_on=failed)
        SimpleWorker([queue], connection=self.ledger.redis).work(burst=True, logging_level="CRITICAL")
        return str(failed.id)

    def fails(self, error: str, **changes: object) -> str:
        """A job whose one document fails; its id."""
        job = submitted(self.ledger, 1, **changes)
        worker = StubWorker(self.ledger, job)
        worker.start()
        worker.finish(error=error)
        worker.settle()
        return job

    def key(self, error: str) -> str:
        """The key of the group of failures of that cause."""
        found: list[Any] = self.ledger.redis.xrange(keys.FAILURES) or []
        entries = (failures.read(at, fields) for at, fields in found)
        return next(
            one.key for one in entries if isinstance(one, failures.Failure) and one.cause == failures.normalise(error)
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.ledger.close()
