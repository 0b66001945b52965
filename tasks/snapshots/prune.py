"""Prune old versions: never the current one, never one that somebody reads or builds on.

A version leaves by a rename to `_tmp-prune-<version>` and is deleted afterwards, so that a crash leaves it whole or
as litter that `Shelf.recover` removes. Its number is never given again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks.snapshots import durable, held, history, leases
from tasks.snapshots.committing import Step, quiet
from tasks.snapshots.history import Move
from tasks.snapshots.rows import SnapshotRow
from tasks.snapshots.shelf import STAGING, Shelf

LITTER = f"{STAGING}prune-"


@dataclass(frozen=True, slots=True)
class Pruned:
    """The versions that went, oldest first, the bytes that no version shares with them, and those that readers keep."""

    versions: tuple[str, ...]
    bytes_freed: int
    leased: tuple[str, ...]


def prune(
    shelf: Shelf,
    name: str,
    *,
    keep_last: int,
    older_than_days: float | None = None,
    dry_run: bool = False,
    step: Step = quiet,
) -> Pruned:
    """Remove the versions behind the newest `keep_last`, of these only those older than so many days when given.

    Kept whatever is asked: the current version, the bases of held snapshots, and what a reader or a publisher
    leases. A dry run says what would go. Raises CollectionNameRefused, CollectionBusy, DataUnwritable.
    """
    if keep_last < 1:
        raise ValueError("at least one version is kept")
    folder = shelf.folder(name)
    if shelf.current(name) is None:
        return Pruned((), 0, ())
    with durable.disk_errors(shelf.data):
        with nullcontext() if dry_run else shelf.exclusive(name), ExitStack() as locks:
            wanted = _wanted(shelf, name, keep_last, older_than_days)
            going = [row for row in wanted if locks.enter_context(leases.free(folder / leases.FOLDER / row.version))]
            gone = tuple(row.version for row in going)
            kept = tuple(row.version for row in wanted if row not in going)
            freed = _freed(shelf.path(name, version) for version in gone)
            if dry_run or not gone:
                return Pruned(gone, freed, kept)
            _take_away(shelf, name, going, step)
        for version in gone:
            durable.remove(folder / f"{LITTER}{version}")
            step("version removed")
    return Pruned(gone, freed, kept)


def _wanted(shelf: Shelf, name: str, keep_last: int, older_than_days: float | None) -> list[SnapshotRow]:
    """What the rule asks to remove, oldest first."""
    bases = {row.base for row in held.held(shelf, name)}
    rows = [row for row in shelf.snapshots(name)[keep_last:] if not row.current and row.version not in bases]
    if older_than_days is not None:
        before = datetime.now(UTC) - timedelta(days=older_than_days)
        rows = [row for row in rows if row.created_at < before]
    return rows[::-1]


def _take_away(shelf: Shelf, name: str, going: list[SnapshotRow], step: Step) -> None:
    folder = shelf.folder(name)
    # HISTORY must know the current version by its own line before it gets younger ones.
    shelf.note_current(name)
    for row in going:
        litter = folder / f"{LITTER}{row.version}"
        durable.remove(litter)
        shelf.path(name, row.version).rename(litter)
        # Who waits for this lease finds the version gone; its number never comes back.
        (folder / leases.FOLDER / row.version).unlink(missing_ok=True)
        step("version renamed away")
    durable.sync(folder)
    history.append(folder, *(Move(row.version, row.job, 0, "pruned") for row in going))
    step("history written")


def _freed(folders: Iterable[Path]) -> int:
    """Bytes of the files whose every name is in these folders: those shared with another version stay."""
    names: dict[tuple[int, int], int] = {}
    about: dict[tuple[int, int], os.stat_result] = {}
    for folder in folders:
        for path in durable.files(folder):
            found = path.stat()
            key = (found.st_dev, found.st_ino)
            names[key] = names.get(key, 0) + 1
            about[key] = found
    return sum(found.st_size for key, found in about.items() if found.st_nlink <= names[key])
