"""The tables of the pages as files: what each column is called and holds.

A file is made when it is asked for, outside of any page's run, and from what is so by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dashboard import connection
from dashboard.cards import csv_export
from dashboard.memory.matching import Sort
from dashboard.memory.query import Query
from dashboard.memory.queue_rates import Flow
from tasks.ledger import Ledger, fleet, foreign, monitor
from tasks.ledger.failures import FailureGroup
from tasks.ledger.foreign_rows import Queues
from tasks.ledger.records import DocumentRow, JobRow, WorkerRow

Lines = Iterable[Sequence[object]]

JOBS = (
    "job", "state", "title", "collection", "owner", "kind", "priority", "percent", "documents", "done", "failed",
    "cached", "chunks", "attempt", "worker", "created", "started", "ended", "error", "snapshot",
)  # fmt: skip
FAILURES = ("cause", "stage", "file type", "jobs", "documents", "first", "last", "acknowledged by", "note")
WORKERS = (
    "worker", "host", "state", "job", "document", "stage", "heartbeat age s", "done", "failed", "cpu percent",
    "memory bytes", "documents a minute", "drained", "written off",
)  # fmt: skip
QUEUES = (
    "queue", "ours", "depth", "oldest wait s", "in a minute", "out a minute", "started", "failed", "finished",
    "deferred", "scheduled", "canceled", "consumers", "paused by",
)  # fmt: skip
FOREIGN = ("job", "state", "description", "queued", "started", "ended", "worker", "kept, due or given up at")
FOREIGN_READ = 500  # jobs of another program in one round trip
DOCUMENTS = ("document", "name", "state", "bytes", "chunks", "cached", "seconds", "tries", "error")


def jobs(query: Query, sort: Sort) -> None:
    """Every job that the search means, in its order."""

    held = connection.later()

    def lines() -> Lines:
        mirror = connection.shared().feed.look().seen_by(held().person)
        # By id, one by one: a page of all of them would be kept until something changes.
        return (_job(row) for job in mirror.ids(query, sort) if (row := mirror.get(job)) is not None)

    csv_export.button("jobs", JOBS, lines, key="csv-jobs", label="CSV of what matches")


def cause(query: Query, key: str) -> None:
    """The jobs in which something failed of one cause, among those that a search means."""
    held = connection.later()

    def lines() -> Lines:
        mirror = connection.shared().feed.look().seen_by(held().person)
        jobs = (job for group in mirror.groups(query) if group.key == key for job in group.jobs)
        return (_job(row) for job in jobs if (row := mirror.get(job)) is not None)

    csv_export.button("cause", JOBS, lines, key="csv-cause")


def failures(query: Query) -> None:
    """The causes that the failures of a search have."""

    held = connection.later()

    def lines() -> Lines:
        return map(_failure, connection.shared().feed.look().seen_by(held().person).groups(query))

    csv_export.button("failures", FAILURES, lines, key="csv-failures")


def workers(names: Sequence[str], within_s: float) -> None:
    """These processes, as far as they reported within that time."""
    chosen = frozenset(names)
    held = connection.later()

    def lines() -> Lines:
        rows = fleet.workers(held(), within_s=within_s)
        return (_worker(row) for row in rows if row.name in chosen)

    csv_export.button("workers", WORKERS, lines, key="csv-workers")


def queues() -> None:
    """All queues of this Redis."""
    held = connection.later()

    def lines() -> Lines:
        found = foreign.overview(held())
        return _queues(found, connection.shared().readings.rates.note(found.rows))

    csv_export.button("queues", QUEUES, lines, key="csv-queues")


def foreign_jobs(queue: str, registry: str) -> None:
    """The jobs of one registry of a queue."""
    held = connection.later()

    def lines() -> Lines:
        return _foreign_jobs(held(), queue, registry)

    csv_export.button(f"queue-{registry}", FOREIGN, lines, key="csv-foreign")


def documents(job_id: str) -> None:
    """The documents of one job."""

    held = connection.later()

    def lines() -> Lines:
        return map(_document, monitor.documents(held(), job_id))

    csv_export.button(f"documents-{job_id}", DOCUMENTS, lines, key="csv-documents")


def _job(row: JobRow) -> Sequence[object]:
    return (
        row.id, row.state.value, row.title, row.collection, row.owner, row.kind, row.priority, row.percent,
        row.documents_total, row.documents_done, row.documents_failed, row.documents_cached, row.chunks, row.attempt,
        row.worker, row.created_at, row.started_at, row.ended_at, row.error, row.snapshot,
    )  # fmt: skip


def _failure(group: FailureGroup) -> Sequence[object]:
    seen = group.acknowledged
    return (
        group.cause, group.stage, group.ending, len(group.jobs), group.documents, group.first_at, group.last_at,
        seen.by if seen else "", seen.note if seen else "",
    )  # fmt: skip


def _worker(row: WorkerRow) -> Sequence[object]:
    return (
        row.name, row.host, row.state, row.job, row.document, row.stage, row.heartbeat_age_s, row.done, row.failed,
        row.cpu_percent, row.rss_bytes, row.documents_a_minute, row.drained, row.written_off,
    )  # fmt: skip


def _queues(found: Queues, flows: Mapping[str, Flow]) -> Lines:
    for row in found.rows:
        paused, flow = row.paused.by if row.paused else "", flows.get(row.name)
        yield (
            row.name, row.ours, row.depth, row.oldest_wait_s, flow.came if flow else None, flow.went if flow else None,
            row.started, row.failed, row.finished, row.deferred, row.scheduled, row.canceled, row.consumers, paused,
        )  # fmt: skip


def _foreign_jobs(ledger: Ledger, queue: str, registry: str) -> Lines:
    written: set[str] = set()  # what moved on meanwhile comes in two readings
    for number in range(1, csv_export.ROWS_MOST // FOREIGN_READ + 1):
        page = foreign.page(ledger, queue, registry, number, FOREIGN_READ)
        for row in page.rows:
            if row.id not in written:
                written.add(row.id)
                state = row.status if row.known else "gone"
                yield row.id, state, row.description, row.enqueued_at, row.started_at, row.ended_at, row.worker, row.at
        if page.first + len(page.rows) >= page.total or not page.rows:
            return
    yield "", "", f"Only the first {csv_export.ROWS_MOST:,} jobs are in this file.", None, None, None, "", None


def _document(row: DocumentRow) -> Sequence[object]:
    return (
        row.number + 1, row.name, row.state.value, row.size_bytes, row.chunks, row.cached, row.seconds, row.tries,
        row.error,
    )  # fmt: skip
