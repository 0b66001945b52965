"""Collections as HTML: the list, the snapshots of one, what a search found, and what changed between two."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dashboard import format, markup
from dashboard.markup import Column, Figure, safe
from dashboard.search import Hit
from tasks.snapshots import CollectionRow, SnapshotRow
from tasks.snapshots.diff import Diff, DocumentChange
from tasks.snapshots.held import HeldRow

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
CHANGES = (
    Column("Change", "ib-state"),
    Column("Document", "ib-title"),
    Column("Chunks before", "ib-num"),
    Column("Chunks after", "ib-num"),
)
CHANGES_SHOWN = 200


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


def changes(found: Diff) -> str:
    """What differs: figures, the recipe where it is another one, and the documents, the first of many."""
    differing = (
        *(("Added", "good", change) for change in found.added),
        *(("Removed", "bad", change) for change in found.removed),
        *(("Changed", "move", change) for change in found.changed),
    )
    before, after = found.chunks
    figures = markup.figures(
        (
            Figure("added", format.number(len(found.added))),
            Figure("removed", format.number(len(found.removed))),
            Figure("changed", format.number(len(found.changed))),
            Figure("the same", format.number(found.unchanged)),
            Figure("chunks before", format.number(before)),
            Figure("chunks after", format.number(after)),
        )
    )
    notes = [
        f"The {what} changed from {safe(one or 'unknown')} to {safe(other or 'unknown')}."
        for what, (one, other) in (("recipe", found.recipes), ("embedder", found.embedders))
        if one != other
    ]
    if not differing:
        notes.append("No document differs.")
    if len(differing) > CHANGES_SHOWN:
        notes.append(
            f"The first {format.number(CHANGES_SHOWN)} of {format.number(len(differing))} documents are shown."
        )
    said = f'<p class="ib ib-soft ib-count">{" ".join(notes)}</p>' if notes else ""
    listed = markup.table(CHANGES, (_change(*one) for one in differing[:CHANGES_SHOWN]), kind="ib-changes")
    return figures + said + (listed if differing else "")


def _change(label: str, tone: str, change: DocumentChange) -> tuple[str, ...]:
    return (
        f'<span class="ib-badge ib-{tone}">{label}</span>',
        f'<span class="ib-name">{safe(change.name)}</span>',
        format.number(change.chunks_before) if label != "Added" else format.NOTHING,
        format.number(change.chunks_after) if label != "Removed" else format.NOTHING,
    )


def held(row: HeldRow, now: datetime) -> str:
    """What a gate held back: why, whose, when, and what is in it."""
    job = f'<a href="{markup.job_link(row.job)}" target="_self">{safe(row.job)}</a>'
    facts = (
        f"job {job}",
        f"by <b>{safe(row.owner or 'someone')}</b>",
        markup.when(row.created_at, now),
        safe(f"{format.counted(row.documents, 'document')} and {format.counted(row.chunks, 'chunk')}"),
        safe(format.size(row.size_bytes)),
    )
    return (
        f'<div class="ib ib-head"><p><span class="ib-badge ib-warn">Held back</span>&ensp;'
        f'{safe(format.sentence(row.reason))}</p><p class="ib-soft">{" · ".join(facts)}</p></div>'
    )
