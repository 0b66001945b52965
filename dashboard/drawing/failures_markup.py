"""Failures by cause as HTML: the table of causes and the head of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dashboard import format, markup
from dashboard.markup import Column, safe
from dashboard.wanted import Cause, Wanted
from tasks.ledger.failures import FailureGroup

COLUMNS = (
    Column("Cause", "ib-title"),
    Column("Stage"),
    Column("Files"),
    Column("Jobs", "ib-num"),
    Column("Documents", "ib-num"),
    Column("First", "ib-num"),
    Column("Last", "ib-num"),
    Column("Last 24 hours"),
    Column("Actions", "ib-act", unseen=True),
)
MOST = 200


def groups(found: Sequence[FailureGroup], wanted: Wanted, now: datetime, *, retry: bool = True) -> str:
    """The table of causes, the latest failure first; with a way to `retry` one."""
    table = markup.table(
        COLUMNS,
        (_cells(group, wanted, now, retry) for group in found[:MOST]),
        kind="ib-causes",
        label="Failures by cause",
    )
    more = f" The latest {MOST} are shown." if len(found) > MOST else ""
    jobs = len({job for group in found for job in group.jobs})
    said = f"{format.counted(len(found), 'cause')} in {format.counted(jobs, 'job')}.{more}"
    return f'<p class="ib ib-soft ib-count">{said}</p>{table}'


def _cells(group: FailureGroup, wanted: Wanted, now: datetime, may_retry: bool) -> tuple[str, ...]:
    cause = Cause(group.key, str(wanted.query))
    here, retry = cause.address(), cause.address(ask="retry")
    title = (
        f'<a href="{safe(here)}" target="_self" title="{safe(group.cause)}">{safe(group.cause)}</a>'
        f'<span class="ib-soft ib-note">{known(group, now)}</span>'
    )
    return (
        title,
        safe(group.stage or format.NOTHING),
        safe(group.ending or format.NOTHING),
        format.number(len(group.jobs)),
        format.number(group.documents) if group.documents else format.NOTHING,
        markup.when(group.first_at, now),
        markup.when(group.last_at, now),
        markup.spark(group.spark, sparkle(group)),
        f'<a class="ib-quiet-button" href="{safe(retry)}" target="_self">Retry</a>' if may_retry else "",
    )


def sparkle(group: FailureGroup) -> str:
    """What the small bars show, in words."""
    return f"{format.counted(sum(group.spark), 'failure')} in the last 24 hours"


def known(group: FailureGroup, now: datetime) -> str:
    """Who acknowledged it with which note, and whether it happened again since; as HTML."""
    said = group.acknowledged
    if said is None:
        return "not acknowledged"
    again = ' <b class="ib-again">it happened again</b>' if group.again else ""
    note = f": {safe(said.note)}" if said.note else ""
    return f"acknowledged by {safe(said.by)} {markup.when(said.at, now)}{note}{again}"


def head(group: FailureGroup, within: str, now: datetime) -> str:
    """One cause with its figures, above its jobs."""
    where = " · ".join(
        part
        for part in (
            f"stage {safe(group.stage)}" if group.stage else "",
            f"{safe(group.ending)} files" if group.ending else "",
            format.counted(len(group.jobs), "job"),
            format.counted(group.documents, "document") if group.documents else "",
            f"first {markup.when(group.first_at, now)}",
            f"last {markup.when(group.last_at, now)}",
        )
        if part
    )
    among = f'<p class="ib-soft">Among the jobs that match <code>{safe(within)}</code>.</p>' if within else ""
    return (
        f'<div class="ib ib-head ib-cause"><h2>{safe(group.cause)}</h2><p class="ib-soft">{where}</p>{among}'
        f'<p class="ib-soft">{markup.spark(group.spark, sparkle(group))}<span>{sparkle(group)}</span></p>'
        f'<p class="ib-soft">{format.sentence(known(group, now))}</p></div>'
    )
