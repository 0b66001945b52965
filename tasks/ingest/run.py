"""The tasks that workers run, by dotted name: one shard of a job, and the publish that ends it.

Claims, settles and hands over what follows; the work itself is done in tasks.ingest.documents and
tasks.ingest.publish.
"""

from __future__ import annotations

import logging
import mmap
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from llama_index.core.schema import Document

from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.errors import Canceled, Fenced, HandedBack, JobNotFound, RecordDamaged, Yielded
from tasks.ingest import documents, publish, split
from tasks.ledger import Ledger, connection, monitor, queues, store
from tasks.ledger.states import DocumentState
from tasks.recipe import Recipe
from tasks.settings import Settings

log = logging.getLogger(__name__)

# Number of the document or -1, documents that have ended, when the document's time is over by the monotonic clock that
# all processes of a host share (0: never), stage.
_IN_HAND = struct.Struct("qqd16s")


class InHand:
    """What a work horse has in hand, in memory that it shares with its worker: number of the document, when its time is
    over, stage, and how many documents have ended so far.

    When the work horse dies, its parent can name the document that it died of; and it can end one that takes too long.
    """

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, _IN_HAND.size)
        self.set(None)

    def set(self, index: int | None, limit_s: float = 0.0) -> None:
        """A document's turn comes, which may take so long (0: as long as it takes); or None."""
        _, ended, _, stage = self._read()
        until = time.monotonic() + limit_s if limit_s else 0.0
        self._write(-1 if index is None else index, ended, until, stage if index is not None else b"")

    def get(self) -> int | None:
        index = self._read()[0]
        return None if index < 0 else index

    @property
    def overdue_s(self) -> float:
        """Seconds since the document's time was over; 0 while it is not."""
        index, _, until, _ = self._read()
        return max(0.0, time.monotonic() - until) if index >= 0 and until else 0.0

    def enter(self, stage: str) -> None:
        index, ended, until, _ = self._read()
        self._write(index, ended, until, stage.encode("ascii", "replace"))

    @property
    def stage(self) -> str:
        return self._read()[3].rstrip(b"\0").decode("ascii", "replace")

    def end_one(self) -> None:
        """A document has ended, well or not."""
        index, ended, _, stage = self._read()
        self._write(index, ended + 1, 0.0, stage)

    @property
    def ended(self) -> int:
        return self._read()[1]

    def _read(self) -> tuple[int, int, float, bytes]:
        index, ended, until, stage = _IN_HAND.unpack(self._shared[:])
        return int(index), int(ended), float(until), bytes(stage)

    def _write(self, index: int, ended: int, until: float, stage: bytes) -> None:
        self._shared[:] = _IN_HAND.pack(index, ended, until, stage)


in_hand = InHand()  # each worker puts its own here before it forks
draining = threading.Event()  # set by the work horse's SIGUSR1: hand back at the next checkpoint


class _TellingReporter(store.Reporter):
    """Tells the worker's parent too, which has no other way to know but to ask Redis."""

    def stage(self, name: str, description: str) -> None:
        in_hand.enter(name)
        super().stage(name, description)

    def document(self, index: int, state: DocumentState, **news: Any) -> None:
        super().document(index, state, **news)
        if state in (DocumentState.COMPLETED, DocumentState.FAILED):
            in_hand.end_one()


def warm(settings: Settings) -> None:
    """Load in a worker's parent what every work horse would load anew; starts no thread. Raises EmbedderUnusable."""
    documents.embedder(settings)
    # The tokenizer and the sentence model of SentenceSplitter, which it loads for its first long text.
    text = "One sentence, a second one after it. " * 50
    split.split([Document(text=text)], Recipe(splitter="sentence", chunk_size=100, chunk_overlap=10))


def run_shard(job_id: str, shard: str, rq_id: str) -> str:
    """RQ task: ingest the documents of one shard."""
    return _run(job_id, shard, rq_id, _ingest_all)


def run_publish(job_id: str, shard: str, rq_id: str) -> str:
    """RQ task: publish what the job's shards made."""
    return _run(job_id, shard, rq_id, publish.publish)


def _run(job_id: str, shard: str, rq_id: str, work: Callable[[Ledger, store.Reporter], None]) -> str:
    """The answer is for RQ's record only."""
    try:
        return _worked(job_id, shard, rq_id, work)
    except (RecordDamaged, JobNotFound) as error:
        # Its worker answers for the shard, or the janitor once the record is mended.
        log.warning("Shard %s of job %s is left: %s", shard, job_id, error)
        return "damaged"


def _worked(job_id: str, shard: str, rq_id: str, work: Callable[[Ledger, store.Reporter], None]) -> str:
    """Claim, work, settle; and hand over what follows."""
    settings = settings_of.current()
    # A work horse waits for a Redis that is away; what it has in hand is worth more than its place.
    client = connection.client(settings.redis_address(), patience_s=settings.redis_patience_s, give_up=draining.is_set)
    ledger = Ledger(client, settings, PROGRAM)
    worker = _worker_name()
    claim = store.claim(ledger, job_id, shard, rq_id, worker)
    if claim is None:
        return "superseded"
    reporter = _TellingReporter(ledger, claim, draining=draining.is_set)
    outcome: store.Outcome = "done"
    how = ""
    try:
        work(ledger, reporter)
    except Canceled:
        outcome, how = "canceled", "at a checkpoint"
    except HandedBack:
        outcome = "released"
    except Yielded:
        outcome = "yielded"
    except Fenced:
        log.warning("attempt %d of shard %s of job %s was fenced off", claim.attempt, shard, job_id)
        return "fenced"
    in_hand.set(None)
    if shard == store.PUBLISH and outcome == "done":
        return outcome
    try:
        delivery = store.settle(ledger, job_id, shard, claim.fence, outcome, how=how)
    except Fenced:
        return "fenced"
    if delivery is not None:
        queues.deliver(ledger, [delivery], monitor.job(ledger, job_id).priority)
    return outcome


def _worker_name() -> str:
    from rq import get_current_job

    current = get_current_job()
    return (current.worker_name if current is not None else None) or "worker"


def _ingest_all(ledger: Ledger, reporter: store.Reporter) -> None:
    documents.ingest(ledger, reporter, in_hand.set)
