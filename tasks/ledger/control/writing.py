"""Writing jobs: cut into shards, made by one script for many, noted on disk, and handed to RQ."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import redis

from tasks.ledger import journal, keys, queues, store
from tasks.ledger.connection import Ledger
from tasks.ledger.records import text

# A shard costs a fork and about ten round trips, 50 ms in all: many small documents share one.
SHARD_DOCUMENTS = 256
SHARD_BYTES = 4 * 1024 * 1024
SHARDS_A_WORKER = 4
A_SCRIPT = 50  # jobs, and documents, that one script writes: some milliseconds of the server


@dataclass(frozen=True, slots=True)
class Job:
    """A job as submit.lua takes it."""

    id: str
    fields: dict[str, str]
    rows: list[dict[str, object]]
    shards: list[list[int]]
    rq_ids: list[str]
    window: int
    token: str

    def texts(self) -> tuple[str, str, str]:
        """Fields, rows of documents and rows of shards as JSON."""
        shards = [{"documents": numbers} for numbers in self.shards]
        return json.dumps(self.fields), json.dumps(self.rows), json.dumps(shards)

    def arguments(self, texts: tuple[str, str, str]) -> list[str | int]:
        return [self.id, *texts, self.window, json.dumps(self.rq_ids), self.token]

    def deliveries(self) -> list[store.Delivery]:
        names = [str(at) for at in range(len(self.shards))] or [store.PUBLISH]
        return [store.Delivery(self.id, name, rq_id) for name, rq_id in zip(names, self.rq_ids, strict=False)]


def cut(sizes: Sequence[int], numbers: Sequence[int], workers: int) -> list[list[int]]:
    """Cut documents into shards, in order: small enough that every worker helps, bounded in count and bytes."""
    most = max(1, min(SHARD_DOCUMENTS, -(-len(numbers) // max(8, SHARDS_A_WORKER * workers))))
    shards: list[list[int]] = []
    held = 0
    for size, index in zip(sizes, numbers, strict=True):
        if not shards or len(shards[-1]) >= most or held + size > SHARD_BYTES:
            shards.append([])
            held = 0
        shards[-1].append(index)
        held += size
    return shards


def window(workers: int) -> int:
    """How many shards of one job RQ holds at once: twice the workers, so that none waits for the next one."""
    return max(4, 2 * workers)


def deliver_all(ledger: Ledger, deliveries: Sequence[tuple[str, store.Delivery]]) -> None:
    """Hand shards to RQ, each to the queue of its priority.

    The jobs are on the record and their shards are marked as handed over: what fails here the janitor does again.
    """
    by_priority: dict[str, list[store.Delivery]] = defaultdict(list)
    for priority, delivery in deliveries:
        by_priority[priority].append(delivery)
    try:
        for priority, some in by_priority.items():
            queues.deliver(ledger, some, priority)
    except redis.RedisError:
        return


def write(ledger: Ledger, jobs: Sequence[Job], *, deliver: bool = True) -> list[tuple[str, bool]]:
    """Write jobs and hand their first shards to RQ: the id of each, and whether it is new."""
    texts = [job.texts() for job in jobs]
    replies = _create(ledger, jobs, texts)
    made = [(reply[1], reply[0] != "known") for reply in replies]
    # Before it is answered: Redis may forget its last second, and an answer is a promise.
    journal.write(
        ledger.settings,
        [
            journal.line(job.id, float(reply[2]), int(reply[3]), *parts, window=job.window)
            for job, parts, reply in zip(jobs, texts, replies, strict=True)
            if reply[0] != "known"
        ],
    )
    if deliver:
        new = [job for job, (_, created) in zip(jobs, made, strict=True) if created]
        deliver_all(ledger, [(job.fields["priority"], delivery) for job in new for delivery in job.deliveries()])
    return made


def _create(ledger: Ledger, jobs: Sequence[Job], texts: Sequence[tuple[str, str, str]]) -> list[list[str]]:
    """Run submit.lua for them, so many at once that nobody waits long for the server; a reply each."""
    replies: list[list[str]] = []
    while len(replies) < len(jobs):
        first = last = len(replies)
        documents = 0
        while last < len(jobs) and last - first < A_SCRIPT and (last == first or documents < A_SCRIPT):
            documents += len(jobs[last].rows)
            last += 1
        some = jobs[first:last]
        arguments = [part for job, parts in zip(some, texts[first:last], strict=True) for part in job.arguments(parts)]
        further = [key for job in some[1:] for key in (*keys.of_job(job.id), keys.submission(job.token or "-"))]
        named = [*keys.for_scripts(some[0].id), keys.submission(some[0].token or "-"), *further]
        reply = ledger.run("submit", named, [*arguments])
        replies += [[text(part) for part in one] for one in (reply if len(some) > 1 else [reply])]
    return replies
