"""What the shelf hands out: frozen rows that never fail to be made, whatever is damaged on disk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tasks.snapshots import manifest


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """One published version. A damaged manifest gives zero counts and empty texts."""

    collection: str
    version: str
    created_at: datetime
    owner: str
    job: str
    documents: int
    chunks: int
    size_bytes: int
    current: bool
    recipe: str
    embedder: str
    base: str


@dataclass(frozen=True, slots=True)
class CollectionRow:
    """One collection: counts and size of its current snapshot, and when its pointer last moved."""

    name: str
    current: str
    versions: int
    documents: int
    chunks: int
    size_bytes: int
    updated_at: datetime


def snapshot_row(folder: Path, name: str, current: str | None) -> SnapshotRow:
    """The row of the version in `folder`, of the collection `name` whose current version is `current`."""
    found = manifest.read(folder)
    return SnapshotRow(
        collection=name,
        version=folder.name,
        created_at=found.created_at.astimezone(UTC) if found else changed_at(folder),
        owner=found.owner if found else "",
        job=found.job if found else "",
        documents=found.documents if found else 0,
        chunks=found.chunks if found else 0,
        size_bytes=found.size_bytes if found else 0,
        current=folder.name == current,
        recipe=found.recipe if found else "",
        embedder=found.embedder if found else "",
        base=found.base if found else "",
    )


def changed_at(path: Path) -> datetime:
    """When a file or folder last changed: the best there is for a snapshot whose manifest is damaged."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return datetime.fromtimestamp(0, UTC)
