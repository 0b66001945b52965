"""One job as HTML: head, figures, stage timeline, documents, events and the receipt of a stop."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import ValidationError

from dashboard import format, markup
from dashboard.markup import Column, Figure, safe
from tasks.ledger import control
from tasks.ledger.control import INGEST
from tasks.ledger.records import DocumentRow, EventRow, JobRow, Receipt, StageRow, StopReceipt, loaded
from tasks.ledger.states import STAGES, Action, DocumentState, State, allows
from tasks.recipe import Recipe

DOCUMENTS = (
    Column("State", "ib-state"),
    Column("Document", "ib-title"),
    Column("Chunks", "ib-num"),
    Column("Size", "ib-num"),
    Column("Time", "ib-num"),
    Column("Tries", "ib-num"),
)
LIMIT = "its time limit"  # who asked for the stop of a job past its limit, as the scripts write it
_UNIT = {"characters": "characters", "markdown": "characters", "sentence": "tokens"}


def head(row: JobRow, now: datetime) -> str:
    """Badge, title, whose it is, progress and the error if there is one."""
    error = f'<p class="ib-error">{safe(row.error)}</p>' if row.error else ""
    collection = f'<a href="{markup.collection_link(row.collection)}" target="_self">{safe(row.collection)}</a>'
    facts = [
        *([f"collection {collection}"] if row.collection else []),
        f"submitted by <b>{safe(row.owner or 'someone')}</b> {markup.when(row.created_at, now)}",
        f"priority {safe(row.priority or 'default')}",
        f'<code title="The id of this job">{safe(row.id)}</code>',
    ]
    doing = "" if row.final else format.sentence(row.step_description)
    if row.state is State.COMPLETED and not row.documents_total:
        # It has nothing else to show for itself. What was done is a sentence, which may begin with a name.
        doing = row.step_description
    told = f'<p class="ib-soft">{safe(doing)}</p>' if doing else ""
    kind = f' <span class="ib-chip" title="The kind of this job">{safe(row.kind)}</span>' if row.kind != INGEST else ""
    return (
        f'<div class="ib ib-head"><div>{markup.badge(row.state)}<h2>{safe(row.title or row.id)}</h2>{kind}</div>'
        f'<p class="ib-soft">{" · ".join(facts)}</p>'
        f'<div class="ib-big">{markup.progress(row)}</div>'
        f"{told}{error}</div>"
    )


def figures(row: JobRow, now: datetime) -> str:
    left = row.left_s(now)
    times = (
        Figure("elapsed", format.duration(row.elapsed_s(now))),
        Figure("time left", f"~{format.coarse(left)}" if left is not None else format.NOTHING),
    )
    if not row.documents_total:
        return markup.figures(times)
    done = f"{format.number(row.documents_done)} / {format.number(row.documents_total)}"
    return markup.figures(
        (
            Figure("documents done", done),
            Figure("failed", format.number(row.documents_failed), "bad" if row.documents_failed else ""),
            Figure(
                "from cache",
                format.number(row.documents_cached),
                hint="Taken from an earlier run of the same bytes under the same recipe",
            ),
            Figure("chunks", format.number(row.chunks)),
            *times,
        )
    )


def stop_receipt(receipt: Receipt | None, row: JobRow, now: datetime) -> str:
    """What was asked by whom, what happened, how long it took, what was kept and what a retry would cost."""
    stop = row.stop
    if stop is None:
        return ""
    if row.time_limit_s and stop.asked_by == LIMIT:
        lines = [
            f"Its time limit of {safe(format.duration(row.time_limit_s))} was over {markup.when(stop.asked_at, now)}."
        ]
    else:
        asked = "a force stop" if stop.forced else "the cancel"
        lines = [f"<b>{safe(stop.asked_by or 'Someone')}</b> asked for {asked} {markup.when(stop.asked_at, now)}."]
    if stop.stopped_at is not None:
        lines.append(_stopped(stop))
    elif row.final:
        lines.append("The job ended before the stop took effect.")
    else:
        waiting = format.duration((now - stop.asked_at).total_seconds())
        lines.append(f"Waiting for {safe(waiting)} until the work stops at its next checkpoint.")
    facts = [
        ("Stopped", markup.when(stop.stopped_at, now) if stop.stopped_at else ""),
        ("How", safe(stop.how)),
        ("Kept", safe(receipt.kept) if receipt else ""),
        ("Resume", safe(receipt.resume) if receipt else ""),
    ]
    terms = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts if value)
    listed = f'<dl class="ib-facts">{terms}</dl>' if terms else ""
    return f'<div class="ib ib-receipt"><b>Stop</b><p>{" ".join(lines)}</p>{listed}</div>'


def _stopped(stop: StopReceipt) -> str:
    took = safe(format.duration(stop.took_s))
    if "kill" in stop.how:
        return f"No checkpoint came in time, so the work horse was killed; it took {took}."
    if stop.how.startswith("too late"):
        return "It came too late: the snapshot was published already. Roll the collection back instead."
    match stop.how:
        case "before it started":
            return f"It was canceled in {took}, before any work had started."
        case "at a checkpoint":
            return f"The work stopped at a checkpoint, {took} after it was asked."
        case control.WRITTEN_OFF_HOW:
            return f"Its worker did not answer and was written off, {took} after it was asked."
    return f"It stopped after {took}."


def timeline(stages: Sequence[StageRow], row: JobRow, now: datetime) -> str:
    """A bar a stage over the time of the attempt; stages overlap when workers share a job."""
    if not stages:
        return '<div class="ib ib-soft">No stage has been entered yet.</div>'
    begin = min(stage.started_at for stage in stages)
    end = max((stage.ended_at for stage in stages), default=begin)
    if not row.final:
        end = max(end, now)
    whole = max((end - begin).total_seconds(), 1e-6)
    lines = []
    for stage in sorted(stages, key=lambda one: STAGES.index(one.stage) if one.stage in STAGES else len(STAGES)):
        live = not row.final and row.stage == stage.stage
        till = end if live else stage.ended_at
        left = min(99.4, 100 * (stage.started_at - begin).total_seconds() / whole)
        took = (till - stage.started_at).total_seconds()
        width = min(100 - left, max(0.6, 100 * took / whole))
        work = f"{format.duration(stage.work_s)} of work" if stage.work_s else ""
        span = f"{format.exact(stage.started_at)} to {format.exact(till)}"
        lines.append(
            f'<div class="ib-stage"><span>{safe(stage.stage)}</span><span class="ib-track" title="{safe(span)}">'
            f'<i class="{"ib-live" if live else ""}" style="left:{left:.2f}%;width:{width:.2f}%"></i></span>'
            f'<span class="ib-num">{safe(format.duration(took))}</span>'
            f'<span class="ib-num ib-soft">{safe(work)}</span></div>'
        )
    return f'<div class="ib ib-timeline">{"".join(lines)}</div>'


def documents(rows: Sequence[DocumentRow], of: JobRow, *, retry: bool = True) -> str:
    """The documents of a job with their states and reasons, and a way to `retry` one that failed."""

    def cells(row: DocumentRow) -> tuple[str, ...]:
        reason = f'<span class="ib-reason">{safe(row.error)}</span>' if row.error else ""
        if retry and row.state is DocumentState.FAILED and allows(of.state, Action.RETRY):
            link = f"{markup.job_link(of.id, ask=Action.RETRY.value)}&amp;document={row.number + 1}"
            reason += (
                f' <span><a class="ib-quiet-button" href="{link}" target="_self" '
                f'aria-label="Retry {safe(row.name)}">Retry</a></span>'
            )
        cached = ' <span class="ib-chip" title="Same bytes and recipe as before: nothing to embed">cached</span>'
        return (
            markup.badge(shown_state(row.state, of.state)),
            f'<span class="ib-name">{safe(row.name)}</span>{cached if row.cached else ""}{reason}',
            format.number(row.chunks) if row.chunks else format.NOTHING,
            safe(format.size(row.size_bytes)),
            safe(format.duration(row.seconds)) if row.seconds else format.NOTHING,
            format.number(row.tries) if row.tries else format.NOTHING,
        )

    return markup.table(DOCUMENTS, map(cells, rows), kind="ib-documents")


def shown_state(state: DocumentState, of: State) -> DocumentState:
    """A document that a canceled job never came to is not waiting for anything."""
    untouched = state in (DocumentState.QUEUED, DocumentState.RUNNING)
    return DocumentState.CANCELED if untouched and of is State.CANCELED else state


def events(rows: Sequence[EventRow], now: datetime) -> str:
    """The event log, newest last."""
    if not rows:
        return '<div class="ib ib-soft">Nothing has happened yet.</div>'
    lines = "".join(f"<li>{markup.when(row.at, now)}<span>{safe(row.text)}</span></li>" for row in rows)
    return f'<div class="ib"><ol class="ib-log">{lines}</ol></div>'


def facts(row: JobRow, now: datetime) -> str:
    """Worker, attempts, times, recipe and snapshot, as a list of terms."""
    pairs = [
        ("Kind", safe(row.kind or INGEST)),
        ("Worker", safe(row.worker or format.NOTHING)),
        ("Attempt", format.number(row.attempt)),
        *([("Time limit", safe(format.duration(row.time_limit_s)))] if row.time_limit_s else []),
        *([("Limit of a document", safe(format.duration(row.document_limit_s)))] if row.document_limit_s else []),
        ("Submitted", markup.when(row.created_at, now)),
        ("Started", markup.when(row.started_at, now)),
        ("Ended", markup.when(row.ended_at, now)),
        *([("Recipe", recipe(row.recipe))] if row.recipe else []),
        ("Snapshot", safe(row.snapshot or format.NOTHING)),
        *([("Asked", arguments(row.arguments))] if row.arguments else []),
    ]
    terms = "".join(f"<div><dt>{safe(name)}</dt><dd>{value}</dd></div>" for name, value in pairs)
    return f'<div class="ib"><dl class="ib-facts">{terms}</dl></div>'


def recipe(text: str) -> str:
    """The recipe in words, its fingerprint on hover."""
    try:
        made = Recipe.model_validate_json(text)
    except ValidationError:
        return format.NOTHING
    size = f"{format.number(made.chunk_size)} {_UNIT[made.splitter]}"
    words = f"{made.splitter}, {size}, overlap {format.number(made.chunk_overlap)}, {made.embedder}"
    return f'<span title="Fingerprint {safe(made.fingerprint)}">{safe(words)}</span>'


def arguments(text: str) -> str:
    """What a job that is no ingest was asked, as its kind's arguments."""
    asked = loaded(text)
    if not isinstance(asked, dict):
        return format.NOTHING
    said = {True: "yes", False: "no"}
    pairs = ((key.replace("_", " "), said[value] if isinstance(value, bool) else value) for key, value in asked.items())
    return safe(", ".join(f"{key} {value}" for key, value in pairs if value not in (None, ""))) or format.NOTHING
