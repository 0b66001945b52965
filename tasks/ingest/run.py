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
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import numpy as np
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import Document

from tasks import settings as settings_of
from tasks.errors import (
    Canceled,
    DataUnwritable,
    DocumentFailed,
    Fenced,
    HandedBack,
    IngestboardError,
    SubmissionRefused,
)
from tasks.ingest import embed, load, publish, split
from tasks.ingest.artifacts import Artifacts, ArtifactWriter
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


def warm(settings: Settings) -> None:
    """Load in a worker's parent what every work horse would load anew; starts no thread. Raises EmbedderUnusable."""
    embedder(settings)
    # The tokenizer and the sentence model of SentenceSplitter, which it loads for its first long text.
    text = "One sentence, a second one after it. " * 50
    split.split([Document(text=text)], Recipe(splitter="sentence", chunk_size=100, chunk_overlap=10))


@lru_cache(maxsize=1)
def fingerprint(settings: Settings) -> str:
    """The fingerprint of the embedder; kept, for it reads the metadata of an installed package."""
    return settings.embedder_fingerprint


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
            chunks, sha256, cached = _ingest(ledger.settings, reporter, recipe, document)
        except DocumentFailed as error:
            reporter.document(
                document.number, DocumentState.FAILED, error=str(error), seconds=round(time.monotonic() - started, 3)
            )
        else:
            reporter.document(
                document.number,
                DocumentState.COMPLETED,
                error="",
                chunks=chunks,
                cached=cached,
                sha256=sha256,
                seconds=round(time.monotonic() - started, 3),
            )
        reporter.check()
    reporter.check(now=True)


def _ingest(
    settings: Settings, reporter: store.Reporter, recipe: Recipe, document: DocumentRow
) -> tuple[int, str, bool]:
    """One document through save, load, split and embed: its chunks, its hash, and whether it was known."""
    try:
        reporter.stage("save", f"Saving {document.name}")
        reporter.check()  # the first one tells at once who works on what, before a slow step does
        sha256 = _save(settings, document)
        shelf = Artifacts(settings.data, recipe.fingerprint)
        known = shelf.get(sha256)
        if known is not None:
            return known.num_rows, sha256, True
        if recipe.embedder != fingerprint(settings):
            raise DocumentFailed(
                reason=f"This worker embeds with {fingerprint(settings)} and the job asks for "
                f"{recipe.embedder}; start the workers with the same INGESTBOARD_EMBEDDER as the dashboard."
            )
        return _make(settings, reporter, shelf, recipe, document, sha256), sha256, False
    except (OSError, DataUnwritable, SubmissionRefused, IngestboardError) as error:
        raise _as_document_failure(error) from error
    except MemoryError as error:
        raise DocumentFailed(reason="The document needs more memory than the worker has; split it.") from error


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
    settings: Settings, reporter: store.Reporter, shelf: Artifacts, recipe: Recipe, document: DocumentRow, sha256: str
) -> int:
    """Load, split and embed a document batch by batch into its artifact; how many chunks it has.

    Memory holds one portion. The artifact appears when it is whole; a stop on the way leaves nothing.
    """
    model = embedder(settings)
    source = Uploads(settings.data).path(sha256)
    read = 0
    writer: ArtifactWriter | None = None
    with ExitStack() as stack:
        reporter.stage("load", f"Reading {document.name}")
        for portion in load.read(source, document.name):
            reporter.stage("split", f"Splitting {document.name}")
            nodes = split.split(portion.documents, recipe)
            for first in range(0, len(nodes), settings.embed_batch):
                reporter.stage("embed", f"Embedding {document.name}")
                batch = nodes[first : first + settings.embed_batch]
                vectors = embed.embed(model, [node.text for node in batch])
                usable = np.flatnonzero(np.isfinite(vectors).all(axis=1))
                if writer is None:
                    writer = stack.enter_context(shelf.writing(sha256, vectors.shape[1]))
                kept = [batch[at] for at in usable]
                writer.add([node.metadata.get("page") for node in kept], [node.text for node in kept], vectors[usable])
                share = (first + len(batch)) / len(nodes)
                reporter.progress((read + share * (portion.done - read)) / portion.total)
                reporter.check()
            read = portion.done
            reporter.progress(read / portion.total)
            reporter.stage("load", f"Reading {document.name}")
            reporter.check()
        if writer is None or writer.rows == 0:
            raise DocumentFailed(
                reason="The document holds no text that can be searched; check that it is the right file."
            )
        return writer.rows
