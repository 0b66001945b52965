"""The RQ queues and jobs of every program on this Redis, as they are stored: read models for the Queues page.

Nothing that another program wrote is unpickled, imported or decompressed without a limit, and no read runs RQ's
cleanup, which can fail jobs. A page of jobs costs one round trip, a job two, all queues three, however deep;
for who does not see every collection one more.
What may be done to such a job is in `tasks.ledger.control`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tasks.errors import ForeignJobNotFound
from tasks.ledger import fleet, keys, queues
from tasks.ledger.connection import Ledger
from tasks.ledger.foreign_rows import (
    ForeignAttempt,
    ForeignJob,
    ForeignRow,
    Link,
    QueueRow,
    Queues,
    RegistryPage,
)
from tasks.ledger.opcodes import keys_of
from tasks.ledger.records import moment, number, text, whole
from tasks.ledger.sight import hidden_jobs
from tasks.ledger.unpacking import inflated, traceback_of
from tasks.settings import QUEUES

REGISTRIES = ("queued", "started", "failed", "finished", "deferred", "scheduled", "canceled")
# How each is read: a list from its head, or a sorted set with what is next, or what is newest, first.
ORDERS = {
    "queued": "list",
    "started": "started",
    "failed": "down",
    "finished": "down",
    "deferred": "up",
    "scheduled": "up",
    "canceled": "down",
}
PAGE_SIZE = 50
QUEUES_SHOWN = 500
QUEUES_READ = 10_000  # names, from which those to show are taken
LISTENERS_READ = 1_000
VALUE_BYTES = 4096  # longest text of a job that a list shows
TEXT_BYTES = 256 * 1024  # longest value that a job's own page reads
LINKS = 50
FOR_OTHERS = "A part of a job that is for others"
RANKS = 100_000  # how deep a job is looked for in its queue
HEADS = 5  # jobs at the head of a queue whose waits are compared: one put in front is younger than those behind it
ID_BYTES = 200
OUTCOMES = {1: "finished", 2: "failed", 3: "stopped", 4: "retried", 5: "failed, retries used up"}

LISTED = ("description", "status", "enqueued_at", "started_at", "ended_at", "worker_name", "created_at")
OPENED = (
    *("status", "origin", "description", "created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat"),
    *("worker_name", "timeout", "result_ttl", "failure_ttl", "ttl", "retries_left", "number_of_retries"),
    *("retry_intervals", "repeats_left", "repeat_intervals", "success_callback_name", "failure_callback_name"),
    *("stopped_callback_name", "group_id", "meta", "exc_info"),
)


def overview(ledger: Ledger) -> Queues:
    """All RQ queues of this Redis with their counts. Three round trips, whatever their number and depth."""
    with ledger.redis.pipeline(transaction=False) as pipe:
        pipe.srandmember(keys.RQ_QUEUES, QUEUES_READ)  # all of them, unless there are more
        pipe.exists(keys.RQ_SUSPENDED)
        pipe.hgetall(keys.PAUSED)
        pipe.time()
        members, suspended, paused, (seconds, micros) = pipe.execute()
    now = seconds + micros / 1e6
    prefix = keys.rq_queue("")
    own = queues.names(ledger)
    found = [text(member) for member in members]
    others = sorted({name.removeprefix(prefix) for name in found if name.startswith(prefix)} - {"", *own})
    names = [*own, *others[:QUEUES_SHOWN]]
    with ledger.redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.llen(keys.rq_queue(name))
            for registry in REGISTRIES[1:]:
                pipe.zcard(keys.rq_registry(registry, name))
            pipe.srandmember(keys.rq_listeners(name), LISTENERS_READ)
            pipe.lrange(keys.rq_queue(name), 0, HEADS - 1)
        replies = pipe.execute(raise_on_error=False)
    width = len(REGISTRIES) + 2
    asked = [replies[at : at + width] for at in range(0, len(replies), width)]
    with ledger.redis.pipeline(transaction=False) as pipe:
        for *_, listeners, heads in asked:
            pipe.exists(keys.rq_worker(""), *_sequence(listeners))  # with a name that nobody has, as it takes one
            for rq_id in _sequence(heads):
                pipe.hget(keys.rq_job("").encode() + rq_id, "enqueued_at")
        answers = iter(pipe.execute(raise_on_error=False))
    rows = []
    pauses = {text(priority): fleet.paused_row(raw) for priority, raw in paused.items()}
    paused_queues = {name: pauses.get(priority) for name, priority in zip(own, QUEUES, strict=True)}
    for name, (*counts, _, heads) in zip(names, asked, strict=True):
        alive = whole(next(answers))
        waits = [_told(next(answers)) for _ in _sequence(heads)]
        since = min((at.timestamp() for at in waits if at is not None), default=None)
        held = {
            registry: count if isinstance(count, int) else 0
            for registry, count in zip(REGISTRIES, counts, strict=False)
        }
        rows.append(
            QueueRow(
                name=name,
                ours=name in own,
                depth=held.pop("queued"),
                oldest_wait_s=max(0.0, now - since) if since is not None else None,
                consumers=alive,
                paused=paused_queues.get(name),
                **held,
            )
        )
    return Queues(tuple(rows), len(own) + len(others), bool(suspended))


def page(ledger: Ledger, queue: str, registry: str, page_number: int = 1, size: int = PAGE_SIZE) -> RegistryPage:
    """One page of a queue's jobs, by rank: one round trip, and deep pages cost what the first does."""
    first = (max(1, page_number) - 1) * size
    source = keys.rq_queue(queue) if registry == "queued" else keys.rq_registry(registry, queue)
    prefix = keys.RQ_PREFIXES[0]
    total, *found = ledger.run(
        "foreign_page", [], [source, ORDERS[registry], first, first + size - 1, prefix, VALUE_BYTES, *LISTED]
    )
    return RegistryPage(queue, registry, _untold(ledger, [_row(one) for one in found]), int(total), first)


