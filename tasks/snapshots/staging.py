"""Stage the next snapshot of a collection beside the current one.

The caller holds the collection's publish lock and lives in a process of its own, for Lance runs threads that
a fork would break. The base's files are linked, never written; cost grows with the change. In order: `stage`,
`verify`, `commit`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

import pyarrow as pa

from tasks.errors import EmbedderMismatch, SnapshotInvalid
from tasks.snapshots import durable, indexing, manifest, table
from tasks.snapshots.committing import Step, commit, quiet
from tasks.snapshots.manifest import DocumentEntry
from tasks.snapshots.shelf import Shelf
from tasks.snapshots.table import StagedDocument
from tasks.snapshots.verifying import verify

__all__ = ["Staged", "StagedDocument", "commit", "stage", "verify"]

# What one write to Lance takes at most, so that memory is bounded and a cancel is seen soon.
BATCH_ROWS = 8192
BATCH_BYTES = 32 * 1024 * 1024
BATCH_DOCUMENTS = 1000

# A table of more pieces is rewritten; searches do not slow down before, and links stay cheap.
FRAGMENTS_MAX = 256

Checkpoint = Callable[[], None]


@dataclass(slots=True)
class Staged:
    """A snapshot being staged: what it is made from, what it brings, what it must hold in the end."""

    shelf: Shelf
    name: str
    job: str
    attempt: int
    owner: str
    recipe: str
    embedder: str
    dimension: int
    base: str  # "" for the first snapshot
    folder: Path  # of this try alone: a zombie of an earlier one cannot write into it
    manifest: bytes = b""  # as committed
    base_chunks: int = 0
    dead_chunks: int = 0
    replaced: int = 0  # chunks that the base notes for the documents given
    deleted: int = 0  # rows that went
    added: int = 0
    linked: set[str] = field(default_factory=set)
    base_files: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    brought: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    fresh: bool = False  # takes nothing over from the base
    documents: dict[str, DocumentEntry] = field(default_factory=dict)
    leases: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)  # of the base, until the end

    @property
    def chunks(self) -> int:
        return self.base_chunks - self.deleted + self.added

    def discard(self) -> None:
        """Remove this try's folder, and the job's when no other try is in it. Keeps quiet: a reason is on its way."""
        self.leases.close()
        with contextlib.suppress(OSError):
            durable.remove(self.folder)
            self.shelf.staging(self.name, self.job).rmdir()

    def invalid(self, reason: str) -> SnapshotInvalid:
        return SnapshotInvalid(name=self.name, reason=reason)


def stage(
    shelf: Shelf,
    name: str,
    *,
    job: str,
    attempt: int,
    owner: str,
    recipe: str,
    embedder: str,
    dimension: int,
    documents: Iterable[StagedDocument],
    checkpoint: Checkpoint,
    remove: Collection[str] = (),
    fresh: bool = False,
    step: Step = quiet,
) -> Staged:
    """Put the next snapshot together in `_tmp-<job>`: the current one with these documents replaced or added.

    `documents` is consumed lazily; of two with one name the later counts. `remove` names documents that go; one
    that is also given stays, names that are not there are passed over. `fresh` takes nothing over from the current
    snapshot, whose place it takes all the same: another embedder is welcome then. `checkpoint` is called between
    batches and may raise. Whatever is raised, the staging folder is gone and the current snapshot as it was:
    CollectionNameRefused, EmbedderMismatch, SnapshotInvalid, DataUnwritable, CollectionBusy.
    """
    folder = shelf.staging(name, job) / token_hex(4)
    staged = Staged(shelf, name, job, attempt, owner, recipe, embedder, dimension, shelf.base(name), folder)
    staged.fresh = fresh
    if not fresh:
        _check_embedder(staged)
    try:
        with durable.disk_errors(shelf.data):
            if staged.base:
                staged.leases.enter_context(shelf.lease(name, staged.base))
            _fill(staged, documents, remove, checkpoint, step)
    except BaseException:
        staged.discard()
        raise
    return staged


def _check_embedder(staged: Staged) -> None:
    if not staged.base:
        return
    base = manifest.read(staged.shelf.path(staged.name, staged.base))
    if base is None:
        raise staged.invalid(f"the manifest of {staged.base} is damaged; roll back to another snapshot, then retry")
    if (base.embedder, base.dimension) != (staged.embedder, staged.dimension):
        raise EmbedderMismatch(
            name=staged.name,
            built=f"{base.embedder} ({base.dimension} numbers a vector)",
            asked=f"{staged.embedder} ({staged.dimension})",
        )
    staged.base_chunks, staged.dead_chunks = base.chunks, base.dead_chunks


def _fill(
    staged: Staged,
    documents: Iterable[StagedDocument],
    remove: Collection[str],
    checkpoint: Checkpoint,
    step: Step,
) -> None:
    shelf, name = staged.shelf, staged.name
    shelf.discard(name, staged.job)
    staged.folder.mkdir(parents=True)
    step("folder made")
    if staged.base:
        with shelf.exclusive(name):
            shelf.note_current(name)
        staged.base_files = durable.marks(shelf.path(name, staged.base))
    if staged.base and not staged.fresh:
        staged.documents = {entry.name: entry for entry in shelf.documents(name, staged.base)}
        _link_base(staged)
        step("base linked")
        chunks = table.open_table(staged.folder)
    else:
        chunks = table.create(staged.folder, staged.dimension)
        step("table created")
    going = sorted(staged.documents.keys() & set(remove))
    for start in range(0, len(going), BATCH_DOCUMENTS):
        checkpoint()
        names = going[start : start + BATCH_DOCUMENTS]
        _delete(staged, chunks, names)
        for gone in names:
            del staged.documents[gone]
        staged.removed.update(names)
        step("rows removed")
    for batch in _batches(documents):
        checkpoint()
        if _delete(staged, chunks, batch):
            step("rows deleted")
        for rows in _rows(staged, batch.values()):
            checkpoint()
            chunks.add(rows)
            staged.added += rows.num_rows
            step("rows added")
        for given in batch.values():
            entry = DocumentEntry(
                name=given.document, sha256=given.sha256, chunks=given.table.num_rows, recipe=staged.recipe
            )
            staged.documents[entry.name] = entry
            staged.brought.add(entry.name)
            staged.removed.discard(entry.name)
    if not staged.brought and not staged.removed:
        raise staged.invalid("no document was given to it")
    checkpoint()
    _tidy(staged, chunks)
    step("table tidied")
    indexing.keep(staged.folder, checkpoint=checkpoint, step=step)
    table.forget_past(staged.folder)
    step("indexes kept")
    durable.write(staged.folder / manifest.DOCUMENTS, manifest.encode_documents(staged.documents.values()))
    step("documents written")


def _delete(staged: Staged, chunks: table.Table, names: Iterable[str]) -> bool:
    """Delete the rows of these documents; whether the base notes any."""
    stale = [given for given in names if given in staged.documents and staged.documents[given].chunks]
    if not stale:
        return False
    staged.replaced += sum(staged.documents[given].chunks for given in stale)
    before = chunks.count_rows()
    chunks.delete(table.of_documents(stale))
    staged.deleted += before - chunks.count_rows()
    return True


def _link_base(staged: Staged) -> None:
    source = staged.shelf.path(staged.name, staged.base)
    newest = table.newest_version(source)
    for relative in staged.base_files:
        if relative in (manifest.MANIFEST, manifest.DOCUMENTS) or not table.needed(relative, newest):
            continue
        target = staged.folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        if durable.link(source / relative, target):
            staged.linked.add(relative)


def _batches(documents: Iterable[StagedDocument]) -> Iterator[dict[str, StagedDocument]]:
    batch: dict[str, StagedDocument] = {}
    rows = size = 0
    for given in documents:
        batch[given.document] = given
        rows += given.table.num_rows
        size += given.table.nbytes
        if rows >= BATCH_ROWS or size >= BATCH_BYTES or len(batch) >= BATCH_DOCUMENTS:
            yield batch
            batch, rows, size = {}, 0, 0
    if batch:
        yield batch


def _rows(staged: Staged, batch: Iterable[StagedDocument]) -> Iterator[pa.Table]:
    """The rows of a batch, a write's worth at a time; one document may be more than one write."""
    made = pa.concat_tables(
        table.rows(given, name=staged.name, recipe=staged.recipe, dimension=staged.dimension) for given in batch
    )
    for start in range(0, made.num_rows, BATCH_ROWS):
        yield made.slice(start, BATCH_ROWS)


def _tidy(staged: Staged, chunks: table.Table) -> None:
    """Rewrite the table when dead rows outweigh the live ones or its pieces are many: paid for by those changes."""
    staged.dead_chunks += staged.deleted
    if (staged.dead_chunks and staged.dead_chunks >= staged.chunks) or table.fragments(chunks) > FRAGMENTS_MAX:
        indexing.drop(chunks)
        table.tidy(chunks)
        staged.dead_chunks = 0
