"""Commit a staged snapshot: everything to disk, a version number, the pointer.

The commit point is the replacement of CURRENT. Before it, whatever happens leaves the old version served and
litter that `Shelf.recover` removes; after it, the new one is wholly there.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import BaseMoved, CollectionBusy, Fenced
from tasks.snapshots import durable, manifest
from tasks.snapshots.manifest import Manifest
from tasks.snapshots.rows import SnapshotRow

if TYPE_CHECKING:
    from tasks.snapshots.staging import Staged

Step = Callable[[str], None]


def quiet(_name: str) -> None:
    """The step hook outside tests, which die at the step of a name."""


def commit(staged: Staged, *, still_owner: Callable[[], bool], step: Step = quiet) -> SnapshotRow:
    """Publish a verified snapshot. `still_owner` asks the ledger whether this attempt still holds the lock.

    Raises Fenced when it does not, BaseMoved when CURRENT moved or another publisher took the number,
    DataUnwritable, CollectionBusy; nothing is published and nothing left then. Returns the new version's row.
    """
    shelf, name = staged.shelf, staged.name
    version = shelf.next_version(name)
    try:
        with durable.disk_errors(shelf.data):
            _check(staged, still_owner)
            write_manifest(staged, version)
            step("manifest written")
            sync_all(staged)
            step("files synced")
            _take_number(staged, version)
            step("version renamed")
            with shelf.exclusive(name):
                _check(staged, still_owner, version)
                step("owner checked")
                shelf.point(name, version, how="published", step=step)
            step("history written")
    except BaseException:
        _undo(staged, version)
        raise
    finally:
        staged.leases.close()
    return shelf.row(name, version)


def _check(staged: Staged, still_owner: Callable[[], bool], version: str = "") -> None:
    if not still_owner():
        raise Fenced(job=staged.job, attempt=staged.attempt)
    current = staged.shelf.current(staged.name) or ""
    # A publisher that was fenced off may find its version recovered away.
    if current != staged.base or (version and not _is_ours(staged)):
        raise BaseMoved(name=staged.name, base=staged.base or "nothing", current=current or "nothing")


def write_manifest(staged: Staged, version: str) -> None:
    """What the staged folder holds, in its manifest.json; `version` is "" for one that is to be held."""
    sizes = {path.relative_to(staged.folder).as_posix(): path.stat().st_size for path in durable.files(staged.folder)}
    made = Manifest(
        collection=staged.name,
        version=version,
        base=staged.base,
        job=staged.job,
        attempt=staged.attempt,
        owner=staged.owner,
        recipe=staged.recipe,
        embedder=staged.embedder,
        dimension=staged.dimension,
        documents=len(staged.documents),
        chunks=staged.chunks,
        dead_chunks=staged.dead_chunks,
        size_bytes=sum(sizes.values()),
        written_bytes=sum(size for relative, size in sizes.items() if relative not in staged.linked),
        created_at=datetime.now(UTC),
    )
    staged.manifest = manifest.encode(made)
    durable.write(staged.folder / manifest.MANIFEST, staged.manifest)


def sync_all(staged: Staged) -> None:
    """Force to disk what the base does not already have there: new files, then every folder from the leaves up."""
    for path in durable.files(staged.folder):
        if path.relative_to(staged.folder).as_posix() not in staged.linked:
            durable.sync(path)
    for parent, _, _ in os.walk(staged.folder, topdown=False):
        durable.sync(Path(parent))


def _take_number(staged: Staged, version: str) -> None:
    """Rename to the version's number. A folder that is there already makes it fail: one number, one publisher."""
    target = staged.shelf.path(staged.name, version)
    try:
        staged.folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise BaseMoved(name=staged.name, base=staged.base or "nothing", current=version) from None
    workspace, staged.folder = staged.folder.parent, target
    with contextlib.suppress(OSError):
        workspace.rmdir()
    durable.sync(target.parent)


def _is_ours(staged: Staged) -> bool:
    """Whether the folder is still the one that we made: recovery frees a number, and another publisher takes it."""
    try:
        return (staged.folder / manifest.MANIFEST).read_bytes() == staged.manifest
    except OSError:
        return False


def _undo(staged: Staged, version: str) -> None:
    """Leave nothing of a commit that did not reach the pointer."""
    shelf, name = staged.shelf, staged.name
    if staged.folder.name != version:
        staged.discard()
        return
    with contextlib.suppress(OSError, CollectionBusy), shelf.exclusive(name):
        if shelf.current(name) != version and _is_ours(staged):
            durable.remove(staged.folder)