def _untold(ledger: Ledger, rows: Sequence[ForeignRow]) -> tuple[ForeignRow, ...]:
    """The same without what tells of jobs of ours that this person does not see: that a part is there is all."""
    hidden = hidden_jobs(ledger, sorted({owner_of(row.description) for row in rows} - {""}))
    return tuple(
        replace(row, id=fleet.UNTOLD, description=FOR_OTHERS, worker="", openable=False)
        if owner_of(row.description) in hidden
        else row
        for row in rows
    )


def job(ledger: Ledger, rq_id: str) -> ForeignJob:
    """One RQ job with its runs and links. Two round trips, and another one for who does not see every collection.

    Raises ForeignJobNotFound, also for a part of a job of ours that they do not see.
    """
    origin = _origin(ledger, rq_id)
    if origin is None:
        raise ForeignJobNotFound(job=rq_id)
    jobs, results, executions, execution, worker, _ = keys.RQ_PREFIXES
    reply = ledger.run(
        "foreign_job",
        [],
        [
            keys.rq_job(rq_id),
            results + rq_id,
            keys.rq_dependents(rq_id),
            keys.rq_dependencies(rq_id),
            executions + rq_id,
            keys.rq_queue(origin),
            *(keys.rq_registry(registry, origin) for registry in REGISTRIES[1:]),
            *(rq_id, TEXT_BYTES, jobs, worker, execution, LINKS, RANKS, *OPENED),
        ],
    )
    if text(reply[0]) != "hash":
        raise ForeignJobNotFound(job=rq_id)
    found = _job(ledger, rq_id, origin, reply)
    if (owner := owner_of(found.description)) and hidden_jobs(ledger, [owner]):
        raise ForeignJobNotFound(job=rq_id)
    return found


def standing(ledger: Ledger, rq_id: str) -> tuple[str, str]:
    """Status and worker of a job, to see what became of a stop; ('', '') when it is gone."""
    status, worker = _fields(ledger, rq_id, "status", "worker_name")
    return status, worker


def owner_of(description: str) -> str:
    """The job of ours that a delivery with that description is part of, or ''."""
    part, middle, job_id = description.rpartition(" of job ")
    return job_id if middle and part.isalnum() and job_id.isalnum() else ""


def _origin(ledger: Ledger, rq_id: str) -> str | None:
    with ledger.redis.pipeline(transaction=False) as pipe:
        pipe.type(keys.rq_job(rq_id))
        pipe.hget(keys.rq_job(rq_id), "origin")
        kind, origin = pipe.execute(raise_on_error=False)
    return text(origin) if text(kind) == "hash" else None


def _fields(ledger: Ledger, rq_id: str, *names: str) -> list[str]:
    with ledger.redis.pipeline(transaction=False) as pipe:
        pipe.hmget(keys.rq_job(rq_id), names)
        (found,) = pipe.execute(raise_on_error=False)
    return [text(value) for value in found] if isinstance(found, list) else ["" for _ in names]


def _row(raw: Sequence[Any]) -> ForeignRow:
    _, rq_id, known, score, description, status, enqueued, started, ended, worker, created = raw
    name = text(rq_id)
    return ForeignRow(
        id=name,
        known=bool(known),
        openable=bool(known) and 0 < len(rq_id) <= ID_BYTES and name.encode() == rq_id and name.isprintable(),
        status=text(status),
        description=text(description),
        enqueued_at=_told(enqueued) or _told(created),
        started_at=_told(started),
        ended_at=_told(ended),
        worker=text(worker),
        at=moment(score),
    )


