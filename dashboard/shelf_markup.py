"""Collections as HTML: the list, the snapshots of one, and what a search found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dashboard import format, markup
from dashboard.markup import Column, safe
from dashboard.search import Hit
from tasks.snapshots import CollectionRow, SnapshotRow

COLLECTIONS = (
    Column("Collection", "ib-title"),
    Column("Current"),
    Column("Documents", "ib-num"),
    Column("Chunks", "ib-num"),
    Column("Size", "ib-num"),
    Column("Snapshots", "ib-num"),
    Column("Updated", "ib-num"),
)
SNAPSHOTS = (
    Column("Snapshot", "ib-title"),
    Column("Documents", "ib-num"),
    Column("Chunks", "ib-num"),
    Column("Size", "ib-num"),
    Column("Published by"),
    Column("Job"),
    Column("Published", "ib-num"),
)


def collections(rows: Sequence[CollectionRow], chosen: str, now: datetime) -> str:
    def cells(row: CollectionRow) -> tuple[str, ...]:
        name = f'<a href="{markup.collection_link(row.name)}" target="_self">{safe(row.name)}</a>'
        return (
            f"<b>{name}</b>" if row.name == chosen else name,
            safe(row.current or format.NOTHING),
            format.number(row.documents),
            format.number(row.chunks),
            safe(format.size(row.size_bytes)),
            format.number(row.versions),
            markup.when(row.updated_at, now),
        )

    return markup.table(COLLECTIONS, map(cells, rows), kind="ib-shelf")


def snapshots(rows: Sequence[SnapshotRow], now: datetime) -> str:
    def cells(row: SnapshotRow) -> tuple[str, ...]:
        mark = ' <span class="ib-badge ib-good">Current</span>' if row.current else ""
        job = f'<a href="{markup.job_link(row.job)}" target="_self">{safe(row.job)}</a>' if row.job else format.NOTHING
        return (
            f'<span title="Recipe {safe(row.recipe)}, embedder {safe(row.embedder)}">{safe(row.version)}</span>{mark}',
            format.number(row.documents),
            format.number(row.chunks),
            safe(format.size(row.size_bytes)),
            safe(row.owner or format.NOTHING),
            job,
            markup.when(row.created_at, now),
        )

    return markup.table(SNAPSHOTS, map(cells, rows), kind="ib-shelf")


def hits(found: Sequence[Hit], query: str) -> str:
    """The passages, nearest first, the words of the query marked."""
    items = []
    for hit in found:
        place = f"page {hit.page}" if hit.page is not None else f"chunk {hit.chunk + 1}"
        items.append(
            f'<li><div class="ib-hit"><b class="ib-num" title="Cosine similarity, 0 to 1">{hit.score:.2f}</b>'
            f'<span class="ib-name">{safe(hit.document)}</span><span class="ib-soft">{safe(place)}</span></div>'
            f'<p class="ib-passage">{markup.marked(hit.text, query)}</p></li>'
        )
    return f'<div class="ib"><ol class="ib-hits">{"".join(items)}</ol></div>'
