"""Search one snapshot: by a query's vector, by its words, or by both at once.

Imports lancedb: for workers' children and programs that never fork afterwards. Tables stay open between
searches, which is safe because a published version never changes. A version is leased while it is searched.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from lancedb.table import Table

from tasks.errors import CollectionNotFound, EmbedderMismatch, HeldNotFound, SnapshotNotFound
from tasks.snapshots import indexing
from tasks.snapshots.shelf import Shelf
from tasks.snapshots.table import open_table

if TYPE_CHECKING:
    from lancedb.query import LanceVectorQueryBuilder

K_MAX = 100
OPEN_MAX = 16
QUERY_MAX = 1000  # characters whose words are looked up

# Reciprocal rank fusion: a hit counts 1 / (60 + rank) in each list that has it (Cormack, Clarke, Buettcher 2009).
FUSION_K = 60

COLUMNS = ["id", "document", "text", "position", "page", "sha256"]

Mode = Literal["hybrid", "vector", "text"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One passage: `score` is the cosine similarity, 0 to 1; `chunk` its position in the document."""

    document: str
    score: float
    text: str
    chunk: int
    page: int | None
    sha256: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A table and which indexes it has: snapshots of before there were any have none."""

    table: Table
    indexes: frozenset[str]


_open: OrderedDict[tuple[str, int], Opened] = OrderedDict()
_lock = Lock()


def search(
    shelf: Shelf,
    name: str,
    vector: Sequence[float] | np.ndarray,
    *,
    k: int = 10,
    version: str | None = None,
    query: str | None = None,
    mode: Mode = "hybrid",
    held: str | None = None,
) -> list[Hit]:
    """The `k` (1 to 100) best hits in a version, the current one unless named, or in the snapshot held for a job.

    With `query`, the vector's nearest chunks and the chunks with its words are ranked together; without, or in a
    snapshot that has no text index, the vector decides alone. The score is the cosine similarity for both
    kinds, so that it need not fall from hit to hit. Equal ones stand in document order. Any text is a query; a
    vector without a direction (zeros, NaN) has no neighbours, and hits for its words score 0.
    Raises CollectionNameRefused, CollectionNotFound, SnapshotNotFound, HeldNotFound, EmbedderMismatch for a
    vector of another length.
    """
    with _reading(shelf, name, version, held) as opened:
        numbers = np.asarray(vector, dtype=np.float32).ravel()
        dimension = opened.table.schema.field("vector").type.list_size
        if len(numbers) != dimension:
            raise EmbedderMismatch(name=name, built=f"{dimension} numbers a vector", asked=f"{len(numbers)}")
        wanted = min(max(k, 1), K_MAX)
        # More than wanted, so that of many equal scores the same ones are always shown.
        depth = wanted * 2 + 10
        directed = bool(np.isfinite(numbers).all() and numbers.any())
        # Side by side: the words of rows without an index keep one core busy, the vectors of all rows the others.
        with ThreadPoolExecutor(1) as beside:
            words = query if query and mode != "vector" else ""
            telling = beside.submit(_told, opened, words, numbers if directed else None, depth)
            near = _near(opened, numbers, depth) if mode != "text" and directed else []
            told = telling.result()
    return _fused(near, told)[:wanted]


@contextmanager
def _reading(shelf: Shelf, name: str, version: str | None, held: str | None) -> Iterator[Opened]:
    """The table to search, which stays for as long. Files that vanish all the same are no snapshot."""
    missing: SnapshotNotFound | HeldNotFound
    if held is not None:
        path, missing = shelf.held_path(name, held), HeldNotFound(name=name, job=held)
        try:
            yield _table(path, missing)
        except (RuntimeError, OSError):
            if path.is_dir():
                raise
            raise missing from None
        return
    chosen = version or shelf.current(name)
    if chosen is None:
        raise CollectionNotFound(name=name)
    missing = SnapshotNotFound(name=name, version=chosen)
    with shelf.lease(name, chosen) as path:
        try:
            yield _table(path, missing)
        except (RuntimeError, OSError):
            if path.is_dir():
                raise
            raise missing from None


def _near(opened: Opened, vector: np.ndarray, depth: int) -> list[tuple[str, Hit]]:
    """The nearest chunks, best first. Their scores are exact, with an index too."""
    nearest = cast("LanceVectorQueryBuilder", opened.table.search(vector, vector_column_name="vector"))
    nearest = nearest.distance_type("cosine")
    if indexing.VECTOR in opened.indexes:
        nearest = nearest.refine_factor(indexing.REFINE)
    rows = nearest.select([*COLUMNS, "_distance"]).limit(depth).to_list()
    return sorted((_hit(row, _score(row["_distance"])) for row in rows), key=_order)


def _told(opened: Opened, query: str, vector: np.ndarray | None, depth: int) -> list[tuple[str, Hit]]:
    """The chunks that tell of the query's words, best first; their scores come from their stored vectors."""
    # Half of a surrogate pair is no text that can be encoded; JSON can carry one.
    words = query[:QUERY_MAX].encode("utf-8", "replace").decode()
    if indexing.TEXT not in opened.indexes or not words.strip():
        return []
    found = opened.table.search(indexing.text_query(words), query_type="fts")
    rows = found.select([*COLUMNS, "vector", "_score"]).limit(depth).to_list()
    rows.sort(key=lambda row: (-row["_score"], row["document"], row["position"]))
    return [_hit(row, _score(_distance(row["vector"], vector))) for row in rows]


def _fused(near: list[tuple[str, Hit]], told: list[tuple[str, Hit]]) -> list[Hit]:
    hits: dict[str, Hit] = {}
    weight: dict[str, float] = {}
    for ranked in (told, near):  # of the two scores of one chunk the search's own counts
        for rank, (key, hit) in enumerate(ranked, start=1):
            hits[key] = hit
            weight[key] = weight.get(key, 0.0) + 1 / (FUSION_K + rank)
    return [hits[key] for key in sorted(hits, key=lambda key: (-weight[key], *_order((key, hits[key]))))]


def _order(found: tuple[str, Hit]) -> tuple[float, str, int]:
    return -found[1].score, found[1].document, found[1].chunk


def _hit(row: dict[str, Any], score: float) -> tuple[str, Hit]:
    return row["id"], Hit(row["document"], score, row["text"], row["position"], row["page"], row["sha256"])


def _distance(stored: Sequence[float], vector: np.ndarray | None) -> float:
    if vector is None:
        return math.nan
    one, other = np.asarray(stored, dtype=np.float64), vector.astype(np.float64)
    return float(1.0 - one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def _score(distance: float) -> float:
    """Cosine distance is 1 - similarity; opposite directions count as 0, rounding never exceeds 1."""
    return 0.0 if math.isnan(distance) else min(1.0, max(0.0, 1.0 - distance))


def _table(path: Path, missing: SnapshotNotFound | HeldNotFound) -> Opened:
    """An open table, kept for the next search. Raises `missing` when its folder is gone."""
    try:
        key = (str(path), path.stat().st_ino)
    except OSError:
        raise missing from None
    with _lock:
        if key not in _open:
            try:
                table = open_table(path)
                _open[key] = Opened(table, frozenset(indexing.found(table)))
            except (ValueError, RuntimeError, OSError):
                raise missing from None
        _open.move_to_end(key)
        while len(_open) > OPEN_MAX:
            _open.popitem(last=False)
        return _open[key]
