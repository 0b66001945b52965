"""The board as HTML: the line of figures, what needs a person, the count and the table of jobs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from dashboard import format, markup
from dashboard.markup import Column, Figure, Order, safe
from dashboard.memory.matching import Sort
from dashboard.memory.mirror import Concern, Mirror
from dashboard.wanted import FAILURES, Wanted, searching
from tasks.ledger import marks
from tasks.ledger.records import Figures, JobRow
from tasks.ledger.states import Action, State, allows

COLUMNS = (
    Column("State", "ib-state", "state"),
    Column("Job", "ib-title", "title"),
    Column("Collection", "", "collection"),
    Column("Owner", "", "owner"),
    Column("Progress", "ib-wide", "-percent"),
    Column("Elapsed", "ib-num", "-took"),
    Column("Left", "ib-num", "-left"),
    Column("Changed", "ib-num", "-updated"),
    Column("Actions", "ib-act", unseen=True),
)
EVERY = frozenset(Action)
LONG_WAIT_S = 60
CONCERNS = 5
LABELS = {
    Action.CANCEL: "Cancel",
    Action.FORCE_STOP: "Force stop",
    Action.RETRY: "Retry",
    Action.WRITE_OFF: "Write off the worker",
}
MARKED = {
    marks.Mark.STALLED: "Stalled",
    marks.Mark.LOST: "Lost",
    marks.Mark.NOT_RESPONDING: "Not responding",
    marks.Mark.SLOW: "Slow",
}


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


def concerns(found: Sequence[Concern], offered: Collection[Action] = EVERY) -> str:
    """Jobs that need a person, each with its remedy beside it where it is offered; '' when there are none."""
    if not found:
        return ""
    told = [marks.remedy(one.mark, one.row) for one in found[:CONCERNS]]
    # What is true of the one above as well is said once.
    lines = "".join(
        _concern(one, "" if at and told[at - 1] == told[at] else told[at][0], told[at][1], offered)
        for at, one in enumerate(found[:CONCERNS])
    )
    rest = len(found) - CONCERNS
    names = ",".join(mark.value.replace(" ", "-") for mark in marks.Mark)
    more = (
        f'<li><a href="{safe(searching(f"mark:{names}"))}">and {format.number(rest)} more</a></li>' if rest > 0 else ""
    )
    whom = "you" if offered else "somebody"
    title = f"{format.counted(len(found), 'job')} {'needs' if len(found) == 1 else 'need'} {whom}"
    return (
        f'<section class="ib ib-concerns" aria-label="Jobs that need a person"><b>{title}</b>'
        f"<ul>{lines}{more}</ul></section>"
    )


def _concern(concern: Concern, sentence: str, action: Action | None, offered: Collection[Action]) -> str:
    row = concern.row
    tone = "warn" if concern.mark is marks.Mark.SLOW else "bad"
    link = markup.job_link(row.id)
    does = ""
    if action is not None and action in offered and allows(row.state, action):
        label = LABELS.get(action, action.value.capitalize())
        does = (
            f'<a class="ib-quiet-button" href="{markup.job_link(row.id, ask=action.value)}" target="_self" '
            f'aria-label="{label}: {safe(row.title or row.id)}">{label}</a>'
        )
    return (
        f'<li class="{"" if sentence else "ib-same"}"><span class="ib-badge ib-{tone}">{MARKED[concern.mark]}</span>'
        f'<span class="ib-what"><a href="{link}" target="_self">{safe(row.title or row.id)}</a> '
        f"<span>{safe(sentence)}</span></span>{does}</li>"
    )


def tabs(wanted: Wanted, causes: int) -> str:
    """Jobs, or the failures among them by cause: two links of which one is where you are."""
    # The number of causes is said where it is known anyway; it is no reason to group them.
    pairs = (
        ("", "Jobs"),
        (FAILURES, f"Failures by cause ({format.number(causes)})" if causes else "Failures by cause"),
    )
    links = "".join(
        f'<a href="{safe(Wanted(wanted.text, wanted.states, wanted.sort, view).address())}" target="_self"'
        f"{' aria-current=' + chr(34) + 'page' + chr(34) if view == wanted.view else ''}>{label}</a>"
        for view, label in pairs
    )
    return f'<nav class="ib ib-tabs" aria-label="View">{links}</nav>'


def covered(mirror: Mirror, first: int, shown: int, matching: int) -> str:
    """What the window covers: '1 to 50 of 1,234 of 100,000 jobs; still reading 20,000 older ones; 0.4 s old'."""
    count = format.counted(mirror.total, "job")
    among = count if matching == mirror.total else f"{format.number(matching)} of {count}"
    parts = [
        f"{format.number(first)} to {format.number(first + shown - 1)} of {among}" if shown else f"none of {count}"
    ]
    unread = mirror.total - mirror.loaded
    if unread > 0 and not mirror.complete:
        parts.append(f"still reading {format.number(unread)} older ones")
    elif unread > 0:
        parts.append(f"{format.number(unread)} older ones are not held here")
    elif not mirror.complete:
        parts.append("catching up with many changes")
    parts.append(f"{format.duration(mirror.age_s) if mirror.age_s >= 0.05 else '0.0 s'} old")
    return f'<p class="ib ib-soft ib-count">{"; ".join(parts)}</p>'


def jobs(
    rows: Sequence[JobRow],
    now: datetime,
    *,
    sort: Sort | None = None,
    wanted: Wanted | None = None,
    waits: Callable[[JobRow], str] = lambda row: "",
    reason: Callable[[str], str] = lambda job: "",
    offered: Collection[Action] = EVERY,
) -> str:
    """The table of jobs, one row each, with the first of the actions that are `offered`.

    `waits` says what a row waits for, `reason` why documents of a job failed.
    """
    order = None
    if sort is not None and wanted is not None:
        order = Order(sort.column, sort.descending, lambda spelled: wanted.address(sort=spelled))
    cells = (_cells(row, now, _note(row, reason) or waits(row), offered) for row in rows)
    return markup.table(COLUMNS, cells, kind="ib-board", label="Jobs", order=order)


def _cells(row: JobRow, now: datetime, note: str, offered: Collection[Action]) -> tuple[str, ...]:
    link = markup.job_link(row.id)
    title = (
        f'<a href="{link}" target="_self" title="{safe(row.title)}">{safe(row.title or row.id)}</a>'
        f'<span class="ib-soft ib-note" title="{safe(note or row.id)}">{safe(note or row.id)}</span>'
    )
    collection = (
        f'<a class="ib-short" href="{markup.collection_link(row.collection)}" target="_self" '
        f'title="{safe(row.collection)}">{safe(row.collection)}</a>'
        if row.collection
        else format.NOTHING
    )
    left = row.left_s(now)
    return (
        markup.badge(row.state),
        title,
        collection,
        f'<span class="ib-short" title="{safe(row.owner)}">{safe(row.owner)}</span>' if row.owner else format.NOTHING,
        markup.progress(row),
        safe(format.duration(row.elapsed_s(now))),
        safe(f"~{format.coarse(left)}" if left is not None else format.NOTHING),
        markup.when(row.last_updated or row.created_at, now),
        _action(row, offered),
    )


def _note(row: JobRow, reason: Callable[[str], str]) -> str:
    """What went wrong, in the row itself; the rest is on the job's page."""
    if row.state not in (State.FAILED, State.PARTIAL):
        return ""
    why = reason(row.id) if row.documents_failed else ""
    if not why:
        why = row.error if row.state is State.FAILED else ""
    if row.documents_total < 2 or (row.state is State.FAILED and row.documents_failed < row.documents_total):
        return why
    many = f"{format.number(row.documents_failed)} of {format.counted(row.documents_total, 'document')} failed"
    return f"{many}: {why}" if why else many


def _action(row: JobRow, offered: Collection[Action]) -> str:
    """The first of two clicks: a link to the question on the job's page. Following it changes nothing."""
    for action in (Action.CANCEL, Action.FORCE_STOP, Action.RETRY):
        if (
            action in offered
            and allows(row.state, action)
            and not (action is Action.RETRY and row.state is State.COMPLETED)
        ):
            link = markup.job_link(row.id, ask=action.value)
            name = safe(row.title or row.id)
            return (
                f'<a class="ib-quiet-button" href="{link}" target="_self" aria-label="{LABELS[action]} {name}">'
                f"{LABELS[action]}</a>"
            )
    return ""
