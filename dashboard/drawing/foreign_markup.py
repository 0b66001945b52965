"""One RQ job as HTML: what RQ holds of it, its traceback, its runs and links. What other programs wrote is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dashboard import format, markup
from dashboard.drawing.queues_markup import badge, moment, queue_link
from dashboard.markup import Column, safe
from tasks.ledger.foreign import owner_of
from tasks.ledger.foreign_rows import ForeignAttempt, ForeignJob, Link


def head(job: ForeignJob) -> str:
    title = job.description or job.id
    note = f"RQ job {job.id} in the queue {job.queue or '(none)'}"
    return (
        f'<div class="ib ib-head"><div><h2>{safe(title[:300])}</h2>{badge(job.status)}</div>'
        f'<p class="ib-soft">{safe(note)}</p></div>'
    )


def part_of(job: ForeignJob) -> str:
    """For a delivery of ours: the way to the job that it is a part of."""
    owner = owner_of(job.description)
    return (
        f'<p class="ib">This is a part of <a href="{markup.job_link(owner)}" target="_self">job {safe(owner)}</a> '
        "on the board; act on that job, which moves its parts.</p>"
    )


def facts(job: ForeignJob, now: datetime) -> str:
    """What RQ holds of the job."""
    known: list[tuple[str, str]] = [
        ("Stands in", safe(", ".join(job.registries) or "no registry of its queue")),
        ("Place in the queue", safe(format.number(job.position)) if job.position else ""),
        ("Queued", markup.when(job.enqueued_at, now) if job.enqueued_at else ""),
        ("Started", markup.when(job.started_at, now) if job.started_at else ""),
        ("Ended", markup.when(job.ended_at, now) if job.ended_at else ""),
        ("Due", moment(job.due_at, now) if job.due_at else ""),
        ("Last heartbeat", markup.when(job.last_heartbeat, now) if job.status == "started" else ""),
        ("Created", markup.when(job.created_at, now) if job.created_at else ""),
        ("Worker", safe(f"{job.worker}{' (works on it now)' if job.worker_alive else ''}") if job.worker else ""),
        ("Time limit", _limit(job.timeout_s)),
        ("Result kept for", _limit(job.result_ttl_s)),
        ("Failure kept for", _limit(job.failure_ttl_s)),
        ("Must start within", _limit(job.ttl_s)),
        ("RQ forgets it in", safe(format.coarse(job.lives_s)) if job.lives_s is not None else ""),
        ("Retries left", _retries(job)),
        ("Repeats left", _with(job.repeats_left, job.repeat_intervals)),
        ("Group", safe(job.group)),
        ("Task", f"{safe(format.size(job.data_bytes))}, never unpickled here" if job.data_bytes else "missing"),
        ("Keys of its meta", _meta(job.meta_keys)),
        *((f"Calls {when}", f"<code>{safe(name)}</code>") for when, name in job.callbacks),
    ]
    pairs = "".join(f"<div><dt>{safe(name)}</dt><dd>{value}</dd></div>" for name, value in known if value)
    return f'<div class="ib"><dl class="ib-facts">{pairs}</dl></div>'


def _limit(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return "for ever" if seconds < 0 else safe(format.duration(seconds))


def _with(count: int | None, intervals: str) -> str:
    if count is None:
        return ""
    return safe(f"{format.number(count)}{f', after {intervals}' if intervals else ''}")


def _retries(job: ForeignJob) -> str:
    left = _with(job.retries_left, job.retry_intervals)
    done = f"{format.number(job.retries_done)} done" if job.retries_done is not None else ""
    return " · ".join(part for part in (left, done) if part)


def _meta(found: tuple[str, ...] | None) -> str:
    if found is None:
        return "cannot be told without unpickling"
    shown = ", ".join(f"<code>{safe(key[:80])}</code>" for key in found[:50])
    return f"{shown} and {len(found) - 50} more" if len(found) > 50 else shown


def traceback(text: str) -> str:
    pre = f'<pre class="ib-trace" tabindex="0" role="region" aria-label="Traceback">{safe(text)}</pre>'
    return f'<div class="ib">{pre}</div>'


def attempts(found: Sequence[ForeignAttempt], now: datetime) -> str:
    """The runs that RQ remembers, the newest first."""
    columns = (
        Column("Outcome", "ib-state"),
        Column("Ended", "ib-num"),
        Column("Took", "ib-num"),
        Column("Worker"),
        Column("Ended with", "ib-title"),
    )
    rows = []
    for one in found:
        took = (one.ended_at - one.started_at).total_seconds() if one.ended_at and one.started_at else None
        lines = one.traceback.strip().splitlines()
        rows.append(
            (
                badge(one.outcome),
                markup.when(one.ended_at, now),
                safe(format.duration(took)),
                f'<span class="ib-name">{safe(one.worker[:80])}</span>' if one.worker else format.NOTHING,
                safe(lines[-1][:300]) if lines else format.NOTHING,
            )
        )
    return markup.table(columns, rows, kind="ib-runs")


def links(found: Sequence[Link], total: int, queue: str) -> str:
    """Jobs on the other end of a dependency."""
    items = "".join(
        f"<li>{badge(one.status or 'gone')} "
        f'<a href="{queue_link(queue, rq_id=one.id)}" target="_self">{safe(one.id[:100])}</a></li>'
        for one in found
    )
    more = f"<li>and {format.number(total - len(found))} more</li>" if total > len(found) else ""
    return f'<div class="ib"><ul class="ib-links">{items}{more}</ul></div>'
