"""Answering for a work horse that is gone: its shard is settled, its publish closed or cleaned away."""

from __future__ import annotations

import logging
from contextlib import suppress

from tasks.errors import DocumentPastLimit, IngestboardError
from tasks.ledger import Ledger, control, locks, monitor, queues, store
from tasks.ledger.records import JobRow
from tasks.snapshots.rows import SnapshotRow
from tasks.snapshots.shelf import Shelf

log = logging.getLogger(__name__)


def committed(shelf: Shelf, job: JobRow, published_before: int) -> SnapshotRow | None:
    """The snapshot that this run of the job published already, before its worker died."""
    for attempt in range(published_before + 1, job.attempt + 1):
        row = shelf.published_by(job.collection, job.id, attempt)
        if row is not None:
            return row
    return None


def discard(shelf: Shelf, job: JobRow) -> None:
    """Remove what a publish left half done. A disk that refuses keeps it; the janitor comes back to it."""
    with suppress(OSError):
        try:
            shelf.discard(job.collection, job.id)
        except IngestboardError as error:
            log.warning("%s", error)


def recover(
    ledger: Ledger,
    job_id: str,
    shard: str,
    attempt: int,
    *,
    reason: str,
    killed_for: str = "",
    document: int | None = None,
) -> None:
    """Settle a shard whose work horse is gone: close a publish that had committed, else try the rest again.

    Raises Fenced when another attempt owns the shard by now.
    """
    job = monitor.job(ledger, job_id)
    if shard == store.PUBLISH and job.kind in (control.INGEST, control.REBUILD):
        locks.free(ledger, job.collection, locks.holder(job_id, attempt))
        shelf = Shelf(ledger.settings.data)
        row = committed(shelf, job, monitor.published_attempt(ledger, job_id))
        if row is not None:
            store.close(ledger, job_id, attempt, snapshot=row.version)
            return
        discard(shelf, job)
    outcome: store.Outcome = "lost"
    how = reason
    if killed_for == "cancel":
        outcome, how = "canceled", "by killing its work horse"
    elif killed_for == "shutdown":
        outcome = "released"
    elif killed_for == "document" and document is not None:
        outcome, how = "overdue", str(DocumentPastLimit(limit_s=job.document_limit_s))
    delivery = store.settle(ledger, job_id, shard, attempt, outcome, how=how, document=document)
    if delivery is not None:
        queues.deliver(ledger, [delivery], job.priority)
