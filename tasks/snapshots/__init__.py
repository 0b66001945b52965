"""Published indexes on disk: stage, verify, commit, open, roll back.

The shelf is light and serves pages and commands. `tasks.snapshots.staging` and `tasks.snapshots.search`
import lancedb and are for worker children and programs of their own: imported in a process that forks they
do no harm, used there they do.
"""

from __future__ import annotations

from tasks.snapshots.manifest import DocumentEntry, Manifest
from tasks.snapshots.rows import CollectionRow, SnapshotRow
from tasks.snapshots.shelf import Shelf

__all__ = ["CollectionRow", "DocumentEntry", "Manifest", "Shelf", "SnapshotRow"]
