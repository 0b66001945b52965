"""The tasks that workers run, by dotted name: one shard of a job, and the publish that ends it.

Claims, settles and hands over what follows; the work itself is done in tasks.ingest.documents and
tasks.ingest.publish.
"""

from __future__ import annotations

import logging
import mmap
import struct
import threading
from collections.abc import Callable

from llama_index.core.schema import Document

from tasks import settings as settings_of
from tasks.errors import Canceled, Fenced, HandedBack, Yielded
from tasks.ingest import documents, publish, split
from tasks.ledger import Ledger, connection, monitor, queues, store
from tasks.recipe import Recipe
from tasks.settings import Settings

log = logging.getLogger(__name__)


class InHand:
    """The number of the document in hand, in memory that a worker shares with its work horse.

    When the work horse dies, its parent can name the document that it died of.
    """

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 8)

    def set(self, index: int | None) -> None:
        self._shared[:] = struct.pack("q", -1 if index is None else index)

    def get(self) -> int | None:
        (index,) = struct.unpack("q", self._shared[:])
        return None if index < 0 else int(index)


in_hand = InHand()  # each worker puts its own here before it forks
draining = threading.Event()  # set by the work horse's SIGUSR1: hand back at the next checkpoint


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
    """Claim, work, settle; and hand over what follows. The answer is for RQ's record only."""
    settings = settings_of.current()
    ledger = Ledger(connection.client(settings.redis_address()), settings)
    worker = _worker_name()
    claim = store.claim(ledger, job_id, shard, rq_id, worker)
    if claim is None:
        return "superseded"
    reporter = store.Reporter(ledger, claim, draining=draining.is_set)
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
        delivery = store.settle(ledger, job_id, shard, claim.attempt, outcome, how=how)
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
