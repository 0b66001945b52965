"""What a sync would remove from a collection, and the brake on it. Light: asked before a submission and a publish."""

from __future__ import annotations

from collections.abc import Collection

from tasks.errors import SyncBraked
from tasks.snapshots.shelf import Shelf

SYNC_BRAKE = 0.2  # the share of a collection that a sync removes without asking


def vanished(shelf: Shelf, name: str, present: Collection[str], *, yes: bool) -> list[str]:
    """The documents of a collection that a sync with these names would remove.

    Raises SyncBraked when they are more than a fifth of it and nobody said yes: a folder that was not mounted must not
    empty a collection.
    """
    current = shelf.current(name)
    if current is None:
        return []
    known = [entry.name for entry in shelf.documents(name, current)]
    here = set(present)
    gone = [document for document in known if document not in here]
    if len(gone) > len(known) * SYNC_BRAKE and not yes:
        raise SyncBraked(name=name, vanished=len(gone), total=len(known), percent=round(SYNC_BRAKE * 100))
    return gone
