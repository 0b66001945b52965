"""The receipt of a stop: what was asked, what happened, how long it took, what is kept and what a retry would cost.

Built from what the ledger says, so that it is confirmed and not assumed; while the work has not stopped it says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tasks.ledger import rates as rates_of
from tasks.ledger.records import DocumentRow, JobRow, Rate, Receipt
from tasks.ledger.states import Action, DocumentState, State


def of(
    row: JobRow, documents: Sequence[DocumentRow], rates: Mapping[str, Rate], workers: int, now: datetime | None = None
) -> Receipt | None:
    """The receipt of the stop that was asked of a job; None when none was."""
    stop = row.stop
    if stop is None:
        return None
    action = Action.FORCE_STOP if stop.forced else Action.CANCEL
    return Receipt(
        row.id,
        action.value,
        row.state,
        _sentence(row, now or datetime.now(UTC)),
        asked_at=stop.asked_at,
        stopped_at=stop.stopped_at,
        how=stop.how,
        kept=_kept(row),
        resume=_resume(row, documents, rates, workers),
    )


def _sentence(row: JobRow, now: datetime) -> str:
    stop = row.stop
    assert stop is not None
    if stop.stopped_at is None:
        if row.final:
            return f"Job {row.id} is {row.state.value}; it ended before the stop took effect."
        waited = max(0.0, (now - stop.asked_at).total_seconds())
        return f"Job {row.id} has not stopped yet, {_seconds(waited)} after it was asked."
    took = f"{_seconds(stop.took_s or 0.0)} after it was asked"
    if row.state is State.CANCELED:
        return f"Job {row.id} was canceled {stop.how}, {took}."
    if row.state is State.FAILED:
        return f"Job {row.id} failed; it was stopped {stop.how}, {took}."
    return f"Job {row.id} is {row.state.value}: the stop came {stop.how}."


def _kept(row: JobRow) -> str:
    if not row.final:
        return ""
    if row.state in (State.COMPLETED, State.PARTIAL):
        if not row.snapshot:
            return "What it was asked was done; the stop changed nothing."
        return f"Snapshot {row.snapshot} of {row.collection} stays; roll the collection back if it is not wanted."
    if not row.documents_total:
        return "It did not do what it was asked."
    if not row.documents_done:
        return "Nothing was published and no document was finished; the submitted files are kept."
    if row.documents_done == 1:
        return "Nothing was published. 1 finished document is kept as an artifact; a retry does not embed it again."
    return (
        f"Nothing was published. {row.documents_done} finished documents are kept as artifacts; a retry does not "
        "embed them again."
    )


def _resume(row: JobRow, documents: Sequence[DocumentRow], rates: Mapping[str, Rate], workers: int) -> str:
    if row.state not in (State.CANCELED, State.FAILED) or not row.documents_total:
        return ""
    todo = [one for one in documents if one.state is not DocumentState.COMPLETED]
    ready = len(documents) - len(todo)
    if not todo:
        return f"A retry finds {_counted(ready, 'document')} ready and has only to publish."
    finds = f"A retry finds {_counted(ready, 'document')} ready and has {len(todo)} to do"
    work_s = rates_of.work_s(((one.name, one.size_bytes) for one in todo), rates)
    if work_s is None:
        return f"{finds}; how long that takes is not known yet."
    if workers:
        return f"{finds}, about {_seconds(work_s / workers)} with the {_counted(workers, 'worker')} alive now."
    return f"{finds}, about {_seconds(work_s)} of one worker's time; no worker is alive now."


def _seconds(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
