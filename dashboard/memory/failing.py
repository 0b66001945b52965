"""The failures that stand, grouped by cause: kept in memory beside the rows, one writer, no I/O.

A failure goes when its document or its job is retried, or its job deleted; a job's own failure stands while the job
is failed. Failures of jobs that the mirror does not hold are kept but not shown.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from itertools import islice

from tasks.ledger import packed
from tasks.ledger.failures import SLOT_S, SLOTS, Acknowledged, Failure, FailureGroup, Mended
from tasks.ledger.packed import Packed
from tasks.ledger.states import State

MOST = 25_000
SEARCHED = 1_000  # failed documents of one job whose names and errors a search looks at


class Failing:
    """Failures by job and document. `turn` counts what may have changed a group."""

    def __init__(self) -> None:
        self.turn = 0
        self.last_id = "0-0"
        self.names: dict[str, str] = {}  # job -> the names of its failed documents, casefolded; for searches
        self.errors: dict[str, str] = {}  # job -> what was said of them, likewise
        self._jobs: dict[str, dict[str, Failure]] = {}  # job -> document number or '' -> its failure
        self._count = 0
        self._lock = threading.Lock()

    def take(self, entries: Iterable[Failure | Mended]) -> set[str]:
        """Take in what the stream says, in its order; the jobs that it was about."""
        about = set()
        with self._lock:
            for entry in entries:
                about.add(entry.job)
                if isinstance(entry, Mended):
                    self._mend(entry)
                else:
                    standing = self._jobs.setdefault(entry.job, {})
                    self._count += entry.document not in standing
                    standing[entry.document] = entry
            # The jobs whose failures came first go first.
            while self._count > MOST:
                self._forget(next(iter(self._jobs)))
            for job in about:
                self._tell(job)
            if about:
                self.turn += 1
        return about

    def forget(self, jobs: Iterable[str]) -> None:
        """Jobs were deleted."""
        with self._lock:
            for job in jobs:
                if job in self._jobs:
                    self._forget(job)
                    self.turn += 1

    def changed(self, news: Iterable[Packed], before: Mapping[str, Packed]) -> None:
        """Jobs have news: groups change where a job with failures came, failed or was mended."""
        with self._lock:
            self.turn += any(
                (job := row[packed.ID]) in self._jobs and _told(row) != _told(before.get(job)) for row in news
            )

    def groups(
        self,
        rows: Mapping[str, Packed],
        acknowledged: Mapping[str, Acknowledged],
        now: float,
        among: Collection[str] | None = None,
    ) -> list[FailureGroup]:
        """The groups of what stands, the latest failure first; `among` are the only jobs to look at."""
        with self._lock:
            standing = [
                failure
                for job, found in self._jobs.items()
                if (among is None or job in among) and (row := rows.get(job)) is not None
                for failure in found.values()
                if _stands(failure, row)
            ]
        grouped: dict[str, list[Failure]] = {}
        for failure in standing:
            grouped.setdefault(failure.key, []).append(failure)
        groups = [_group(key, found, acknowledged.get(key), now) for key, found in grouped.items()]
        return sorted(groups, key=lambda group: (group.last_at, group.key), reverse=True)

    def reason(self, row: Packed, key: str = "") -> str:
        """What was said of the document of a job that failed first, of one group alone if `key` names it; '' for none.

        The record of a job says how many failed, and these say why.
        """
        with self._lock:
            for failure in self._jobs.get(row[packed.ID], {}).values():
                if failure.document and _stands(failure, row) and key in ("", failure.key):
                    return failure.message
        return ""

    def _mend(self, retry: Mended) -> None:
        standing = self._jobs.get(retry.job)
        if standing is None:
            return
        for document in list(standing):
            if document == "" or retry.documents is None or document in retry.documents:
                del standing[document]
                self._count -= 1
        if not standing:
            del self._jobs[retry.job]

    def _forget(self, job: str) -> None:
        self._count -= len(self._jobs.pop(job, {}))
        self.names.pop(job, None)
        self.errors.pop(job, None)

    def _tell(self, job: str) -> None:
        failed = list(islice(self._jobs.get(job, {}).values(), SEARCHED))
        told = ((self.names, (one.name for one in failed)), (self.errors, (one.message for one in failed)))
        for kept, said in told:
            text = "\n".join(dict.fromkeys(filter(None, said))).casefold()
            if text:
                kept[job] = text
            else:
                kept.pop(job, None)


def _told(row: Packed | None) -> object:
    """What decides whether the failures of a job stand."""
    return row and (row[packed.STATE] == State.FAILED.value, row[packed.FAILED] > 0)


def _stands(failure: Failure, row: Packed) -> bool:
    if failure.document:
        return bool(row[packed.FAILED] > 0)
    return bool(row[packed.STATE] == State.FAILED.value)


def _group(key: str, found: list[Failure], known: Acknowledged | None, now: float) -> FailureGroup:
    found.sort(key=lambda failure: failure.at, reverse=True)
    spark = [0] * SLOTS
    last_slot = int(now // SLOT_S)
    for failure in found:
        back = last_slot - int(failure.at // SLOT_S)
        if back < SLOTS:
            spark[SLOTS - 1 - max(0, back)] += 1
    latest = found[0]
    return FailureGroup(
        key=key,
        cause=latest.cause,
        stage=latest.stage,
        ending=latest.ending,
        jobs=tuple(dict.fromkeys(failure.job for failure in found)),
        documents=sum(bool(failure.document) for failure in found),
        first_at=datetime.fromtimestamp(found[-1].at, UTC),
        last_at=datetime.fromtimestamp(latest.at, UTC),
        spark=tuple(spark),
        acknowledged=known,
    )
