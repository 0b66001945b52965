"""What the job pages show, read once for all who watch the same job.

The job's row is read at most twice a second; its documents, events and stages only when the row's
revision moved, and those of a very large job less often while it runs. It never writes.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace

from dashboard.memory.mirror import TICK_S
from tasks.access import Person
from tasks.errors import JobNotFound
from tasks.ledger import Ledger, monitor, receipts
from tasks.ledger.records import DocumentRow, EventRow, JobRow, Receipt, StageRow

KEPT_JOBS = 32
# Reading 1,000 document rows is worth a second's wait between two readings.
DOCUMENTS_PER_SECOND = 1000


@dataclass(frozen=True, slots=True)
class Detail:
    """One job with all that its page shows. `read_at` is monotonic seconds of the last full reading."""

    row: JobRow
    documents: tuple[DocumentRow, ...]
    events: tuple[EventRow, ...]
    stages: tuple[StageRow, ...]
    looked_at: float
    read_at: float
    receipt: Receipt | None = None  # of the stop that was asked, if one was


class Details:
    """The jobs being watched in this process. Thread-safe; raises JobNotFound and redis errors."""

    def __init__(self, ledger: Ledger, *, tick_s: float = TICK_S) -> None:
        self._ledger = ledger
        self._tick_s = tick_s
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Detail] = OrderedDict()

    def look(self, job_id: str, person: Person, *, fresh: bool = False) -> Detail:
        """The job now, as this person sees it; `fresh` after an action of theirs, whose effect must show at once."""
        with self._lock:
            known = self._known.get(job_id)
        if known is not None and not fresh and time.monotonic() - known.looked_at < self._tick_s:
            return _seen(known, person)
        detail = _seen(self._read(job_id, None if fresh else known), person)
        with self._lock:
            self._known[job_id] = detail
            self._known.move_to_end(job_id)
            while len(self._known) > KEPT_JOBS:
                self._known.popitem(last=False)
        return detail

    def last(self, job_id: str, person: Person) -> Detail | None:
        """The job as it was last read, for when it cannot be read now. Raises JobNotFound for who may not see it."""
        with self._lock:
            known = self._known.get(job_id)
        return _seen(known, person) if known is not None else None

    def _read(self, job_id: str, known: Detail | None) -> Detail:
        now = time.monotonic()
        row = monitor.job(self._ledger, job_id)
        if known is not None and not row.final:
            patience = len(known.documents) / DOCUMENTS_PER_SECOND
            if row.state == known.row.state and now - known.read_at < patience:
                return replace(known, row=row, looked_at=now)
        if known is not None and row.revision == known.row.revision:
            return replace(known, row=row, looked_at=now)
        documents = tuple(monitor.documents(self._ledger, job_id))
        events = tuple(monitor.events(self._ledger, job_id))
        stages = tuple(monitor.stages(self._ledger, job_id))
        return Detail(row, documents, events, stages, now, now, self._receipt(row, documents))

    def _receipt(self, row: JobRow, documents: tuple[DocumentRow, ...]) -> Receipt | None:
        if row.stop is None:
            return None
        workers = len(monitor.worker_names(self._ledger))
        return receipts.of(row, documents, monitor.rates(self._ledger), workers)


def _seen(detail: Detail, person: Person) -> Detail:
    if not person.sees(detail.row.collection):
        raise JobNotFound(job=detail.row.id)
    told = monitor.as_told_to(person, detail.row)
    return detail if told is detail.row else replace(detail, row=told)
