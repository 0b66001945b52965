"""The publish that ends a job: its documents' artifacts become the collection's next snapshot.

Holds the collection's publish lock from the first staged byte to the moved pointer, and nothing else.
A publish that had committed when its worker died is found again and only recorded.
"""

from __future__ import annotations

import logging
import time

from tasks.errors import BaseMoved, Canceled, CollectionBusy, IngestboardError, Stopping
from tasks.ingest import kinds
from tasks.ingest.assembly import Assembly, LockLost
from tasks.ingest.plan import plan
from tasks.ledger import Ledger, control, locks, monitor, store
from tasks.ledger.records import JobRow
from tasks.recovery import committed, discard
from tasks.snapshots.shelf import Shelf

log = logging.getLogger(__name__)

LOCK_POLL_S = 0.2
TURNS = 5  # starts of a publish that others were faster than


def publish(ledger: Ledger, reporter: store.Reporter) -> None:
    """The last step of a job: publish what its shards made, or do what its kind does; and close it."""
    claim = reporter.claim
    job = monitor.job(ledger, claim.job)
    shelf = Shelf(ledger.settings.data)
    if job.kind not in (control.INGEST, control.REBUILD):
        _do(ledger, reporter, job, shelf)
        return
    published_before = monitor.published_attempt(ledger, claim.job)
    try:
        row = committed(shelf, job, published_before)
        version, done = (row.version, "") if row else _publish(ledger, reporter, shelf, job, published_before)
    except Canceled:
        discard(shelf, job)
        raise
    except Stopping:
        raise
    except (IngestboardError, OSError) as error:
        discard(shelf, job)
        sentence = (
            str(error)
            if isinstance(error, IngestboardError)
            else f"The snapshot could not be written ({error.strerror or type(error).__name__}); free space and retry."
        )
        store.close(ledger, job.id, claim.fence, error=sentence)
        return
    store.close(ledger, job.id, claim.fence, snapshot=version, done=done)


def _do(ledger: Ledger, reporter: store.Reporter, job: JobRow, shelf: Shelf) -> None:
    try:
        done = kinds.run(kinds.Work(ledger, reporter, job, shelf))
    except Stopping:
        raise
    except IngestboardError as error:
        store.close(ledger, job.id, reporter.claim.fence, error=str(error))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        sentence = f"It could not read or write its files ({reason}); free space or check DATA, then retry."
        store.close(ledger, job.id, reporter.claim.fence, error=sentence)
    else:
        store.close(ledger, job.id, reporter.claim.fence, done=done)


def _publish(
    ledger: Ledger, reporter: store.Reporter, shelf: Shelf, job: JobRow, published_before: int
) -> tuple[str, str]:
    """The version that holds the job's documents now, and what is to be said if it was not made by this job."""
    rows = monitor.documents(ledger, job.id)
    turn = 0
    while True:
        turn += 1
        reporter.stage("publish", f"Waiting for the publish lock of {job.collection}")
        lock = _wait_for_lock(ledger, reporter, job)
        try:
            for litter in shelf.recover(job.collection, keep_jobs=()):
                log.warning("removed %s of collection %s, left by a publish that died", litter, job.collection)
            todo = plan(shelf, job, rows, published_before)
            if todo.empty:
                return todo.base, f"Everything is in snapshot {todo.base} already."
            return Assembly(ledger, reporter, shelf, job, todo, lock).publish().version, ""
        except (LockLost, BaseMoved, CollectionBusy) as error:
            # Another publisher was faster: nothing of ours is there, and we start again from its snapshot.
            if turn == TURNS:
                raise
            reporter.event(f"{error}")
        finally:
            lock.release()


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
