"""Verify a staged snapshot before it is committed: read it back, and hold it against what it must be.

Reads the files, not the staging's memory of them; the base's files must be as they were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tasks.snapshots import durable, indexing, manifest, table

if TYPE_CHECKING:
    from tasks.snapshots.staging import Staged

READ_ROWS = 8192
NAMES = 1000  # in one filter


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
    noted = sum(entry.chunks for entry in manifest.read_documents(staged.folder, staged.name))
    if noted != found or staged.deleted != staged.replaced:
        raise staged.invalid(f"its documents note {noted} chunks and it holds {found}; retry the job")
    _verify_new(staged, chunks)
    _verify_removed(staged, chunks)
    if unusable := indexing.unusable(chunks):
        raise staged.invalid(f"its {unusable} index does not answer for what it holds; retry the job")
    if staged.base and durable.marks(staged.shelf.path(staged.name, staged.base)) != staged.base_files:
        raise staged.invalid(f"files of {staged.base}, its base, changed meanwhile; roll back to another snapshot")


def _verify_new(staged: Staged, chunks: table.Table) -> None:
    """The rows that this snapshot brings are the table's last: Lance appends, and keeps the order when it tidies.

    Only these are read whole, and no row of their documents may be elsewhere: the cost is that of the change.
    """
    brought = {name: staged.documents[name].chunks for name in staged.brought if staged.documents[name].chunks}
    added = sum(brought.values())
    counted: Counter[str] = Counter()
    if added:
        tail = chunks.search().select(["document", "vector"]).offset(staged.chunks - added).limit(added)
        for batch in tail.to_batches(batch_size=READ_ROWS):
            counted.update(_by_document([batch]))
            if bad := table.unusable(batch["vector"]):
                raise staged.invalid(f"{bad} of its new vectors are empty or no numbers; check the embedder")
    if counted != brought:
        name = min(key for key in {*counted, *brought} if counted[key] != brought.get(key, 0))
        raise staged.invalid(
            f"{counted[name]} new chunks of {name!r} were found, {brought.get(name, 0)} expected; retry the job"
        )
    for names in _batched(sorted(brought), NAMES):
        held, expected = chunks.count_rows(table.of_documents(names)), sum(brought[name] for name in names)
        if held != expected:
            raise staged.invalid(f"its new documents hold {held} chunks where {expected} are expected; retry the job")


def _verify_removed(staged: Staged, chunks: table.Table) -> None:
    for names in _batched(sorted(staged.removed), NAMES):
        if held := chunks.count_rows(table.of_documents(names)):
            raise staged.invalid(f"{held} chunks of documents that were removed are still there; retry the job")


def _batched(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _by_document(batches: Iterable[pa.RecordBatch]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for batch in batches:
        for pair in pc.value_counts(batch["document"]).to_pylist():
            counted[pair["values"]] += pair["counts"]
    return counted
