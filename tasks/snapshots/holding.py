"""Hold a verified snapshot back for a person to look at, and publish it later.

Imports lancedb, as staging does. What is held is a whole snapshot in `_held-<job>`: it is searched like any other
(`search(..., held=job)`), and published as it is, or, when the collection moved meanwhile, staged again from what
it brought and removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex

import pyarrow as pa

from tasks.errors import BaseMoved
from tasks.snapshots import durable, manifest, table
from tasks.snapshots.committing import Step, commit, quiet, sync_all, write_manifest
from tasks.snapshots.held import NOTE, Note, discard_held, opened
from tasks.snapshots.manifest import DocumentEntry, Manifest
from tasks.snapshots.rows import SnapshotRow
from tasks.snapshots.shelf import Shelf
from tasks.snapshots.staging import Checkpoint, Staged, StagedDocument, stage
from tasks.snapshots.verifying import verify

READ_ROWS = 8192


def keep(staged: Staged, *, reason: str = "", step: Step = quiet) -> str:
    """Move a verified staging to `_held-<job>`, in place of what an earlier attempt of the job left; its name.

    The caller holds the publish lock. Raises DataUnwritable; nothing is left of the staging then.
    """
    shelf, name = staged.shelf, staged.name
    target = shelf.held_path(name, staged.job)
    brought, removed = tuple(sorted(staged.brought)), tuple(sorted(staged.removed))
    note = Note(brought=brought, removed=removed, fresh=staged.fresh, reason=reason)
    try:
        with durable.disk_errors(shelf.data):
            write_manifest(staged, "")
            durable.write(staged.folder / NOTE, note.model_dump_json().encode() + b"\n")
            sync_all(staged)
            step("held files synced")
            if target.exists():
                target.rename(staged.folder.with_name(f"replaced-{token_hex(4)}"))
                step("older one moved away")
            staged.folder.rename(target)
            durable.sync(target.parent)
            step("held")
    except BaseException:
        staged.discard()
        raise
    finally:
        staged.leases.close()
    shelf.discard(name, staged.job)
    return target.name


def publish_held(
    shelf: Shelf,
    name: str,
    job: str,
    *,
    still_owner: Callable[[], bool],
    checkpoint: Checkpoint = lambda: None,
    step: Step = quiet,
) -> SnapshotRow:
    """Publish a held snapshot, on top of what is current now: its documents win over newer ones of their names.

    The caller holds the publish lock. Until the pointer moved, the held one stays as it is; a second call after a
    crash finds what the first published. Raises HeldNotFound, BaseMoved for one that was made afresh when the
    collection moved, and whatever `stage`, `verify` and `commit` do.
    """
    folder, about, note = opened(shelf, name, job)
    row = shelf.published_by(name, job, about.attempt)
    if row is None:
        current = shelf.current(name) or ""
        if note.fresh and current != about.base:
            # Made to replace all that there was: what came meanwhile would be lost.
            raise BaseMoved(name=name, base=about.base or "nothing", current=current or "nothing")
        if current == about.base:
            staged = _as_it_is(shelf, name, folder, about, note, step)
        else:
            staged = _again(shelf, name, folder, about, note, checkpoint, step)
        verify(staged)
        step("verified")
        row = commit(staged, still_owner=still_owner, step=step)
    discard_held(shelf, name, job)
    return row


def _as_it_is(shelf: Shelf, name: str, folder: Path, about: Manifest, note: Note, step: Step) -> Staged:
    """The held files under a second name, for commit to rename: the first stays until the pointer moved."""
    shelf.discard(name, about.job)
    staged = Staged(
        shelf,
        name,
        job=about.job,
        attempt=about.attempt,
        owner=about.owner,
        recipe=about.recipe,
        embedder=about.embedder,
        dimension=about.dimension,
        base=about.base,
        folder=shelf.staging(name, about.job) / token_hex(4),
        base_chunks=about.chunks,
        dead_chunks=about.dead_chunks,
        brought=set(note.brought),
        removed=set(note.removed),
        fresh=note.fresh,
        documents={entry.name: entry for entry in manifest.read_documents(folder, name)},
    )
    base = shelf.path(name, about.base) if about.base else None
    try:
        with durable.disk_errors(shelf.data):
            if base:
                staged.leases.enter_context(shelf.lease(name, about.base))
                staged.base_files = durable.marks(base)
            staged.folder.mkdir(parents=True)
            for path in durable.files(folder):
                relative = path.relative_to(folder)
                if relative.as_posix() in (manifest.MANIFEST, NOTE):
                    continue
                target = staged.folder / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                durable.link(path, target)
                if base and relative.as_posix() in staged.base_files and (base / relative).samefile(target):
                    staged.linked.add(relative.as_posix())
            step("held one linked")
    except BaseException:
        staged.discard()
        raise
    return staged


def _again(
    shelf: Shelf, name: str, folder: Path, about: Manifest, note: Note, checkpoint: Checkpoint, step: Step
) -> Staged:
    """Stage what the held one brought and removed on top of the version that is current now."""
    return stage(
        shelf,
        name,
        job=about.job,
        attempt=about.attempt,
        owner=about.owner,
        recipe=about.recipe,
        embedder=about.embedder,
        dimension=about.dimension,
        documents=_brought(folder, name, about, note),
        remove=note.removed,
        checkpoint=checkpoint,
        step=step,
    )


def _brought(folder: Path, name: str, about: Manifest, note: Note) -> Iterator[StagedDocument]:
    """The documents that a held snapshot brought: the last rows of its table, each document's together."""
    entries = {entry.name: entry for entry in manifest.read_documents(folder, name)}
    wanted = [entries[document] for document in note.brought if document in entries]
    for entry in wanted:
        if not entry.chunks:
            yield StagedDocument(entry.name, entry.sha256, table.empty(about.dimension))
    added = sum(entry.chunks for entry in wanted)
    if not added:
        return
    rows = table.open_table(folder).search().select(["document", *table.ARTIFACT_COLUMNS])
    pieces: list[pa.RecordBatch] = []
    for batch in rows.offset(about.chunks - added).limit(added).to_batches(batch_size=READ_ROWS):
        for document, piece in _runs(batch):
            if pieces and pieces[0]["document"][0].as_py() != document:
                yield _document(entries, pieces)
                pieces = []
            pieces.append(piece)
    yield _document(entries, pieces)


def _runs(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """A batch cut where its document changes."""
    names = batch["document"].to_pylist()
    start = 0
    for end in range(1, len(names) + 1):
        if end == len(names) or names[end] != names[start]:
            yield names[start], batch.slice(start, end - start)
            start = end


def _document(entries: dict[str, DocumentEntry], pieces: list[pa.RecordBatch]) -> StagedDocument:
    entry = entries[pieces[0]["document"][0].as_py()]
    return StagedDocument(entry.name, entry.sha256, pa.Table.from_batches(pieces).select(list(table.ARTIFACT_COLUMNS)))