def _job(ledger: Ledger, rq_id: str, origin: str, reply: Sequence[Any]) -> ForeignJob:
    _, ttl, data_bytes, raw, results, needs, total, wanted_by, rank, scores, beat, busy_with = reply
    field: dict[str, bytes] = dict(zip(OPENED, raw, strict=True))
    said = {name: text(value) for name, value in field.items() if name not in ("meta", "exc_info")}
    attempts = tuple(_attempt(entry) for entry in results)
    registries = [name for name, score in zip(REGISTRIES[1:], scores, strict=True) if score]
    callbacks = (("when it finishes", "success"), ("when it fails", "failure"), ("when it is stopped", "stopped"))
    return ForeignJob(
        id=rq_id,
        queue=origin,
        status=said["status"],
        registries=(*(("queued",) if int(rank) >= 0 else ()), *registries),
        ours=origin in queues.names(ledger) and bool(owner_of(said["description"])),
        description=said["description"],
        created_at=_told(said["created_at"]),
        enqueued_at=_told(said["enqueued_at"]),
        started_at=_told(said["started_at"]),
        ended_at=_told(said["ended_at"]),
        last_heartbeat=_told(said["last_heartbeat"]),
        due_at=moment(scores[REGISTRIES.index("scheduled") - 1]),
        worker=said["worker_name"],
        worker_alive=bool(beat) and text(busy_with) == rq_id,
        position=int(rank) + 1 if int(rank) >= 0 else None,
        timeout_s=_seconds(said["timeout"]),
        result_ttl_s=_seconds(said["result_ttl"]),
        failure_ttl_s=_seconds(said["failure_ttl"]),
        ttl_s=_seconds(said["ttl"]),
        lives_s=int(ttl) / 1000 if int(ttl) >= 0 else None,
        retries_left=_count(said["retries_left"]),
        retries_done=_count(said["number_of_retries"]),
        retry_intervals=_intervals(said["retry_intervals"]),
        repeats_left=_count(said["repeats_left"]),
        repeat_intervals=_intervals(said["repeat_intervals"]),
        callbacks=tuple((when, name) for when, kind in callbacks if (name := said[f"{kind}_callback_name"])),
        group=said["group_id"],
        data_bytes=int(data_bytes),
        meta_keys=keys_of(field["meta"]),
        dependencies=_links(needs),
        dependents=_links(wanted_by),
        dependents_total=int(total),
        attempts=attempts,
        traceback=next((one.traceback for one in attempts if one.traceback), "") or inflated(field["exc_info"]),
    )


def _attempt(entry: Sequence[Any]) -> ForeignAttempt:
    fields = {text(entry[at]): entry[at + 1] for at in range(1, len(entry) - 1, 2)}
    milliseconds = number(text(entry[0]).partition("-")[0])
    kind = whole(fields.get("type"))
    return ForeignAttempt(
        outcome=OUTCOMES.get(kind, f"of an unknown kind ({kind})"),
        ended_at=moment(fields.get("execution_ended_at")) or moment(milliseconds / 1000),
        started_at=moment(fields.get("execution_started_at")),
        worker=text(fields.get("worker_name")),
        traceback=traceback_of(fields.get("exc_string")),
    )


def _links(flat: Sequence[Any]) -> tuple[Link, ...]:
    return tuple(Link(text(flat[at]), text(flat[at + 1])) for at in range(0, len(flat) - 1, 2))


def _told(value: Any) -> datetime | None:
    """A time as RQ writes it, UTC, with or without a fraction."""
    written = text(value).rstrip("Z") if isinstance(value, bytes | str) else ""
    if not 19 <= len(written) <= 32:
        return None
    try:
        return datetime.fromisoformat(written).replace(tzinfo=UTC)
    except ValueError:
        return None


def _seconds(value: str) -> float | None:
    return number(value) if value else None


def _count(value: str) -> int | None:
    return whole(value) if value else None


def _intervals(value: str) -> str:
    """RQ's JSON list of seconds, as '10, 60 s'."""
    try:
        found = json.loads(value) if value else []
    except (ValueError, RecursionError):
        return ""
    return f"{', '.join(f'{number(one):g}' for one in found[:20])} s" if isinstance(found, list) and found else ""


def _sequence(value: Any) -> list[Any]:
    return list(value) if isinstance(value, set | list | tuple) else []
