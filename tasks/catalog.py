"""Collections as people meet them: which there are, their snapshots, and rolling one back on the record."""

from __future__ import annotations

import time

from tasks import kinds
from tasks.errors import CollectionBusy, IngestboardError
from tasks.ledger import Ledger, control, locks, store
from tasks.settings import Settings
from tasks.snapshots.rows import CollectionRow, SnapshotRow
from tasks.snapshots.shelf import Shelf

LOCK_WAIT_S = 10.0


def collections(settings: Settings) -> list[CollectionRow]:
    """The collections with a published snapshot, by name."""
    return Shelf(settings.data).collections()


def snapshots(settings: Settings, name: str) -> list[SnapshotRow]:
    """The snapshots of a collection, newest first."""
    return Shelf(settings.data).snapshots(name)


def roll_back(ledger: Ledger, name: str, version: str, *, by: str) -> SnapshotRow:
    """Make an older (or newer) snapshot the current one, as a job on the board. Searches from here on read it.

    It is done by the caller at once and needs no worker; a worker ends it if the caller dies on the way.
    Raises CollectionNotFound, SnapshotNotFound or CollectionBusy.
    """
    shelf = Shelf(ledger.settings.data)
    shelf.manifest(name, version)
    arguments = kinds.RollBackArguments(version=version)
    job = control.request(
        ledger,
        kind=kinds.ROLL_BACK.name,
        collection=name,
        arguments=arguments.model_dump_json(),
        owner=by,
        title=f"Roll {name} back to {version}",
        deliver=False,
    ).job
    claim = store.claim(ledger, job, store.PUBLISH, store.delivery_of(ledger, job, store.PUBLISH), f"for {by}")
    if claim is None:
        raise CollectionBusy(name=name)
    try:
        done = move(ledger, shelf, name, version)
    except IngestboardError as error:
        store.close(ledger, job, claim.attempt, error=str(error))
        raise
    store.close(ledger, job, claim.attempt, snapshot=version, done=done)
    return shelf.row(name, version)


def move(ledger: Ledger, shelf: Shelf, name: str, version: str) -> str:
    """Move the pointer under the publish lock; what was done, in a sentence."""
    until = time.monotonic() + LOCK_WAIT_S
    while (lock := locks.acquire(ledger, name)) is None:
        if time.monotonic() > until:
            raise CollectionBusy(name=name)
        time.sleep(0.1)
    try:
        before = shelf.current(name)
        shelf.move_current(name, version)
    finally:
        lock.release()
    return f"{name} was moved from {before} to {version}."
