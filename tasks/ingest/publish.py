"""The publish that ends a job: its documents' artifacts become the collection's next snapshot.

Holds the collection's publish lock from the first staged byte to the moved pointer, and nothing else.
A publish that had committed when its worker died is found again and only recorded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from tasks.errors import BaseMoved, Canceled, CollectionBusy, IngestboardError, Stopping
from tasks.ingest import kinds
from tasks.ingest.artifacts import Artifacts
from tasks.ledger import Ledger, control, locks, monitor, store
from tasks.ledger.records import DocumentRow, JobRow
from tasks.ledger.states import DocumentState
from tasks.recipe import Recipe
from tasks.snapshots import staging
from tasks.snapshots.rows import SnapshotRow
from tasks.snapshots.shelf import Shelf

log = logging.getLogger(__name__)

LOCK_POLL_S = 0.2
TURNS = 5  # starts of a publish that others were faster than


class LockLost(IngestboardError):
    """The publish lock went to another publisher. Data: name."""

    sentence = "The publish lock of {name} was lost to another publisher; the publish starts again."


class ArtifactMissing(IngestboardError):
    """An artifact that the job made is gone. Data: document."""

    sentence = "The stored chunks of {document} are gone; retry all documents of this job."


def publish(ledger: Ledger, reporter: store.Reporter) -> None:
    """The last step of a job: publish what its shards made, or do what its kind does; and close it."""
    claim = reporter.claim
    job = monitor.job(ledger, claim.job)
    shelf = Shelf(ledger.settings.data)
    if job.kind != control.INGEST:
        _do(ledger, reporter, job, shelf)
        return
    published_before = monitor.published_attempt(ledger, claim.job)
    try:
        row = committed(shelf, job, published_before) or _publish(ledger, reporter, shelf, job, published_before)
    except Canceled:
        shelf.discard(job.collection, job.id)
        raise
    except Stopping:
        raise
    except (IngestboardError, OSError) as error:
        shelf.discard(job.collection, job.id)
        sentence = (
            str(error)
            if isinstance(error, IngestboardError)
            else f"The snapshot could not be written ({error.strerror or type(error).__name__}); free space and retry."
        )
        store.close(ledger, job.id, claim.attempt, error=sentence)
        return
    store.close(ledger, job.id, claim.attempt, snapshot=row.version if row else job.snapshot)


def _do(ledger: Ledger, reporter: store.Reporter, job: JobRow, shelf: Shelf) -> None:
    try:
        done = kinds.run(kinds.Work(ledger, reporter, job, shelf))
    except Stopping:
        raise
    except IngestboardError as error:
        store.close(ledger, job.id, reporter.claim.attempt, error=str(error))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        sentence = f"It could not read or write its files ({reason}); free space or check DATA, then retry."
        store.close(ledger, job.id, reporter.claim.attempt, error=sentence)
    else:
        store.close(ledger, job.id, reporter.claim.attempt, done=done)


def committed(shelf: Shelf, job: JobRow, published_before: int) -> SnapshotRow | None:
    """The snapshot that this run of the job published already, before its worker died."""
    for attempt in range(published_before + 1, job.attempt + 1):
        row = shelf.published_by(job.collection, job.id, attempt)
        if row is not None:
            return row
    return None


def _publish(
    ledger: Ledger, reporter: store.Reporter, shelf: Shelf, job: JobRow, published_before: int
) -> SnapshotRow | None:
    documents = [
        row
        for row in monitor.documents(ledger, job.id)
        if row.state is DocumentState.COMPLETED and row.attempt > published_before
    ]
    if not documents:
        return None
    for turn in range(TURNS):
        reporter.stage("publish", f"Waiting for the publish lock of {job.collection}")
        lock = _wait_for_lock(ledger, reporter, job)
        try:
            for litter in shelf.recover(job.collection, keep_jobs=()):
                log.warning("removed %s of collection %s, left by a publish that died", litter, job.collection)
            return _stage_and_commit(ledger, reporter, shelf, job, documents, lock)
        except (LockLost, BaseMoved, CollectionBusy) as error:
            # Another publisher was faster: nothing of ours is there, and we start again from its snapshot.
            if turn == TURNS - 1:
                raise
            reporter.event(f"{error}")
        finally:
            lock.release()
    return None


def _wait_for_lock(ledger: Ledger, reporter: store.Reporter, job: JobRow) -> locks.PublishLock:
    told = False
    token = locks.holder(job.id, reporter.claim.attempt)
    while (lock := locks.acquire(ledger, job.collection, token)) is None:
        if not told:
            reporter.event(f"Waits for another publish to {job.collection}.")
            told = True
        reporter.check()
        time.sleep(LOCK_POLL_S)
    return lock


def _stage_and_commit(
    ledger: Ledger,
    reporter: store.Reporter,
    shelf: Shelf,
    job: JobRow,
    documents: list[DocumentRow],
    lock: locks.PublishLock,
) -> SnapshotRow:
    recipe = Recipe.model_validate_json(job.recipe)
    settings = ledger.settings
    staged_count = 0
    renewed = time.monotonic()

    def checkpoint() -> None:
        nonlocal renewed
        reporter.progress(0.9 * staged_count / len(documents))
        reporter.check()
        if time.monotonic() - renewed > locks.LOCK_S / 4:
            renewed = time.monotonic()
            owned()

    def owned() -> bool:
        if not lock.renew():
            raise LockLost(name=job.collection)
        return True

    artifacts = Artifacts(settings.data, recipe.fingerprint)

    def staged_documents() -> Iterator[staging.StagedDocument]:
        nonlocal staged_count
        for row in documents:
            table = artifacts.get(row.sha256)
            if table is None:
                raise ArtifactMissing(document=row.name)
            yield staging.StagedDocument(document=row.name, sha256=row.sha256, table=table)
            staged_count += 1

    reporter.stage("index", f"Adding {len(documents)} documents to {job.collection}")
    reporter.check(now=True)
    first = artifacts.get(documents[0].sha256)
    if first is None:
        raise ArtifactMissing(document=documents[0].name)
    staged = staging.stage(
        shelf,
        job.collection,
        job=job.id,
        attempt=reporter.claim.attempt,
        owner=job.owner,
        recipe=recipe.fingerprint,
        embedder=recipe.embedder,
        dimension=first.schema.field("vector").type.list_size,
        documents=staged_documents(),
        checkpoint=checkpoint,
    )
    reporter.stage("publish", "Verifying the new snapshot")
    reporter.check(now=True)
    staging.verify(staged)
    reporter.stage("publish", "Publishing")
    try:
        reporter.check(commit=True)
    except BaseException:
        staged.discard()
        raise
    return staging.commit(staged, still_owner=owned)
