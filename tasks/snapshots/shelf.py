"""The shelf: which collections and snapshots are on disk, and the pointer to the current one.

File system only and light, so that pages and commands may use it. A version counts as published once CURRENT
has named it; what a crash left behind is never listed, opened or rolled back to, and `recover` removes it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import SnapshotInvalid, SnapshotNotFound
from tasks.snapshots import durable, history, leases, manifest
from tasks.snapshots.history import Move
from tasks.snapshots.manifest import (
    TABLE,
    DocumentEntry,
    Manifest,
    checked_job,
    checked_name,
    checked_version,
    is_name,
    is_version,
)
from tasks.snapshots.rows import CollectionRow, SnapshotRow, changed_at, snapshot_row

log = logging.getLogger(__name__)

CURRENT = "CURRENT"
STAGING = "_tmp-"
HELD = "_held-"
LOCK = ".lock"


class Shelf:
    """The collections under one data folder. Holds no state: every answer is read from disk."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.root = data / "collections"

    # Reads: never write, never raise for what is damaged or absent.

    def collections(self) -> list[CollectionRow]:
        """Every collection with a published snapshot, by name."""
        try:
            names = sorted(entry.name for entry in self.root.iterdir() if is_name(entry.name) and entry.is_dir())
        except OSError:
            return []
        return [row for name in names if (row := self._collection(name)) is not None]

    def snapshots(self, name: str) -> list[SnapshotRow]:
        """The published versions of a collection, newest first. Raises CollectionNameRefused."""
        current = self.current(name)
        return [snapshot_row(self.path(name, version), name, current) for version in reversed(self._published(name))]

    def row(self, name: str, version: str) -> SnapshotRow:
        """One version as a row."""
        return snapshot_row(self.path(name, version), name, self.current(name))

    def current(self, name: str) -> str | None:
        """The version that CURRENT names; None when nothing is published or the pointer is damaged."""
        try:
            version = (self.folder(name) / CURRENT).read_text("ascii").strip()
        except (OSError, ValueError):
            return None
        return version if is_version(version) else None

    def manifest(self, name: str, version: str) -> Manifest:
        """What a version says about itself. Raises SnapshotNotFound when it is missing or damaged."""
        found = manifest.read(self.path(name, version))
        if found is None:
            raise SnapshotNotFound(name=name, version=version)
        return found

    def documents(self, name: str, version: str) -> list[DocumentEntry]:
        """The documents of a version by name. Raises SnapshotNotFound, SnapshotInvalid when the table is damaged."""
        folder = self.path(name, version)
        if not folder.is_dir():
            raise SnapshotNotFound(name=name, version=version)
        return manifest.read_documents(folder, name)

    def published_by(self, name: str, job: str, attempt: int) -> SnapshotRow | None:
        """The newest published version that this attempt of the job made, if it made one."""
        current = self.current(name)
        made = [move.version for move in self._moves(name) if (move.job, move.attempt) == (job, attempt)]
        if current and (found := manifest.read(self.path(name, current))):
            made += [current] if (found.job, found.attempt) == (job, attempt) else []
        there = [version for version in made if self.path(name, version).is_dir()]
        return snapshot_row(self.path(name, max(there, key=int)), name, current) if there else None

    # Paths: a name that is no folder name and a version that is no number are refused here.

    def folder(self, name: str) -> Path:
        return self.root / checked_name(name)

    def path(self, name: str, version: str) -> Path:
        """Where a version lives, whether it exists or not. Raises SnapshotNotFound for what is no version."""
        return self.folder(name) / checked_version(name, version)

    def staging(self, name: str, job: str) -> Path:
        return self.folder(name) / f"{STAGING}{checked_job(job)}"

    def held_path(self, name: str, job: str) -> Path:
        """Where the snapshot that a gate held back of this job lies, whether it exists or not."""
        return self.folder(name) / f"{HELD}{checked_job(job)}"

    def next_version(self, name: str) -> str:
        """One above every number in use or ever published, so that no number names two contents."""
        return f"{max((int(version) for version in self._used(name)), default=0) + 1:06d}"

    def base(self, name: str) -> str:
        """The version that a new snapshot starts from, "" for a new collection.

        Raises SnapshotInvalid when there are snapshots and the pointer names none of them: starting afresh would
        drop every document from the readers' sight.
        """
        current = self.current(name)
        if current and self.path(name, current).is_dir():
            return current
        if current or self._moves(name):
            raise SnapshotInvalid(
                name=name, reason="its pointer names no snapshot; roll back to one of its snapshots, then retry"
            )
        return ""

    @contextmanager
    def lease(self, name: str, version: str) -> Iterator[Path]:
        """Keep a version from being pruned while it is read; gives its folder. Raises SnapshotNotFound."""
        path = self.path(name, version)
        if not path.is_dir():
            raise SnapshotNotFound(name=name, version=version)
        with leases.held(self.folder(name) / leases.FOLDER / version):
            if not path.is_dir():
                raise SnapshotNotFound(name=name, version=version)
            yield path

    # Writes.

    def move_current(self, name: str, version: str) -> None:
        """Point CURRENT at a published version: a roll back.

        Raises SnapshotNotFound, DataUnwritable, CollectionBusy.
        """
        if not self.path(name, version).is_dir():
            raise SnapshotNotFound(name=name, version=version)
        with durable.disk_errors(self.data), self.exclusive(name):
            if version not in self._published(name) or not (self.path(name, version) / f"{TABLE}.lance").is_dir():
                raise SnapshotNotFound(name=name, version=version)
            if self.current(name) != version:
                self.point(name, version, how="rolled back")

    def point(
        self, name: str, version: str, *, how: history.How, step: Callable[[str], None] = lambda _name: None
    ) -> None:
        """Replace CURRENT: the commit point. The caller holds `exclusive` and knows that the version is whole."""
        self.note_current(name)
        folder = self.folder(name)
        durable.replace(folder / CURRENT, f"{version}\n".encode(), written=lambda: step("pointer written"))
        step("pointer moved")
        try:
            history.append(folder, self._move(name, version, how))
        except OSError:
            # Published all the same; whoever moves the pointer next writes the line.
            log.warning("HISTORY of %s could not be written.", name, exc_info=True)

    def note_current(self, name: str) -> None:
        """See that HISTORY has the current version, also after a crash right behind the commit point."""
        current = self.current(name)
        if current is None or current in {move.version for move in self._moves(name)}:
            return
        noted = [current]
        if not (self.folder(name) / history.HISTORY).exists():
            # Lost as a whole: forgetting versions that were published would be worse than keeping one that was not.
            noted = [version for version in self._folders(name) if manifest.read(self.path(name, version))]
            noted = [version for version in noted if version != current] + [current]
        history.append(self.folder(name), *(self._move(name, version, "recovered") for version in noted))

    def recover(self, name: str, *, keep_jobs: Collection[str]) -> list[str]:
        """Remove what crashed publishers left, repair HISTORY; returns the names removed.

        The caller holds the collection's publish lock, or knows that nobody publishes. Staging folders of
        `keep_jobs` stay. Raises DataUnwritable, CollectionBusy.
        """
        folder = self.folder(name)
        if not folder.is_dir():
            return []
        kept = {f"{STAGING}{job}" for job in keep_jobs}
        removed = []
        with durable.disk_errors(self.data), self.exclusive(name):
            self.note_current(name)
            published = set(self._published(name))
            for entry in sorted(folder.iterdir()):
                never_published = is_version(entry.name) and entry.name not in published
                staged = entry.name.startswith(STAGING) and entry.name not in kept
                if (never_published or staged) and entry.is_dir() and not entry.is_symlink():
                    durable.remove(entry)
                elif entry.name.startswith(durable.FRESH):
                    entry.unlink(missing_ok=True)
                else:
                    continue
                removed.append(entry.name)
        return removed

    def discard(self, name: str, job: str) -> None:
        """Remove a job's staging folder; safe when absent."""
        with durable.disk_errors(self.data):
            durable.remove(self.staging(name, job))

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Nobody else moves this collection's pointer or recovers it meanwhile. Raises CollectionBusy."""
        with durable.exclusive(self.folder(name) / LOCK, name):
            yield

    # Inside.

    def _moves(self, name: str) -> list[Move]:
        return history.moves(self.folder(name))

    def _move(self, name: str, version: str, how: history.How) -> Move:
        found = manifest.read(self.path(name, version))
        return Move(version, job=found.job if found else "", attempt=found.attempt if found else 0, how=how)

    def _folders(self, name: str) -> list[str]:
        with contextlib.suppress(OSError):
            found = [e.name for e in self.folder(name).iterdir() if is_version(e.name) and e.is_dir()]
            return sorted(found, key=int)
        return []

    def _published(self, name: str) -> list[str]:
        """Versions that CURRENT names or has named and that still are there, oldest first."""
        named = {move.version for move in self._moves(name)} | {self.current(name)}
        return [version for version in self._folders(name) if version in named]

    def _used(self, name: str) -> set[str]:
        used = {*self._folders(name), *(move.version for move in self._moves(name))}
        return used | ({current} if (current := self.current(name)) else set())

    def _collection(self, name: str) -> CollectionRow | None:
        published, current = self._published(name), self.current(name)
        if not published:
            return None
        row = snapshot_row(self.path(name, current), name, current) if current in published and current else None
        pointer = self.folder(name) / CURRENT
        return CollectionRow(
            name=name,
            current=current if row and current else "",
            versions=len(published),
            documents=row.documents if row else 0,
            chunks=row.chunks if row else 0,
            size_bytes=row.size_bytes if row else 0,
            updated_at=changed_at(pointer if pointer.exists() else self.folder(name)),
        )
