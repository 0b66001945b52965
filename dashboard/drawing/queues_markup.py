"""The Queues page as HTML: all queues, and the jobs of one. What other programs wrote is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

from dashboard import format, markup
from dashboard.format import Tone
from dashboard.markup import Column, Figure, safe
from dashboard.memory.queue_rates import Flow
from tasks.ledger.foreign import REGISTRIES
from tasks.ledger.foreign_rows import ForeignRow, QueueRow, Queues, RegistryPage

LONG_WAIT_S = 60.0
REGISTRY_TONES: dict[str, Tone] = {
    "queued": "quiet",
    "started": "move",
    "failed": "bad",
    "finished": "good",
    "deferred": "quiet",
    "scheduled": "quiet",
    "canceled": "quiet",
    "stopped": "warn",
}
OVERVIEW = (
    Column("Queue", "ib-title"),
    Column("Waiting", "ib-num"),
    Column("Oldest wait", "ib-num"),
    Column("In / min", "ib-num"),
    Column("Out / min", "ib-num"),
    Column("Workers", "ib-num"),
    *(Column(name.capitalize(), "ib-num") for name in REGISTRIES[1:]),
)
# What the time in the last column of a registry means.
LAST = {
    "queued": "",
    "started": "Given up at",
    "failed": "Kept until",
    "finished": "Kept until",
    "deferred": "Deferred",
    "scheduled": "Due",
    "canceled": "Canceled",
}


def queue_link(queue: str, registry: str = "", rq_id: str = "") -> str:
    """The address of a queue's jobs, or of one of them, relative to any page of ours."""
    parts = {"queue": queue, "registry": registry, "rq": rq_id}
    return "queues?" + "&amp;".join(f"{name}={quote(value, safe='')}" for name, value in parts.items() if value)


def back(queue: str = "") -> str:
    """The way up."""
    link = queue_link(queue) if queue else "queues"
    return markup.back(link, f"Queue {queue[:60]}" if queue else "All queues")


def badge(status: str) -> str:
    tone = REGISTRY_TONES.get(status, "quiet")
    return f'<span class="ib-badge ib-{tone}">{safe((status or "unknown")[:40].capitalize())}</span>'


def figures(found: Queues) -> str:
    rows = found.rows
    waits = [row.oldest_wait_s for row in rows if row.oldest_wait_s is not None]
    deserted = sum(1 for row in rows if row.depth and not row.consumers)
    return markup.figures(
        (
            Figure("queues", format.number(found.total)),
            Figure("waiting", format.number(sum(row.depth for row in rows))),
            Figure("running", format.number(sum(row.started for row in rows))),
            Figure(
                "failed", format.number(sum(row.failed for row in rows)), "bad" if any(r.failed for r in rows) else ""
            ),
            Figure(
                "oldest wait",
                format.coarse(max(waits, default=None)),
                "warn" if max(waits, default=0.0) > LONG_WAIT_S else "",
            ),
            Figure(
                "without a worker",
                format.number(deserted),
                "bad" if deserted else "",
                hint="Queues in which jobs wait and that no worker listens to",
            ),
        )
    )


def overview(found: Queues, flows: Mapping[str, Flow]) -> str:
    table = markup.table(OVERVIEW, (_queue(row, flows.get(row.name)) for row in found.rows), kind="ib-queues")
    hidden = found.total - len(found.rows)
    more = f" {format.counted(hidden, 'queue')} more, by name, are not shown." if hidden > 0 else ""
    return (
        f'{table}<p class="ib ib-soft ib-count">Jobs in and out a minute are estimated from what this '
        f"dashboard saw change in the last minute; a dash until it has looked for five seconds.{more}</p>"
    )


