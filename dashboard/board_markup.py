"""The board as HTML: the line of figures and the table of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dashboard import format, markup
from dashboard.markup import Column, Figure, safe
from tasks.ledger.records import Figures, JobRow
from tasks.ledger.states import Action, State, allows

COLUMNS = (
    Column("State", "ib-state"),
    Column("Job", "ib-title"),
    Column("Collection"),
    Column("Owner"),
    Column("Progress", "ib-wide"),
    Column("Elapsed", "ib-num"),
    Column("Left", "ib-num"),
    Column("Changed", "ib-num"),
    Column("", "ib-act"),
)
LONG_WAIT_S = 60


def figures(counts: Figures) -> str:
    waits = counts.oldest_wait_s is not None and counts.oldest_wait_s > LONG_WAIT_S
    return markup.figures(
        (
            Figure("queued", format.number(counts.queued)),
            Figure("running", format.number(counts.running), "move" if counts.running else ""),
            Figure("done today", format.number(counts.done_today), hint="Completed or partial since midnight UTC"),
            Figure(
                "failed today",
                format.number(counts.failed_today),
                "bad" if counts.failed_today else "",
                hint="Since midnight UTC",
            ),
            Figure(
                "workers alive",
                format.number(counts.workers_alive),
                "" if counts.workers_alive else "bad",
                hint="Processes that reported in the last 20 seconds",
            ),
            Figure("oldest wait", format.coarse(counts.oldest_wait_s), "warn" if waits else ""),
        )
    )


def jobs(rows: Sequence[JobRow], now: datetime) -> str:
    """The table of jobs, one row each."""
    return markup.table(COLUMNS, (_cells(row, now) for row in rows), kind="ib-board")


def _cells(row: JobRow, now: datetime) -> tuple[str, ...]:
    link = markup.job_link(row.id)
    note = _note(row)
    title = (
        f'<a href="{link}" target="_self" title="{safe(row.title)}">{safe(row.title or row.id)}</a>'
        f'<span class="ib-soft ib-note" title="{safe(note or row.id)}">{safe(note or row.id)}</span>'
    )
    collection = (
        f'<a href="{markup.collection_link(row.collection)}" target="_self">{safe(row.collection)}</a>'
        if row.collection
        else format.NOTHING
    )
    left = row.left_s(now)
    return (
        markup.badge(row.state),
        title,
        collection,
        f'<span class="ib-owner" title="{safe(row.owner)}">{safe(row.owner)}</span>' if row.owner else format.NOTHING,
        markup.progress(row),
        safe(format.duration(row.elapsed_s(now))),
        safe(f"~{format.coarse(left)}" if left is not None else format.NOTHING),
        markup.when(row.last_updated or row.created_at, now),
        _action(row),
    )


def _note(row: JobRow) -> str:
    """What went wrong, in the row itself; the rest is on the job's page."""
    if row.state is State.FAILED:
        return row.error
    if row.state is State.PARTIAL:
        return f"{row.documents_failed} of {format.counted(row.documents_total, 'document')} failed"
    return ""


def _action(row: JobRow) -> str:
    """The first of two clicks: a link to the question on the job's page. Following it changes nothing."""
    for action, label in ((Action.CANCEL, "Cancel"), (Action.FORCE_STOP, "Force stop"), (Action.RETRY, "Retry")):
        if allows(row.state, action) and not (action is Action.RETRY and row.state is State.COMPLETED):
            link = markup.job_link(row.id, ask=action.value)
            return f'<a class="ib-quiet-button" href="{link}" target="_self">{label}</a>'
    return ""
