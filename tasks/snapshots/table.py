"""The Lance table of a snapshot: its columns, the rows of a document, and the files behind it.

Imports lancedb: use it in a worker's child or in a program that never forks afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.table import Table

from tasks.errors import SnapshotInvalid
from tasks.snapshots.manifest import TABLE

# The files of a Lance dataset that only tell of its own past: a snapshot's past is the snapshot before it.
_PAST = f"{TABLE}.lance/_transactions"
_VERSIONS = f"{TABLE}.lance/_versions"
_HINT = "latest_version_hint.json"  # found by listing when it is missing

__all__ = ["TABLE", "StagedDocument", "Table"]

ARTIFACT_COLUMNS = ("position", "page", "text", "vector")


@dataclass(frozen=True, slots=True)
class StagedDocument:
    """One document to publish: relative path name, content hash, and its artifact (ARTIFACT_COLUMNS)."""

    document: str
    sha256: str
    table: pa.Table


def schema(dimension: int) -> pa.Schema:
    """The columns of `chunks`; `dimension` float32 numbers a vector."""
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("document", pa.string(), nullable=False),
            pa.field("sha256", pa.string(), nullable=False),
            pa.field("position", pa.int32(), nullable=False),
            pa.field("page", pa.int32()),
            pa.field("text", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), dimension), nullable=False),
            pa.field("recipe", pa.string(), nullable=False),
        ]
    )


def chunk_id(document: str, position: int) -> str:
    """The same chunk of the same document has the same id in every snapshot: 32 hex digits."""
    return hashlib.sha256(f"{document}\0{position}".encode()).hexdigest()[:32]


def rows(staged: StagedDocument, *, name: str, recipe: str, dimension: int) -> pa.Table:
    """The rows of one document, in the table's columns. Raises SnapshotInvalid for an artifact that does not fit."""
    columns = schema(dimension)
    count = staged.table.num_rows
    given = staged.table.select(list(ARTIFACT_COLUMNS))
    kind = given.schema.field("vector").type
    if not pa.types.is_fixed_size_list(kind) or kind.list_size != dimension:
        raise SnapshotInvalid(
            name=name,
            reason=f"the vectors of {staged.document!r} are not {dimension} numbers each; retry the job",
        )
    if bad := sum(unusable(chunk) for chunk in given["vector"].chunks):
        raise SnapshotInvalid(
            name=name, reason=f"{bad} vectors of {staged.document!r} are empty or no numbers; check the embedder"
        )
    given = given.cast(pa.schema([columns.field(column) for column in ARTIFACT_COLUMNS]))
    made = {
        "id": [chunk_id(staged.document, position) for position in given["position"].to_pylist()],
        "document": pa.repeat(staged.document, count),
        "sha256": pa.repeat(staged.sha256, count),
        "recipe": pa.repeat(recipe, count),
    }
    return pa.table(
        [made[field.name] if field.name in made else given[field.name] for field in columns], schema=columns
    )


def empty(dimension: int) -> pa.Table:
    """The artifact of a document without chunks."""
    columns = schema(dimension)
    return pa.schema([columns.field(column) for column in ARTIFACT_COLUMNS]).empty_table()


def of_documents(names: Iterable[str]) -> str:
    """An SQL filter for the rows of these documents. In DataFusion's strings only the single quote is special."""
    quoted = ",".join("'" + name.replace("'", "''") + "'" for name in names)
    return f"document IN ({quoted})"


def create(folder: Path, dimension: int) -> Table:
    return lancedb.connect(folder).create_table(TABLE, schema=schema(dimension))


def open_table(folder: Path) -> Table:
    return lancedb.connect(folder).open_table(TABLE)


def unusable(vectors: pa.FixedSizeListArray) -> int:
    """How many vectors hold a NaN or an infinity, or nothing but zeros: no search can place them."""
    if not len(vectors):
        return 0
    values = vectors.flatten().to_numpy(zero_copy_only=False).reshape(len(vectors), -1)
    return int(np.count_nonzero(~np.isfinite(values).all(axis=1) | ~values.any(axis=1)))


def fragments(table: Table) -> int:
    """Of how many pieces the table is made: about one for each batch ever added."""
    stats = cast("dict[str, Any]", table.stats())  # declared as a dataclass, given as a dict (lancedb 0.40)
    return int(stats["fragment_stats"]["num_fragments"])


def tidy(table: Table) -> None:
    """Rewrite small pieces as large ones and drop deleted rows and files of the past, in this copy alone."""
    # Not zero, for which lancedb warns of other readers: a staging copy has none.
    table.optimize(cleanup_older_than=timedelta(milliseconds=1), delete_unverified=True)


def needed(relative: str, newest: str) -> bool:
    """Whether a file of a snapshot is part of what it is now; `newest` from `newest_version`."""
    parent, _, base = relative.rpartition("/")
    if parent == _VERSIONS:
        return base == newest if newest else base != _HINT
    return not (parent == _PAST and newest)


def newest_version(folder: Path) -> str:
    """The file name of the dataset's newest manifest; "" when the names tell nothing.

    Lance's "V2" names are 20 digits, 2**64 - 1 minus the version, so that the newest comes first.
    """
    names = sorted(path.name for path in (folder / _VERSIONS).glob("*.manifest"))
    return names[0] if names and all(len(name) == 29 and name[:20].isdigit() for name in names) else ""


def forget_past(folder: Path) -> None:
    """Unlink manifests and transactions of Lance versions before the newest; other names of them stay."""
    newest = newest_version(folder)
    for path in _inside(folder):
        if path.name != _HINT and not needed(path.relative_to(folder).as_posix(), newest):
            path.unlink()


def _inside(folder: Path) -> Iterator[Path]:
    for part in (_VERSIONS, _PAST):
        yield from (folder / part).glob("*")