def _queue(row: QueueRow, flow: Flow | None) -> tuple[str, ...]:
    notes = ["Ingestboard" if row.ours else "another program"]
    if row.paused is not None:
        notes.append(f"paused by {row.paused.by or 'someone'}")
    badges = '<span class="ib-badge ib-warn">Paused</span>' if row.paused is not None else ""
    if row.depth and not row.consumers:
        badges += '<span class="ib-badge ib-bad">No worker</span>'
    wait = format.coarse(row.oldest_wait_s)
    late = row.oldest_wait_s is not None and row.oldest_wait_s > LONG_WAIT_S
    link = f'<a href="{queue_link(row.name)}" target="_self"><b>{safe(row.name)}</b></a>'
    return (
        f'<span class="ib-line">{link}{badges}</span><span class="ib-soft ib-note">{safe(" · ".join(notes))}</span>',
        _count(row.name, "queued", row.depth),
        f'<span class="ib-warn ib-toned">{safe(wait)}</span>' if late else safe(wait),
        _rate(flow.came if flow else None),
        _rate(flow.went if flow else None),
        format.number(row.consumers),
        *(_count(row.name, registry, row.count(registry)) for registry in REGISTRIES[1:]),
    )


def _count(queue: str, registry: str, count: int) -> str:
    if not count:
        return "0"
    label = f"{format.number(count)} {registry} in {queue}"
    return (
        f'<a href="{queue_link(queue, registry)}" target="_self" aria-label="{safe(label)}">{format.number(count)}</a>'
    )


def _rate(a_minute: float | None) -> str:
    if a_minute is None:
        return format.NOTHING
    return f"{a_minute:,.0f}" if a_minute >= 9.95 or a_minute == 0 else f"{a_minute:.1f}"


def tabs(queue: str, registry: str, row: QueueRow | None) -> str:
    """The registries of a queue with their counts; each is a link."""
    links = "".join(
        f'<a href="{queue_link(queue, one)}" target="_self"{" aria-current=page" if one == registry else ""}>'
        f"{one.capitalize()} <b>{format.number(row.count(one) if row else 0)}</b></a>"
        for one in REGISTRIES
    )
    return f'<nav class="ib ib-registries" aria-label="Jobs by registry">{links}</nav>'


def jobs(page: RegistryPage, now: datetime) -> str:
    """The jobs of one registry."""
    last = LAST[page.registry]
    columns = (
        Column("State", "ib-state"),
        Column("Job", "ib-title"),
        Column("Queued", "ib-num"),
        Column("Started", "ib-num"),
        Column("Took", "ib-num"),
        Column("Worker"),
        *((Column(last, "ib-num"),) if last else ()),
    )
    table = markup.table(columns, (_job(page, row, now, bool(last)) for row in page.rows), kind="ib-rq-jobs")
    span = f"{format.number(page.first + 1)} to {format.number(page.first + len(page.rows))}"
    return f'{table}<p class="ib ib-soft ib-count">{span} of {format.counted(page.total, "job")}</p>'


def _job(page: RegistryPage, row: ForeignRow, now: datetime, last: bool) -> tuple[str, ...]:
    title = row.description or ("" if row.known else "RQ has forgotten this job; only its entry is left") or row.id
    words = f'<span title="{safe(title[:500])}">{safe(title[:300])}</span>'
    if row.openable:
        link = queue_link(page.queue, page.registry, row.id)
        words = f'<a href="{link}" target="_self" title="{safe(title[:500])}">{safe(title[:300])}</a>'
    ended = row.ended_at or (now if page.registry == "started" else None)
    took = (ended - row.started_at).total_seconds() if row.started_at and ended else None
    return (
        badge(row.status if row.known else "gone"),
        f'{words}<span class="ib-soft ib-note">{safe(row.id[:100])}</span>',
        markup.when(row.enqueued_at, now),
        markup.when(row.started_at, now),
        safe(format.duration(took)),
        f'<span class="ib-short" title="{safe(row.worker)}">{safe(row.worker[:80])}</span>'
        if row.worker
        else format.NOTHING,
        *((moment(row.at, now),) if last else ()),
    )


def moment(at: datetime | None, now: datetime) -> str:
    """A time that may lie ahead: 'in 5 min'."""
    if at is None or at <= now:
        return markup.when(at, now)
    ahead = f"in {format.coarse((at - now).total_seconds())}"
    return f'<time datetime="{at.isoformat()}" title="{safe(format.exact(at))}">{safe(ahead)}</time>'
