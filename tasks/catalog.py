"""Collections as people meet them: which there are, their snapshots, and rolling one back on the record."""

from __future__ import annotations

import time

from tasks.errors import CollectionBusy
from tasks.ledger import Ledger, control, locks
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
    """Make an older (or newer) snapshot the current one. Searches from here on read it.

    Raises CollectionNotFound, SnapshotNotFound or CollectionBusy.
    """
    shelf = Shelf(ledger.settings.data)
    shelf.manifest(name, version)
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
    control.record(ledger, "roll back", name, by=by, result=f"{name} was moved from {before} to {version}.")
    return next(row for row in shelf.snapshots(name) if row.version == version)
