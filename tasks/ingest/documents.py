"""One shard of a job, document by document: save, load, split, embed, keep.

This is our own ingestion loop. Between portions of a document, between batches of its chunks, and while it
waits for anything it reports and learns whether to stop. A document that fails does not fail its neighbours.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from llama_index.core.embeddings import BaseEmbedding

from tasks.errors import (
    DataUnwritable,
    DocumentFailed,
    DocumentPastLimit,
    IngestboardError,
    ReaderLost,
    Stopping,
    SubmissionRefused,
    Yielded,
)
from tasks.ingest import embed, split
from tasks.ingest.artifacts import Artifacts, ArtifactWriter
from tasks.ingest.hold import LOST_S, STALLED_S, Hold
from tasks.ingest.partial import Partial
from tasks.ingest.patience import Patient
from tasks.ingest.reader import Reader
from tasks.ingest.reading import Limits
from tasks.ledger import Ledger, monitor, store
from tasks.ledger.records import DocumentRow
from tasks.ledger.states import DocumentState
from tasks.recipe import Recipe
from tasks.settings import Settings
from tasks.submitting import allowed_folder
from tasks.uploads import Uploads

TURN_S = 0.25  # work on one shard while other jobs wait; then it goes to the back of the queue
READ_TRIES = 2
OWN_EVERY_S = 1.0  # how much work of the embedder in our own process may be lost


@lru_cache(maxsize=1)
def embedder(settings: Settings) -> BaseEmbedding:
    """The embedder of the settings, loaded once; a worker's parent loads it before it forks."""
    model = embed.load_embedder(settings)
    if "max_retries" not in settings.embedder_arguments():
        embed.leave_retries_to_us(model)
    return model


@lru_cache(maxsize=1)
def fingerprint(settings: Settings) -> str:
    """The fingerprint of the embedder; kept, for it reads the metadata of an installed package."""
    return settings.embedder_fingerprint


def ingest(ledger: Ledger, reporter: store.Reporter, in_hand: Callable[[int, float], None]) -> None:
    """Ingest the documents of a claim; `in_hand` is told the number of each at its turn, and how long it may take."""
    row = monitor.job(ledger, reporter.claim.job)
    recipe = Recipe.model_validate_json(row.recipe)
    with Shard(ledger, reporter, recipe, limit_s=row.document_limit_s) as shard:
        until = time.monotonic() + TURN_S
        left = len(reporter.claim.documents)
        for document in reporter.claim.documents:
            in_hand(document.number, row.document_limit_s)
            shard.ingest(document)
            left -= 1
            reporter.check()
            if left and reporter.waiting and time.monotonic() > until:
                reporter.check(now=True)
                raise Yielded(job=row.id)
    reporter.check(now=True)


