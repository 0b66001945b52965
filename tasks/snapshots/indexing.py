"""The indexes of a snapshot: full text always, vectors once brute force is too slow.

An index is files of its own under `_indices/<uuid>`: linked from the base as they are, never written to, replaced
as a whole. Rows that an index does not know yet are searched one by one, so an index is made anew only when
these have become many: its cost per added row is a constant, whatever the table holds.
Lance's own `optimize` would add them to it, but rewrites the whole table with it (lancedb 0.40).
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import lancedb
import numpy as np
from lancedb.index import FTS, IndexConfig, IvfSq
from lancedb.query import DocumentGranularity, FullTextOperator, LanceVectorQueryBuilder, MatchQuery
from lancedb.table import Table

from tasks.snapshots.manifest import TABLE
from tasks.snapshots.table import open_table

TEXT, VECTOR = "text", "vector"

# Full text tells unknown rows at 40 microseconds each: 500 rows are 20 ms of a search.
TEXT_BEHIND = 500
TEXT_BEHIND_SHARE = 0.005

# Brute force over 256 numbers a vector: 37 ms for 100,000 rows on 2 cores; the index: 10 ms.
VECTOR_ROWS = 50_000
VECTOR_BEHIND_SHARE = 0.1
REFINE = 4  # candidates per hit that are compared by their vectors themselves

INDICES = f"{TABLE}.lance/_indices"
POLL_S = 0.1

# Words of any language, without a model to load; nothing is dropped, for a query may be nothing but "to be or not".
_TEXT = FTS(base_tokenizer="icu/split", remove_stop_words=False)
# A quarter of the vectors' size, made in a second per 150,000 rows; scores come from the vectors themselves.
_VECTOR = IvfSq(distance_type="cosine")


def keep(folder: Path, *, checkpoint: Callable[[], None], step: Callable[[str], None]) -> None:
    """Make the indexes that a staged table needs and lacks; `checkpoint` is called meanwhile and may raise."""
    chunks = open_table(folder)
    rows, known = chunks.count_rows(), found(chunks)
    if rows and _behind(known.get(TEXT), rows, max(TEXT_BEHIND, TEXT_BEHIND_SHARE * rows)):
        asyncio.run(_make(folder, TEXT, _TEXT, checkpoint))
        step("text index made")
    if (rows >= VECTOR_ROWS or (rows and VECTOR in known)) and _behind(
        known.get(VECTOR), rows, VECTOR_BEHIND_SHARE * rows
    ):
        asyncio.run(_make(folder, VECTOR, _VECTOR, checkpoint))
        step("vector index made")
    _forget_replaced(folder)


def drop(chunks: Table) -> None:
    """Forget all indexes, before the table is rewritten.

    Lance rewrites what an index knows apart from what it does not, and would leave the rows in another order.
    """
    for index in chunks.list_indices():
        chunks.drop_index(index.name)


def found(chunks: Table) -> dict[str, IndexConfig]:
    """The indexes of a table by column."""
    return {index.columns[0]: index for index in chunks.list_indices()}


def text_query(words: str) -> MatchQuery:
    """Chunks with any of these words, the more and the rarer the better. Nothing in it is an operator."""
    return MatchQuery(
        words,
        TEXT,
        boost=1.0,
        fuzziness=0,
        max_expansions=50,
        operator=FullTextOperator.OR,
        prefix_length=0,
        document_granularity=DocumentGranularity.ROW,
    )


def unusable(chunks: Table) -> str:
    """The name of an index that lost rows or cannot be read; "" when all is well. Asks each for the last row."""
    rows = chunks.count_rows()
    known = found(chunks)
    for index in known.values():
        if (index.num_indexed_rows or 0) + (index.num_unindexed_rows or 0) != rows:
            return str(index.index_type)
    if not rows:
        return ""
    last = chunks.search().select([TEXT, VECTOR]).offset(rows - 1).limit(1).to_arrow().to_pylist()[0]
    try:
        if TEXT in known:
            words = " ".join(last[TEXT].split()[:8])[:200] or "a"
            chunks.search(text_query(words), query_type="fts").select(["id", "_score"]).limit(1).to_list()
        if VECTOR in known:
            query = cast(LanceVectorQueryBuilder, chunks.search(np.asarray(last[VECTOR], dtype=np.float32)))
            nearest = query.distance_type("cosine").refine_factor(REFINE).select(["id", "_distance"]).limit(1).to_list()
            if not nearest or nearest[0]["_distance"] > 1e-3:
                return "vector"
    except (RuntimeError, ValueError):
        return "text or vector"
    return ""


def _behind(index: IndexConfig | None, rows: int, limit: float) -> bool:
    if index is None:
        return True
    indexed = index.num_indexed_rows or 0
    # An index of few rows would judge by these how rare a word is; one of none answers for no row at all.
    return rows - indexed > limit or rows - indexed > indexed


async def _make(folder: Path, column: str, config: Any, checkpoint: Callable[[], None]) -> None:
    """Make an index anew. Whatever `checkpoint` raises ends the work, also in Lance's threads."""
    connection = await lancedb.connect_async(folder)
    chunks = await connection.open_table(TABLE)
    work = asyncio.ensure_future(chunks.create_index(column, config=config, replace=True))
    try:
        while not (await asyncio.wait({work}, timeout=POLL_S))[0]:
            checkpoint()
    except BaseException:
        work.cancel()
        await asyncio.wait({work})
        raise
    finally:
        chunks.close()  # type: ignore[no-untyped-call]
        connection.close()  # type: ignore[no-untyped-call]
    work.result()


def _forget_replaced(folder: Path) -> None:
    """Unlink the files of indexes that the table no longer names; other names of them stay."""
    now = open_table(folder).list_indices()
    if any((index.num_segments or 1) != 1 for index in now):
        return  # of one made of several parts only the first is named
    names = {str(index.index_uuid) for index in now}
    for entry in sorted((folder / INDICES).glob("*")):
        if entry.name not in names:
            shutil.rmtree(entry)
