"""What is wrong with a live job at a glance, and what is said to help."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tasks.ledger.marks import Mark, mark, remedy
from tasks.ledger.records import JobRow, StopReceipt, job_row
from tasks.ledger.states import FINAL, Action, State, allows

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def running(**changes: object) -> JobRow:
    """A job that a worker has in hand and that moved a second ago."""
    row = replace(
        job_row("j", {}),
        state=State.RUNNING,
        worker="w1",
        started_at=ago(60),
        last_updated=ago(1),
        progressed_at=ago(1),
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def canceling(asked_s: float, **changes: object) -> JobRow:
    stop = StopReceipt(ago(asked_s), "ana", False, None, "", None)
    return running(state=State.CANCELING, stop=stop, **changes)


def marked(row: JobRow, *, workers: tuple[str, ...] = ("w1",), usual_s: float | None = None) -> Mark | None:
    return mark(row, NOW, workers=workers, grace_s=10, stalled_s=300, usual_s=usual_s)


def test_a_job_that_moves_has_no_mark() -> None:
    assert marked(running()) is None
    assert marked(running(), usual_s=100) is None


def test_a_job_whose_worker_reports_and_whose_work_does_not_move_is_stalled() -> None:
    assert marked(running(progressed_at=ago(301))) is Mark.STALLED
    assert marked(running(progressed_at=ago(299))) is None
    assert marked(running(progressed_at=None, started_at=ago(301))) is Mark.STALLED


def test_a_job_whose_worker_is_gone_is_lost() -> None:
    assert marked(running(last_updated=ago(11)), workers=("w2",)) is Mark.LOST
    assert marked(running(last_updated=ago(11), progressed_at=ago(400)), workers=()) is Mark.LOST


def test_a_worker_that_has_just_come_is_not_taken_for_one_that_is_gone() -> None:
    assert marked(running(last_updated=ago(3)), workers=()) is None


def test_a_job_that_should_have_stopped_is_not_responding_after_two_graces() -> None:
    assert marked(canceling(19)) is None
    assert marked(canceling(21)) is Mark.NOT_RESPONDING


def test_a_job_that_is_to_stop_is_not_called_stalled_or_slow() -> None:
    assert marked(canceling(5, progressed_at=ago(900)), usual_s=1) is None


def test_a_job_that_runs_twice_as_long_as_usual_is_slow() -> None:
    assert marked(running(), usual_s=29) is Mark.SLOW
    assert marked(running(), usual_s=31) is None
    assert marked(running(), usual_s=None) is None


@pytest.mark.parametrize("state", [*sorted(FINAL), State.QUEUED, State.RETRYING])
def test_a_job_that_nobody_has_in_hand_has_no_mark(state: State) -> None:
    assert marked(running(state=state, last_updated=ago(900), progressed_at=ago(900)), workers=(), usual_s=1) is None


@pytest.mark.parametrize(
    ("found", "action", "word"),
    [
        (Mark.LOST, Action.WRITE_OFF, "w1 is gone"),
        (Mark.NOT_RESPONDING, Action.WRITE_OFF, "does not respond"),
        (Mark.STALLED, Action.FORCE_STOP, "nothing of the job has moved"),
        (Mark.SLOW, None, "more than twice as long"),
    ],
)
def test_each_mark_says_what_helps_and_offers_it(found: Mark, action: Action | None, word: str) -> None:
    sentence, offered = remedy(found, running())
    assert offered is action
    assert word in sentence
    assert sentence.endswith(".")
    if action is not None:
        assert allows(State.CANCELING if found is Mark.NOT_RESPONDING else State.RUNNING, action)
