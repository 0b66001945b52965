"""What is wrong with a live job at a glance, and what helps: stalled, lost, not responding, slow. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from tasks.ledger.records import JobRow
from tasks.ledger.states import Action, State

SILENT_S = 10.0
SLOW_TIMES = 2.0  # of what jobs of its collection usually take at most


class Mark(StrEnum):
    """The worst first."""

    LOST = "lost"  # the worker that had it in hand is gone, and nobody has taken it back yet
    NOT_RESPONDING = "not responding"  # it was to stop, and neither did its work horse nor did its worker kill that
    STALLED = "stalled"  # its worker reports, its work does not move
    SLOW = "slow"  # it runs much longer than others of its collection


def mark(
    row: JobRow,
    now: datetime,
    *,
    workers: Collection[str],
    grace_s: float,
    stalled_s: float,
    usual_s: float | None,
) -> Mark | None:
    """The mark of a job, or None. `workers` are the names of those alive; `usual_s` what 95 of 100 jobs of its
    collection take at most.
    """
    if row.state not in (State.RUNNING, State.CANCELING):
        return None
    # The list of those alive is some seconds old, so a worker that has just come is not in it: but that one reports.
    silent = row.last_updated is None or (now - row.last_updated).total_seconds() > SILENT_S
    if row.worker and row.worker not in workers and silent:
        return Mark.LOST
    if row.state is State.CANCELING:
        asked = row.stop.asked_at if row.stop else None
        return Mark.NOT_RESPONDING if asked and (now - asked).total_seconds() > 2 * grace_s else None
    moved = row.progressed_at or row.started_at
    if moved is not None and (now - moved).total_seconds() > stalled_s:
        return Mark.STALLED
    elapsed = row.elapsed_s(now)
    if usual_s and elapsed is not None and elapsed > SLOW_TIMES * usual_s:
        return Mark.SLOW
    return None


def remedy(found: Mark, row: JobRow) -> tuple[str, Action | None]:
    """What the mark means for this job and what to do, and the action that does it, if one does."""
    match found:
        case Mark.LOST:
            return (
                f"Its worker {row.worker} is gone. The job goes on elsewhere by itself within 20 s while a worker "
                "pool is alive; write the worker off to have that now.",
                Action.WRITE_OFF,
            )
        case Mark.NOT_RESPONDING:
            return (
                f"Its worker {row.worker} does not respond: it was to stop and did not. Write the worker off: then "
                "it can write nothing more, and the job ends.",
                Action.WRITE_OFF,
            )
        case Mark.STALLED:
            return (
                "Its worker is alive, but nothing of the job has moved for a while. Force it to stop and retry it; "
                "what is finished is kept.",
                Action.FORCE_STOP,
            )
        case Mark.SLOW:
            return (
                "It takes more than twice as long as jobs of its collection usually do. Open it to see which document "
                "it is at.",
                None,
            )
