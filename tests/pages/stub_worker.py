"""A worker for tests of the pages: it does what a real one does to the ledger, a step at a time, at the test's word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tasks.errors import Canceled
from tasks.ledger import Ledger, keys, store
from tasks.ledger.states import DocumentState
from tests.factories import claimed


@dataclass
class StubWorker:
    """Works on one job; nothing happens between two calls."""

    ledger: Ledger
    job: str
    name: str = "stub@here"
    _claim: store.Claim | None = None
    _reporter: store.Reporter | None = None
    _todo: list[int] = field(default_factory=list)
    _next_shard: int = 0

    def appear(self) -> None:
        """Report as alive."""
        seconds, micros = self.ledger.redis.time()
        self.ledger.redis.zadd(keys.WORKERS, {self.name: float(seconds) + float(micros) / 1e6})

    def start(self) -> None:
        """Take the next shard."""
        self._claim = claimed(self.ledger, self.job, str(self._next_shard), self.name)
        self._reporter = store.Reporter(self.ledger, self._claim)
        self._todo = [row.number for row in self._claim.documents]
        self._next_shard += 1

    def enter(self, stage: str, description: str = "", fraction: float = 0.0) -> None:
        """Report a stage and how much of the document in hand is done."""
        reporter = self._at_work()
        reporter.stage(stage, description or f"Busy with {stage}")
        reporter.progress(fraction)
        reporter.check(now=True)

    def finish(self, count: int = 1, *, error: str = "", cached: bool = False, chunks: int = 3) -> None:
        """Report that many documents as done, or as failed with the error."""
        reporter = self._at_work()
        for _ in range(count):
            number = self._todo.pop(0)
            if error:
                reporter.document(number, DocumentState.FAILED, error=error, seconds=0.2)
            else:
                reporter.document(number, DocumentState.COMPLETED, chunks=chunks, cached=cached, seconds=0.4)
            reporter.check(now=True)

    def settle(self) -> None:
        """Hand in the shard."""
        assert self._claim is not None
        store.settle(self.ledger, self.job, self._claim.shard, self._claim.attempt, "done")
        self._claim = self._reporter = None

    def notice_cancel(self) -> bool:
        """Come to a checkpoint; if a cancel was asked, clean up and stop. Whether it was."""
        try:
            self._at_work().check(now=True)
        except Canceled:
            assert self._claim is not None
            store.settle(
                self.ledger, self.job, self._claim.shard, self._claim.attempt, "canceled", how="at a checkpoint"
            )
            self._claim = self._reporter = None
            return True
        return False

    def work_through(self, *, failing: Sequence[int] = ()) -> None:
        """Every shard that is left."""
        shards = int(self.ledger.redis.hget(keys.job(self.job), "shards_total") or 0)
        while self._next_shard < shards:
            self.start()
            for number in list(self._todo):
                self.finish(error="The file is damaged; save it again and upload it." if number in failing else "")
            self.settle()

    def publish(self, snapshot: str = "000001") -> None:
        """Close the job as its publish does."""
        claim = claimed(self.ledger, self.job, store.PUBLISH, self.name)
        reporter = store.Reporter(self.ledger, claim)
        reporter.stage("publish", "Publishing")
        reporter.check(now=True, commit=True)
        store.close(self.ledger, self.job, claim.attempt, snapshot=snapshot)

    def _at_work(self) -> store.Reporter:
        assert self._reporter is not None, "start() first"
        return self._reporter
