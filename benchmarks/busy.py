"""A board full of jobs, some of which change all the time: what the pages' benchmarks look at.

The jobs are real ones in the ledger; their documents are never read, since nobody but this program claims them.
"""

from __future__ import annotations

import threading
import time

from tasks.ledger import Ledger, control, store
from tasks.ledger.control import NewDocument
from tasks.recipe import Recipe

DOCUMENTS = 100
OWNERS = ("ana", "ben", "cleo", "dan")


def submit(ledger: Ledger, count: int) -> list[str]:
    """So many queued jobs of 100 documents; their ids."""
    documents = [NewDocument(f"d{at}.md", 1_000, sha256=f"{at:064x}") for at in range(DOCUMENTS)]
    return [
        control.submit(
            ledger,
            collection=f"collection-{at % 20}",
            documents=documents if at < 100 else documents[:1],
            owner=OWNERS[at % 4],
            recipe=Recipe(),
            title=f"Load {at}",
        ).job
        for at in range(count)
    ]


class Changing(threading.Thread):
    """Reports on the jobs given in turn, `per_second` times, as workers do; each is a change of the board.

    Every report costs Redis the same, so that what others ask of it can be told apart.
    """

    def __init__(self, ledger: Ledger, jobs: list[str], per_second: int) -> None:
        super().__init__(name="changing", daemon=True)
        self.ledger = ledger
        self.per_second = per_second
        self.done = 0  # reports made
        self._over = threading.Event()
        self._reporters = [self._claimed(job) for job in jobs]

    def _claimed(self, job: str) -> store.Reporter:
        rq_id = store.delivery_of(self.ledger, job, "0")
        claim = store.claim(self.ledger, job, "0", rq_id, "bench")
        if claim is None:
            raise RuntimeError(f"job {job} could not be claimed")
        return store.Reporter(self.ledger, claim)

    def run(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            reporter = self._reporters[self.done % len(self._reporters)]
            turn = self.done // len(self._reporters)
            reporter.stage("embed", f"Embedding, turn {turn}")
            reporter.check(now=True)
            self.done += 1
            due += 1 / self.per_second
            time.sleep(max(0.0, due - time.monotonic()))

    def say(self, words: str) -> None:
        """One report of the first job, with these words as its stage; for a program that does not run it by itself."""
        self._reporters[0].stage(words, words)
        self._reporters[0].check(now=True)

    def stop(self) -> None:
        self._over.set()
        self.join()
