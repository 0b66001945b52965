"""Read models of what does the work: workers, their pools, and the queues that are paused. Reads never write."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from tasks.ledger import keys
from tasks.ledger.connection import Ledger
from tasks.ledger.records import Paused, PoolRow, WorkerRow, fields_of, moment, number, text, whole
from tasks.ledger.sight import hidden_jobs

ALIVE_S = 20.0
WORKERS_MOST = 5_000  # read at most, the latest to report first: what lists more was not written by workers
POOL_ALIVE_S = 15.0
UNTOLD = "-"  # in place of the id of a job that somebody may not see


def workers(ledger: Ledger, *, within_s: float = ALIVE_S) -> list[WorkerRow]:
    """The workers that reported within 20 s, or so long, by name; written off ones too. Three round trips, and
    another one for who does not see every collection: what is in hand of other jobs is not told to them.
    """
    now = ledger.now()
    with ledger.redis.pipeline(transaction=False) as pipe:
        pipe.zrangebyscore(keys.WORKERS, now - within_s, "+inf", start=0, num=WORKERS_MOST, withscores=True)
        pipe.hkeys(keys.DRAINED)
        pipe.hkeys(keys.WRITTEN_OFF)
        alive, drained, written_off = pipe.execute()
        beats = sorted((text(pair[0]), number(pair[1])) for pair in alive)
        for name, _ in beats:
            pipe.hgetall(keys.rq_worker(name))
            pipe.hgetall(keys.worker(name))
        found = pipe.execute() if beats else []
    held, lost = set(map(text, drained)), set(map(text, written_off))
    rows = []
    for at, (name, beat) in enumerate(beats):
        rq, ours = found[2 * at], found[2 * at + 1]
        job = text(rq.get(b"ingestboard_job"))
        # It tells once a second, so at first what it had in hand before.
        current = job and text(ours.get(b"delivery")).rpartition(":")[0] == job
        rows.append(
            WorkerRow(
                name=name,
                # RQ forgets a silent worker after a minute; its name says where it was.
                host=text(rq.get(b"hostname")) or host_of(host_of(name)),
                pid=whole(rq.get(b"pid")),
                state=text(rq.get(b"state")) or "starting",
                queues=tuple(filter(None, text(rq.get(b"queues")).split(","))),
                job=job,
                heartbeat_age_s=max(0.0, now - beat),
                done=whole(rq.get(b"successful_job_count")),
                failed=whole(rq.get(b"failed_job_count")),
                pool=text(ours.get(b"pool")),
                document=text(ours.get(b"document")) if current else "",
                stage=text(ours.get(b"stage")) if current else "",
                cpu_percent=max(0.0, number(ours.get(b"cpu_percent"))),
                rss_bytes=max(0, whole(ours.get(b"rss_bytes"))),
                documents_a_minute=max(0.0, number(ours.get(b"documents_a_minute"))),
                drained=name in held,
                written_off=name in lost,
            )
        )
    return untold(rows, hidden_jobs(ledger, [row.job for row in rows if row.job]))


def untold(rows: Sequence[WorkerRow], hidden: Collection[str]) -> list[WorkerRow]:
    """The same without what they have in hand of hidden jobs."""
    return [replace(row, job=UNTOLD, document="", stage="") if row.job in hidden else row for row in rows]


def job_titles(ledger: Ledger, rows: Iterable[WorkerRow]) -> dict[str, str]:
    """Titles of the jobs that those workers have in hand, by id. One round trip."""
    jobs = sorted({row.job for row in rows if row.job})
    with ledger.redis.pipeline(transaction=False) as pipe:
        for job_id in jobs:
            pipe.hget(keys.job(job_id), "title")
        found = pipe.execute() if jobs else []
    return {job_id: text(title) for job_id, title in zip(jobs, found, strict=True)}


def worker_names(ledger: Ledger) -> list[str]:
    """Names of the workers alive."""
    now = ledger.now()
    return [
        text(name)
        for name in ledger.redis.zrangebyscore(keys.WORKERS, now - ALIVE_S, "+inf", start=0, num=WORKERS_MOST)
    ]


def pools(ledger: Ledger) -> list[PoolRow]:
    """The pools that reported within the hour, by name; `alive` those within 15 s. Three round trips."""
    now = ledger.now()
    beats = sorted(
        (text(pair[0]), number(pair[1]))
        for pair in ledger.redis.zrevrange(keys.POOLS, 0, WORKERS_MOST - 1, withscores=True)
    )
    with ledger.redis.pipeline(transaction=False) as pipe:
        for name, _ in beats:
            pipe.hgetall(keys.pool(name))
        found = pipe.execute() if beats else []
    return [
        PoolRow(
            name=name,
            host=text(fields.get(b"host")) or host_of(name),
            size=whole(fields.get(b"size")),
            wanted=whole(fields.get(b"wanted")),
            low=whole(fields.get(b"low")),
            high=whole(fields.get(b"high")),
            heartbeat_age_s=max(0.0, now - beat),
            alive=now - beat <= POOL_ALIVE_S,
        )
        for (name, beat), fields in zip(beats, found, strict=True)
    ]


def pool_names(ledger: Ledger) -> list[str]:
    """Names of the worker pools that reported within 15 s, in order."""
    now = ledger.now()
    return sorted(
        text(name)
        for name in ledger.redis.zrangebyscore(keys.POOLS, now - POOL_ALIVE_S, "+inf", start=0, num=WORKERS_MOST)
    )


def host_of(pool: str) -> str:
    """The host in a pool's name, '<host>-<process id>'."""
    return pool.rpartition("-")[0]


def paused(ledger: Ledger) -> dict[str, Paused]:
    """Our queues that are paused: 'high', 'default' or 'low' -> by whom, since when and why."""
    return {text(queue): paused_row(raw) for queue, raw in ledger.redis.hgetall(keys.PAUSED).items()}


def paused_row(raw: Any) -> Paused:
    """Decode one entry of the paused queues; a damaged one is a pause all the same."""
    row = fields_of(raw)
    return Paused(by=text(row.get("by")), at=moment(row.get("at")), why=text(row.get("why")))
