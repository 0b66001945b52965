"""Stage the next snapshot of a collection beside the current one, and verify it.

The caller holds the collection's publish lock and lives in a process of its own, for Lance runs threads that
a fork would break. The base's files are linked, never written; cost grows with the change. `commit`, in
`tasks.snapshots.committing`, is the other half.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import EmbedderMismatch, SnapshotInvalid
from tasks.snapshots import durable, manifest, table
from tasks.snapshots.committing import Step, commit, quiet
from tasks.snapshots.manifest import DocumentEntry
from tasks.snapshots.shelf import Shelf
from tasks.snapshots.table import StagedDocument

__all__ = ["Staged", "StagedDocument", "commit", "stage", "verify"]

# What one write to Lance takes at most, so that memory is bounded and a cancel is seen soon.
BATCH_ROWS = 8192
BATCH_BYTES = 32 * 1024 * 1024
BATCH_DOCUMENTS = 1000

# A table of more pieces is rewritten; searches do not slow down before, and links stay cheap.
FRAGMENTS_MAX = 256
_HASHED_BYTES = 1024 * 1024

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
    deleted: int = 0
    added: int = 0
    linked: set[str] = field(default_factory=set)
    base_files: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    brought: set[str] = field(default_factory=set)
    documents: dict[str, DocumentEntry] = field(default_factory=dict)

    @property
    def chunks(self) -> int:
        return self.base_chunks - self.deleted + self.added

    def discard(self) -> None:
        """Remove this try's folder, and the job's when no other try is in it. Keeps quiet: a reason is on its way."""
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
    step: Step = quiet,
) -> Staged:
    """Put the next snapshot together in `_tmp-<job>`: the current one with these documents replaced or added.

    `documents` is consumed lazily; of two with one name the later counts. `checkpoint` is called between
    batches and may raise. Whatever is raised, the staging folder is gone and the current snapshot as it was:
    CollectionNameRefused, EmbedderMismatch, SnapshotInvalid, DataUnwritable, CollectionBusy.
    """
    folder = shelf.staging(name, job) / token_hex(4)
    staged = Staged(shelf, name, job, attempt, owner, recipe, embedder, dimension, shelf.base(name), folder)
    _check_embedder(staged)
    try:
        with durable.disk_errors(shelf.data):
            _fill(staged, documents, checkpoint, step)
    except BaseException:
        staged.discard()
        raise
    return staged


def _check_embedder(staged: Staged) -> None:
    if not staged.base:
        return
    base = staged.shelf.manifest(staged.name, staged.base)
    if (base.embedder, base.dimension) != (staged.embedder, staged.dimension):
        raise EmbedderMismatch(
            name=staged.name,
            built=f"{base.embedder} ({base.dimension} numbers a vector)",
            asked=f"{staged.embedder} ({staged.dimension})",
        )
    staged.base_chunks, staged.dead_chunks = base.chunks, base.dead_chunks


def _fill(staged: Staged, documents: Iterable[StagedDocument], checkpoint: Checkpoint, step: Step) -> None:
    shelf, name = staged.shelf, staged.name
    shelf.discard(name, staged.job)
    staged.folder.mkdir(parents=True)
    step("folder made")
    if staged.base:
        with shelf.exclusive(name):
            shelf.note_current(name)
        staged.documents = {entry.name: entry for entry in shelf.documents(name, staged.base)}
        _link_base(staged)
        step("base linked")
        chunks = table.open_table(staged.folder)
    else:
        chunks = table.create(staged.folder, staged.dimension)
        step("table created")
    for batch in _batches(documents):
        checkpoint()
        stale = [given for given in batch if given in staged.documents and staged.documents[given].chunks]
        if stale:
            before = chunks.count_rows()
            chunks.delete(table.of_documents(stale))
            staged.deleted += before - chunks.count_rows()
            step("rows deleted")
        for rows in _rows(staged, batch.values()):
            checkpoint()
            chunks.add(rows)
            staged.added += rows.num_rows
            step("rows added")
        for given in batch.values():
            entry = DocumentEntry(name=given.document, sha256=given.sha256, chunks=given.table.num_rows)
            staged.documents[entry.name] = entry
            staged.brought.add(entry.name)
    if not staged.brought:
        raise staged.invalid("no document was given to it")
    checkpoint()
    _tidy(staged, chunks)
    step("table tidied")
    durable.write(staged.folder / manifest.DOCUMENTS, manifest.encode_documents(staged.documents.values()))
    step("documents written")


def _link_base(staged: Staged) -> None:
    source = staged.shelf.path(staged.name, staged.base)
    staged.base_files = _marks(source)
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
        table.tidy(chunks)
        staged.dead_chunks = 0
    table.forget_past(staged.folder)


def verify(staged: Staged) -> None:
    """Read the staged snapshot from disk and hold it against what it must be.

    Raises SnapshotInvalid (DataUnwritable when the disk gives errors) and then removes the staging folder.
    """
    try:
        with durable.disk_errors(staged.shelf.data):
            _verify(staged)
    except BaseException:
        staged.discard()
        raise


def _verify(staged: Staged) -> None:
    chunks = table.open_table(staged.folder)
    if chunks.schema != table.schema(staged.dimension):
        raise staged.invalid("its columns are not those of a snapshot; publish to another collection")
    found = chunks.count_rows()
    if found != staged.chunks:
        raise staged.invalid(f"it holds {found} chunks where {staged.chunks} are expected; retry the job")
    noted = {entry.name: entry.chunks for entry in manifest.read_documents(staged.folder, staged.name)}
    counted = _by_document(chunks.search().select(["document"]).to_batches())
    _compare(staged, counted, {name: count for name, count in noted.items() if count})
    _verify_new(staged, chunks)
    if staged.base and _marks(staged.shelf.path(staged.name, staged.base)) != staged.base_files:
        raise staged.invalid(f"files of {staged.base}, its base, changed meanwhile; roll back to another snapshot")


def _verify_new(staged: Staged, chunks: table.Table) -> None:
    """The rows that this snapshot brings are the table's last: Lance appends, and keeps the order when it tidies."""
    brought = {name: staged.documents[name].chunks for name in staged.brought if staged.documents[name].chunks}
    added = sum(brought.values())
    counted: Counter[str] = Counter()
    if added:
        tail = chunks.search().select(["document", "vector"]).offset(staged.chunks - added).limit(added)
        for batch in tail.to_batches(batch_size=BATCH_ROWS):
            counted.update(_by_document([batch]))
            if bad := table.unusable(batch["vector"]):
                raise staged.invalid(f"{bad} of its new vectors are empty or no numbers; check the embedder")
    _compare(staged, counted, brought)


def _compare(staged: Staged, counted: Mapping[str, int], expected: Mapping[str, int]) -> None:
    if counted == expected:
        return
    name = min(key for key in {*counted, *expected} if counted.get(key, 0) != expected.get(key, 0))
    raise staged.invalid(
        f"{name!r} has {counted.get(name, 0)} chunks where {expected.get(name, 0)} are expected; retry the job"
    )


def _by_document(batches: Iterable[pa.RecordBatch]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for batch in batches:
        for pair in pc.value_counts(batch["document"]).to_pylist():
            counted[pair["values"]] += pair["counts"]
    return counted


def _marks(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Size, time and, of the small files that tell of the others, content: equal marks, untouched files."""
    marks = {}
    for path in durable.files(folder):
        found = path.stat()
        small = path.suffix != ".lance" and found.st_size <= _HASHED_BYTES
        content = hashlib.sha256(path.read_bytes()).hexdigest() if small else ""
        marks[path.relative_to(folder).as_posix()] = (found.st_size, found.st_mtime_ns, content)
    return marks