class Shard:
    """The documents of one claim in the hands of one work horse; used as a context, which ends its reader.

    `limit_s` is how long one document may take, all of it; 0: what the settings say of its reading.
    """

    def __init__(self, ledger: Ledger, reporter: store.Reporter, recipe: Recipe, *, limit_s: float = 0.0) -> None:
        self._ledger = ledger
        self._settings = ledger.settings
        self._reporter = reporter
        self._recipe = recipe
        self._shelf = Artifacts(ledger.settings.data, recipe.fingerprint)
        limits = Limits.of(ledger.settings)
        self._reader = Reader(replace(limits, deadline_s=limit_s) if limit_s else limits, self._check)
        self._limit_s = limit_s
        self._until: float | None = None  # monotonic seconds: the end of the document's time
        self._hold: Hold | None = None

    def __enter__(self) -> Shard:
        self._reader.__enter__()
        return self

    def __exit__(self, *about: object) -> None:
        self._reader.close()

    def ingest(self, document: DocumentRow) -> None:
        """One document to its end, good or bad. What stops the work passes through."""
        started = time.monotonic()
        self._until = started + self._limit_s if self._limit_s else None
        self._reporter.document(document.number, DocumentState.RUNNING)
        try:
            chunks, sha256, cached = self._ingested(document)
        except DocumentFailed as error:
            seconds = round(time.monotonic() - started, 3)
            self._reporter.document(document.number, DocumentState.FAILED, error=str(error), seconds=seconds)
            return
        self._reporter.document(
            document.number,
            DocumentState.COMPLETED,
            error="",
            chunks=chunks,
            cached=cached,
            sha256=sha256,
            seconds=round(time.monotonic() - started, 3),
        )

    def _check(self) -> None:
        if self._hold is not None:
            self._hold.beat()
        self._reporter.check()
        if self._until is not None and time.monotonic() > self._until:
            raise DocumentPastLimit(limit_s=self._limit_s)

    def _ingested(self, document: DocumentRow) -> tuple[int, str, bool]:
        """One document through all stages: its chunks, its hash, and whether it was known."""
        try:
            self._reporter.stage("save", f"Saving {document.name}")
            self._reporter.check()  # the first one tells at once who works on what, before a slow step does
            sha256 = _save(self._settings, document)
            known = self._shelf.get(sha256)
            if known is not None:
                return known.num_rows, sha256, True
            if self._recipe.embedder != fingerprint(self._settings):
                raise DocumentFailed(
                    reason=f"This worker embeds with {fingerprint(self._settings)} and the job asks for "
                    f"{self._recipe.embedder}; start the workers with the same INGESTBOARD_EMBEDDER as the dashboard."
                )
            upload = Uploads(self._settings.data).path(sha256)
            stalled_s = LOST_S if document.tries else STALLED_S
            with Hold(upload, self._shelf.recipe, self._wait_for_the_other, stalled_s) as self._hold:
                if self._hold.waited and (known := self._shelf.get(sha256)) is not None:
                    return known.num_rows, sha256, True
                return self._read_and_made(document, sha256), sha256, False
        except Stopping:
            raise
        except (OSError, DataUnwritable, SubmissionRefused, IngestboardError) as error:
            raise _as_document_failure(error) from error
        except MemoryError as error:
            raise DocumentFailed(reason="The document needs more memory than the worker has; split it.") from error
        finally:
            self._hold = None

    def _wait_for_the_other(self) -> None:
        self._reporter.stage("embed", "Waiting for another worker that embeds the same content")
        self._check()

    def _read_and_made(self, document: DocumentRow, sha256: str) -> int:
        """Make the artifact, with a second try for a file whose reader was lost; how many chunks it has."""
        tries = document.tries
        while True:
            try:
                return self._made(document, sha256)
            except ReaderLost as lost:
                tries += 1
                self._reporter.document(document.number, DocumentState.RUNNING, tries=tries)
                if tries >= READ_TRIES:
                    raise DocumentFailed(
                        reason=f"The file {lost.data['what']} and was put aside after {tries} tries; "
                        f"{lost.data['remedy']}."
                    ) from None
                self._reporter.event(f"{document.name} {lost.data['what']}; it is tried once more.")

    def _made(self, document: DocumentRow, sha256: str) -> int:
        """Load, split and embed a document batch by batch into its artifact.

        Memory holds one portion. The artifact appears when it is whole; a stop on the way leaves the vectors
        that were made, for the next try.
        """
        path = self._shelf.path(sha256)
        model = embedder(self._settings)
        size = min(self._settings.embed_batch, model.embed_batch_size)
        own = isinstance(model, embed.WordLlamaEmbedding)
        source = Uploads(self._settings.data).path(sha256)
        embedding = f"Embedding {document.name}"
        patient = Patient(
            model,
            self._ledger,
            fingerprint(self._settings),
            embedding,
            lambda sentence: self._reporter.stage("embed", sentence),
            self._check,
        )
        read = 0
        writer: ArtifactWriter | None = None
        with Partial(path, OWN_EVERY_S if own else 0.0) as partial:
            with ExitStack() as stack:
                self._reporter.stage("load", f"Reading {document.name}")
                for portion in stack.enter_context(
                    closing(self._reader.portions(source, document.name, ocr=self._recipe.ocr))
                ):
                    self._reporter.stage("split", f"Splitting {document.name}")
                    nodes = split.split(portion.documents, self._recipe)
                    for first in range(0, len(nodes), size):
                        self._reporter.stage("embed", embedding)
                        batch = nodes[first : first + size]
                        vectors = partial.embed([node.text for node in batch], patient.embed)
                        usable = np.flatnonzero(np.isfinite(vectors).all(axis=1))
                        if writer is None:
                            writer = stack.enter_context(self._shelf.writing(sha256, vectors.shape[1]))
                        kept = [batch[at] for at in usable]
                        pages = [node.metadata.get("page") for node in kept]
                        writer.add(pages, [node.text for node in kept], vectors[usable])
                        share = (first + len(batch)) / len(nodes)
                        self._reporter.progress((read + share * (portion.done - read)) / portion.total)
                        self._check()
                    read = portion.done
                    self._reporter.progress(read / portion.total)
                    self._reporter.stage("load", f"Reading {document.name}")
                    self._check()
                if writer is None or writer.rows == 0:
                    raise DocumentFailed(
                        reason="The document holds no text that can be searched; check that it is the right file."
                    )
            partial.remove()
        return writer.rows


def _as_document_failure(error: Exception) -> Exception:
    """What the person is told."""
    if isinstance(error, DocumentFailed):
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
