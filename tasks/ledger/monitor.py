"""Read models of the ledger. Reads never write, and none costs more round trips for more viewers or jobs."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tasks.errors import JobNotFound
from tasks.ledger import keys, store
from tasks.ledger.connection import Ledger
from tasks.ledger.records import (
    Changes,
    DocumentRow,
    EventRow,
    Figures,
    Gates,
    JobRow,
    Rate,
    StageRow,
    WorkerRow,
    job_row,
    moment,
    number,
    text,
    whole,
)
from tasks.ledger.states import STAGES, DocumentState, State

ALIVE_S = 20.0
POOL_ALIVE_S = 15.0
SCAN = 500
ENDED = frozenset({DocumentState.COMPLETED, DocumentState.FAILED})


def job(ledger: Ledger, job_id: str) -> JobRow:
    """One job. Raises JobNotFound."""
    fields = ledger.redis.hgetall(keys.job(job_id))
    if b"state" not in fields:
        raise JobNotFound(job=job_id)
    return job_row(job_id, fields)


def documents(ledger: Ledger, job_id: str) -> list[DocumentRow]:
    """The documents of a job, in the order they were submitted. What a canceled job did not get to is canceled."""
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
    rows = []
    for raw in ledger.redis.lrange(keys.events(job_id), 0, -1):
        try:
            data: Any = json.loads(raw)
        except ValueError:
            continue
        at = moment(data.get("at")) if isinstance(data, dict) else None
        if at is not None:
            rows.append(EventRow(at, text(data.get("text"))))
    return rows


def stages(ledger: Ledger, job_id: str) -> list[StageRow]:
    """The stages that a job has been in, in their order."""
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
    """The gates of a collection."""
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
    filtered = bool(states or collection or owner or text)
    if not filtered:
        total = ledger.redis.zcard(keys.JOBS)
        return _rows(ledger, ledger.redis.zrevrange(keys.JOBS, offset, offset + limit - 1)), total
    matching: list[JobRow] = []
    start, found = 0, 0
    while batch := ledger.redis.zrevrange(keys.JOBS, start, start + SCAN - 1):
        for row in _rows(ledger, batch):
            if matches(row, states=states, collection=collection, owner=owner, text=text):
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


def changes(ledger: Ledger, since: int, *, limit: int = 10_000) -> Changes:
    """What changed after a revision; since 0 the newest `limit` jobs. Two round trips."""
    with ledger.redis.pipeline(transaction=True) as pipe:
        pipe.get(keys.REVISION)
        if since:
            pipe.zrangebyscore(keys.CHANGES, f"({since}", "+inf")
            pipe.zrangebyscore(keys.REMOVED, f"({since}", "+inf")
        else:
            pipe.zrevrange(keys.JOBS, 0, limit - 1)
            pipe.zrange(keys.REMOVED, 0, 0)
        _ask_figures(pipe)
        revision, ids, removed, *answers = pipe.execute()
    newest = whole(revision)
    if since > newest:
        return Changes(newest, reset=True)
    gone = tuple(text(name) for name in removed) if since else ()
    return Changes(newest, tuple(_rows(ledger, ids)), gone, _figures(answers))


def newest_revision(ledger: Ledger) -> int:
    """The revision of the last change."""
    return whole(ledger.redis.get(keys.REVISION))


def figures(ledger: Ledger) -> Figures:
    """The line of figures above the board, in one round trip."""
    with ledger.redis.pipeline(transaction=True) as pipe:
        _ask_figures(pipe)
        return _figures(pipe.execute())


def workers(ledger: Ledger) -> list[WorkerRow]:
    """The workers of this installation that reported within 20 s, by name."""
    now = ledger.now()
    alive = ledger.redis.zrangebyscore(keys.WORKERS, now - ALIVE_S, "+inf", withscores=True)
    beats = [(text(pair[0]), number(pair[1])) for pair in alive]
    with ledger.redis.pipeline(transaction=False) as pipe:
        for name, _ in beats:
            pipe.hgetall(keys.rq_worker(name))
        hashes = pipe.execute()
    rows = []
    for (name, beat), fields in zip(beats, hashes, strict=True):
        rows.append(
            WorkerRow(
                name=name,
                host=text(fields.get(b"hostname")),
                pid=whole(fields.get(b"pid")),
                state=text(fields.get(b"state")) or "starting",
                queues=tuple(filter(None, text(fields.get(b"queues")).split(","))),
                job=text(fields.get(b"ingestboard_job")),
                heartbeat_age_s=max(0.0, now - beat),
                done=whole(fields.get(b"successful_job_count")),
                failed=whole(fields.get(b"failed_job_count")),
            )
        )
    return rows


def worker_names(ledger: Ledger) -> list[str]:
    """Names of the workers alive."""
    now = ledger.now()
    return [text(name) for name in ledger.redis.zrangebyscore(keys.WORKERS, now - ALIVE_S, "+inf")]


def pools(ledger: Ledger) -> list[str]:
    """Names of the worker pools that reported within 15 s."""
    now = ledger.now()
    return [text(name) for name in ledger.redis.zrangebyscore(keys.POOLS, now - POOL_ALIVE_S, "+inf")]


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
    pipe.zrange(keys.WORKERS, 0, -1, withscores=True)
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
