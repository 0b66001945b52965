"""Read models of the ledger. Reads never write, and none costs more round trips for more viewers or jobs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tasks.errors import JobNotFound
from tasks.ledger import keys, receipts, store
from tasks.ledger.connection import Ledger
from tasks.ledger.fleet import ALIVE_S, WORKERS_MOST
from tasks.ledger.fleet import worker_names as worker_names
from tasks.ledger.fleet import workers as workers
from tasks.ledger.records import (
    DocumentRow,
    EventRow,
    Figures,
    Gates,
    JobRow,
    Rate,
    Receipt,
    StageRow,
    fields_of,
    job_row,
    moment,
    number,
    text,
    whole,
)
from tasks.ledger.sight import as_told_to as as_told_to
from tasks.ledger.sight import hidden_jobs as hidden_jobs
from tasks.ledger.sight import must_see as must_see
from tasks.ledger.states import STAGES, DocumentState, State

SCAN = 500
EVENTS_KEPT = 500  # as prelude.lua trims
ENDED = frozenset({DocumentState.COMPLETED, DocumentState.FAILED})


def job(ledger: Ledger, job_id: str) -> JobRow:
    """One job. Raises JobNotFound, also for one that this person may not see."""
    fields = ledger.redis.hgetall(keys.job(job_id))
    if b"state" not in fields or not ledger.person.sees(text(fields.get(b"collection"))):
        raise JobNotFound(job=job_id)
    return as_told_to(ledger.person, job_row(job_id, fields))


def _must_see_job(ledger: Ledger, job_id: str) -> None:
    if hidden_jobs(ledger, [job_id]):
        raise JobNotFound(job=job_id)


def documents(ledger: Ledger, job_id: str) -> list[DocumentRow]:
    """The documents of a job, in the order they were submitted. What a canceled job did not get to is canceled."""
    _must_see_job(ledger, job_id)
    with ledger.redis.pipeline(transaction=True) as pipe:
        pipe.hget(keys.job(job_id), "state")
        pipe.hgetall(keys.documents(job_id))
        state, found = pipe.execute()
    rows = [store.document_row(whole(index), raw) for index, raw in found.items()]
    if text(state) == State.CANCELED:
        rows = [row if row.state in ENDED else replace(row, state=DocumentState.CANCELED) for row in rows]
    return sorted(rows, key=lambda row: row.number)


def events(ledger: Ledger, job_id: str) -> list[EventRow]:
    """The event log of a job, oldest first, 500 lines at most."""
    _must_see_job(ledger, job_id)
    rows = []
    for raw in ledger.redis.lrange(keys.events(job_id), -EVENTS_KEPT, -1):
        data = fields_of(raw)
        at = moment(data.get("at"))
        if at is not None:
            rows.append(EventRow(at, text(data.get("text"))))
    return rows


def stages(ledger: Ledger, job_id: str) -> list[StageRow]:
    """The stages that a job has been in, in their order."""
    _must_see_job(ledger, job_id)
    found = {text(name): number(value) for name, value in ledger.redis.hgetall(keys.stages(job_id)).items()}
    rows = []
    for name in sorted({field.rpartition(":")[0] for field in found}):
        first, last = moment(found.get(f"{name}:first")), moment(found.get(f"{name}:last"))
        if first is not None and last is not None:
            rows.append(StageRow(name, first, last, found.get(f"{name}:work", 0.0)))
    # Ingestion has its order; other kinds go by when they entered a stage.
    order = {stage: at for at, stage in enumerate(STAGES)}
    return sorted(rows, key=lambda row: (order.get(row.stage, len(order)), row.started_at))


def gates(ledger: Ledger, collection: str) -> Gates:
    """The gates of a collection. Raises CollectionNotFound for one that this person may not see."""
    must_see(ledger, collection)
    found = ledger.redis.hgetall(keys.gates(collection))
    return Gates(
        max_failed_percent=min(100.0, max(0.0, number(found.get(b"max_failed_percent"), 100.0))),
        min_documents=max(0, whole(found.get(b"min_documents"))),
    )


def rates(ledger: Ledger) -> dict[str, Rate]:
    """What embedding documents took here so far, by file ending ('' for none)."""
    figures: dict[str, dict[str, float]] = {}
    for field, value in ledger.redis.hgetall(keys.RATES).items():
        ending, _, figure = text(field).partition(":")
        figures.setdefault(ending, {})[figure] = number(value)
    return {
        ending: Rate(*(found.get(figure, 0.0) for figure in ("documents", "bytes", "chunks", "seconds")))
        for ending, found in figures.items()
    }


def receipt(ledger: Ledger, job_id: str) -> Receipt | None:
    """The receipt of the stop that was asked of a job, confirmed once it has stopped; None when none was asked.

    Raises JobNotFound.
    """
    row = job(ledger, job_id)
    if row.stop is None:
        return None
    todo = documents(ledger, job_id) if row.final and row.documents_total else []
    return receipts.of(row, todo, rates(ledger), len(worker_names(ledger)))


def published_attempt(ledger: Ledger, job_id: str) -> int:
    """The attempt whose documents the job published last; 0 before its first publish."""
    return whole(ledger.redis.hget(keys.job(job_id), "published_attempt"))


def page(
    ledger: Ledger,
    *,
    states: Collection[State] = (),
    collection: str = "",
    owner: str = "",
    text: str = "",
    offset: int = 0,
    limit: int = 50,
) -> tuple[list[JobRow], int]:
    """A page of jobs, newest first, and how many match. Filters read all jobs; boards use the feed instead."""
    sees = ledger.person.sees
    filtered = bool(states or collection or owner or text or ledger.person.limited)
    if not filtered:
        total = ledger.redis.zcard(keys.JOBS)
        return _rows(ledger, ledger.redis.zrevrange(keys.JOBS, offset, offset + limit - 1)), total
    matching: list[JobRow] = []
    start, found = 0, 0
    while batch := ledger.redis.zrevrange(keys.JOBS, start, start + SCAN - 1):
        for row in _rows(ledger, batch):
            if sees(row.collection) and matches(row, states=states, collection=collection, owner=owner, text=text):
                row = as_told_to(ledger.person, row)
                if offset <= found < offset + limit:
                    matching.append(row)
                found += 1
        start += SCAN
    return matching, found


def matches(
    row: JobRow, *, states: Collection[State] = (), collection: str = "", owner: str = "", text: str = ""
) -> bool:
    """Whether a job passes the filters; text is looked for in id, title, collection, owner and error."""
    if states and row.state not in states:
        return False
    if (collection and row.collection != collection) or (owner and row.owner != owner):
        return False
    needle = text.casefold()
    return not needle or any(
        needle in part.casefold() for part in (row.id, row.title, row.collection, row.owner, row.error)
    )


def figures(ledger: Ledger) -> Figures:
    """The line of figures above the board, in one round trip."""
    with ledger.redis.pipeline(transaction=True) as pipe:
        _ask_figures(pipe)
        return _figures(pipe.execute())


def _rows(ledger: Ledger, ids: Collection[Any]) -> list[JobRow]:
    with ledger.redis.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hgetall(keys.job(text(job_id)))
        found = pipe.execute() if ids else []
    return [job_row(text(job_id), fields) for job_id, fields in zip(ids, found, strict=True) if fields]


def _ask_figures(pipe: Any) -> None:
    pipe.time()
    pipe.hgetall(keys.COUNTS)
    pipe.hgetall(keys.DAYS)
    pipe.zrevrange(keys.WORKERS, 0, WORKERS_MOST - 1, withscores=True)
    pipe.zrange(keys.WAITING, 0, 0, withscores=True)


def _figures(answers: list[Any]) -> Figures:
    (seconds, micros), counts, days, beats, oldest = answers
    now = float(seconds) + float(micros) / 1e6
    today = int(now // 86_400)

    def of(state: State) -> int:
        return max(0, whole(counts.get(state.value.encode())))

    def ended(state: State) -> int:
        return whole(days.get(f"{today}:{state.value}".encode()))

    return Figures(
        queued=of(State.QUEUED),
        running=of(State.RUNNING) + of(State.RETRYING) + of(State.CANCELING),
        done_today=ended(State.COMPLETED) + ended(State.PARTIAL),
        failed_today=ended(State.FAILED),
        workers_alive=sum(1 for _, beat in beats if now - beat <= ALIVE_S),
        oldest_wait_s=max(0.0, now - oldest[0][1]) if oldest else None,
    )


def utc_now() -> datetime:
    """Now, as the aware UTC time that rows are compared with."""
    return datetime.now(UTC)
