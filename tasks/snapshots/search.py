"""Search one snapshot: the nearest chunks to a query's vector, by cosine similarity.

Imports lancedb: for workers' children and programs that never fork afterwards. Tables stay open between
searches, which is safe because a published version never changes.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, cast

import numpy as np
from lancedb.table import Table

from tasks.errors import CollectionNotFound, EmbedderMismatch, SnapshotNotFound
from tasks.snapshots.shelf import Shelf
from tasks.snapshots.table import open_table

if TYPE_CHECKING:
    from lancedb.query import LanceVectorQueryBuilder

K_MAX = 100
OPEN_MAX = 16

_open: OrderedDict[tuple[str, int], Table] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True, slots=True)
class Hit:
    """One passage: `score` is the cosine similarity, 0 to 1; `chunk` its position in the document."""

    document: str
    score: float
    text: str
    chunk: int
    page: int | None
    sha256: str


def search(
    shelf: Shelf, name: str, vector: Sequence[float] | np.ndarray, *, k: int = 10, version: str | None = None
) -> list[Hit]:
    """The `k` (1 to 100) best hits in a version, the current one unless named; equal scores in document order.

    A query without a direction (zeros, NaN) has no neighbours. Raises CollectionNameRefused,
    CollectionNotFound, SnapshotNotFound, EmbedderMismatch for a vector of another length.
    """
    chosen = version or shelf.current(name)
    if chosen is None:
        raise CollectionNotFound(name=name)
    path = shelf.path(name, chosen)
    table = _table(path, name, chosen)
    query = np.asarray(vector, dtype=np.float32).ravel()
    dimension = table.schema.field("vector").type.list_size
    if len(query) != dimension:
        raise EmbedderMismatch(name=name, built=f"{dimension} numbers a vector", asked=f"{len(query)}")
    if not np.isfinite(query).all() or not query.any():
        return []
    wanted = min(max(k, 1), K_MAX)
    nearest = cast("LanceVectorQueryBuilder", table.search(query, vector_column_name="vector"))
    found = (
        nearest.distance_type("cosine")
        .select(["document", "text", "position", "page", "sha256", "_distance"])
        # More than wanted, so that of many equal scores the same ones are always shown.
        .limit(wanted * 2 + 10)
    )
    try:
        rows = found.to_list()
    except (RuntimeError, OSError):
        if path.is_dir():
            raise
        raise SnapshotNotFound(name=name, version=chosen) from None
    hits = [
        Hit(row["document"], _score(row["_distance"]), row["text"], row["position"], row["page"], row["sha256"])
        for row in rows
    ]
    hits.sort(key=lambda hit: (-hit.score, hit.document, hit.chunk))
    return hits[:wanted]


def _score(distance: float) -> float:
    """Cosine distance is 1 - similarity; opposite directions count as 0, rounding never exceeds 1."""
    return 0.0 if math.isnan(distance) else min(1.0, max(0.0, 1.0 - distance))


def _table(path: Path, name: str, version: str) -> Table:
    """An open table, kept for the next search. Raises SnapshotNotFound when its folder is gone."""
    try:
        key = (str(path), path.stat().st_ino)
    except OSError:
        raise SnapshotNotFound(name=name, version=version) from None
    with _lock:
        if key not in _open:
            try:
                _open[key] = open_table(path)
            except (ValueError, RuntimeError, OSError):
                raise SnapshotNotFound(name=name, version=version) from None
        _open.move_to_end(key)
        while len(_open) > OPEN_MAX:
            _open.popitem(last=False)
        return _open[key]
