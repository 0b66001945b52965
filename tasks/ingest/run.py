"""The tasks that workers run: one shard of a job, document by document, and the publish that ends it.

This is our own ingestion loop. Between portions of a document, and between batches of its chunks, it
reports and learns whether to stop. A document that fails does not fail its neighbours.
"""

from __future__ import annotations

import errno
import logging
import mmap
import struct
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from llama_index.core.embeddings import BaseEmbedding

from tasks import settings as settings_of
from tasks.errors import Canceled, DataUnwritable, DocumentFailed, Fenced, HandedBack, IngestboardError, SubmissionRefused
from tasks.ingest import artifacts, embed, load, publish, split
from tasks.ledger import Ledger, connection, monitor, queues, store
from tasks.ledger.records import DocumentRow
from tasks.ledger.states import DocumentState
from tasks.recipe import Recipe
from tasks.settings import Settings
from tasks.submitting import allowed_folder
from tasks.uploads import Uploads

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


@lru_cache(maxsize=1)
def embedder(settings: Settings) -> BaseEmbedding:
    """The embedder of the settings, loaded once; a worker's parent loads it before it forks."""
    return embed.load_embedder(settings)


def run_shard(job_id: str, shard: str, rq_id: str) -> str:
    """RQ task: ingest the documents of one shard."""
    return _run(job_id, shard, rq_id, _ingest_all)


def run_publish(job_id: str, shard: str, rq_id: str) -> str:
    """RQ task: publish what the job's shards made."""
    return _run(job_id, shard, rq_id, publish.publish)


def _run(job_id: str, shard: str, rq_id: str, work: Callable[[Ledger, store.Reporter], None]) -> str:
    """Claim, work, settle; and hand over what follows. The answer is for RQ's record only."""
    settings = settings_of.current()
    ledger = Ledger(connection.client(settings, url=settings.redis_address()), settings)
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
    row = monitor.job(ledger, reporter.claim.job)
    recipe = Recipe.model_validate_json(row.recipe)
    for document in reporter.claim.documents:
        in_hand.set(document.number)
        started = time.monotonic()
        reporter.document(document.number, DocumentState.RUNNING)
        try:
            table, sha256, cached = _ingest(ledger.settings, reporter, recipe, document)
        except DocumentFailed as error:
            reporter.document(
                document.number, DocumentState.FAILED, error=str(error), seconds=round(time.monotonic() - started, 3)
            )
        else:
            reporter.document(
                document.number,
                DocumentState.COMPLETED,
                error="",
                chunks=table.num_rows,
                cached=cached,
                sha256=sha256,
                seconds=round(time.monotonic() - started, 3),
            )
        reporter.check()
    reporter.check(now=True)


def _ingest(
    settings: Settings, reporter: store.Reporter, recipe: Recipe, document: DocumentRow
) -> tuple[pa.Table, str, bool]:
    """One document through save, load, split and embed: its artifact, its hash, and whether it was known."""
    try:
        reporter.stage("save", f"Saving {document.name}")
        sha256 = _save(settings, document)
        shelf = artifacts.Artifacts(settings.data, recipe.fingerprint)
        known = shelf.get(sha256)
        if known is not None:
            return known, sha256, True
        if recipe.embedder != settings.embedder_fingerprint:
            raise DocumentFailed(
                reason=f"This worker embeds with {settings.embedder_fingerprint} and the job asks for "
                f"{recipe.embedder}; start the workers with the same INGESTBOARD_EMBEDDER as the dashboard."
            )
        table = _make(settings, reporter, recipe, document, Uploads(settings.data).path(sha256))
        shelf.put(sha256, table)
    except (OSError, DataUnwritable, SubmissionRefused, IngestboardError) as error:
        raise _as_document_failure(error) from error
    except MemoryError as error:
        raise DocumentFailed(reason="The document needs more memory than the worker has; split it.") from error
    return table, sha256, False


def _as_document_failure(error: Exception) -> Exception:
    """What the person is told; a stop at a checkpoint stays what it is."""
    if isinstance(error, Canceled | HandedBack | Fenced | DocumentFailed):
        return error
    if isinstance(error, OSError):
        if error.errno == errno.ENOSPC:
            return DocumentFailed(reason="The disk that holds DATA is full; free space and retry the failed documents.")
        detail = error.strerror or type(error).__name__
        return DocumentFailed(reason=f"The worker could not read or write its files ({detail}); check DATA and retry.")
    return DocumentFailed(reason=str(error))


def _save(settings: Settings, document: DocumentRow) -> str:
    uploads = Uploads(settings.data)
    if document.sha256 and uploads.path(document.sha256).exists():
        return document.sha256
    if not document.path:
        raise DocumentFailed(reason="The uploaded bytes are no longer on the server; upload the file again.")
    source = Path(document.path)
    allowed_folder(settings, source.parent)
    try:
        with source.open("rb") as stream:
            sha256, _ = uploads.save(stream, max_bytes=settings.upload_max_bytes, name=document.name)
    except FileNotFoundError:
        raise DocumentFailed(reason="The file is no longer in its folder; put it back and retry.") from None
    return sha256


def _make(
    settings: Settings, reporter: store.Reporter, recipe: Recipe, document: DocumentRow, path: Path
) -> pa.Table:
    """Load, split and embed portion by portion; memory holds the chunks of one document."""
    texts: list[str] = []
    pages: list[int | None] = []
    vectors: list[np.ndarray] = []
    model = embedder(settings)
    reporter.stage("load", f"Reading {document.name}")
    for portion in load.read(path, document.name):
        start = (portion.done - 1) / portion.total if portion.total else 0.0
        reporter.stage("split", f"Splitting {document.name}")
        nodes = split.split(portion.documents, recipe)
        for first in range(0, len(nodes), settings.embed_batch):
            reporter.stage("embed", f"Embedding {document.name}")
            batch = nodes[first : first + settings.embed_batch]
            contents = [node.text for node in batch]
            made = embed.embed(model, contents)
            good = np.isfinite(made).all(axis=1) & (np.linalg.norm(made, axis=1) > 0)
            for node, content, vector, usable in zip(batch, contents, made, good, strict=True):
                if usable:
                    texts.append(content)
                    pages.append(node.metadata.get("page"))
                    vectors.append(vector)
            share = (first + len(batch)) / len(nodes)
            reporter.progress(start + share / max(1, portion.total))
            reporter.check()
        reporter.progress(portion.done / max(1, portion.total))
        reporter.stage("load", f"Reading {document.name}")
        reporter.check()
    if not texts:
        raise DocumentFailed(reason="The document holds no text that can be searched; check that it is the right file.")
    matrix = np.stack(vectors).astype(np.float32)
    return pa.table(
        {
            "position": pa.array(range(len(texts)), pa.int32()),
            "page": pa.array(pages, pa.int32()),
            "text": pa.array(texts, pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1]),
        }
    )
