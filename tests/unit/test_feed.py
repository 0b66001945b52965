"""The mirror of the board: shared, cheap, in order, and still there when Redis is not."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from redis.exceptions import ConnectionError as RedisAway

from dashboard.feed import Feed, Filter
from tasks.ledger.records import Changes, Figures, JobRow, job_row
from tasks.ledger.states import State

START = datetime(2026, 11, 20, tzinfo=UTC)


def row(number: int, state: State = State.COMPLETED, **changes: object) -> JobRow:
    made = replace(job_row(f"j{number}", {}), state=state, error="", created_at=START + timedelta(seconds=number))
    return replace(made, **changes)  # type: ignore[arg-type]


class Source:
    """A ledger of which the test says what changed next."""

    def __init__(self, *answers: Changes | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[int] = []

    def __call__(self, since: int) -> Changes:
        self.asked.append(since)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_many_viewers_cost_one_tick() -> None:
    source, clock = Source(Changes(3, (row(1),)), Changes(3)), Clock()
    feed = Feed(source, clock=clock)
    assert {id(feed.look()) for _ in range(100)} == {id(feed.look())}
    assert source.asked == [0]
    clock.now = 0.5
    feed.look()
    assert source.asked == [0, 3]


def test_changes_are_mirrored_newest_first() -> None:
    source = Source(Changes(2, (row(2), row(1))), Changes(5, (row(3), row(1, State.FAILED)), removed=("j2",)))
    feed = Feed(source, tick_s=0)
    assert [one.id for one in feed.look().rows] == ["j2", "j1"]
    assert [(one.id, one.state) for one in feed.look().rows] == [("j3", State.COMPLETED), ("j1", State.FAILED)]


def test_a_ledger_that_began_anew_is_read_anew() -> None:
    source = Source(Changes(9, (row(1),)), Changes(2, reset=True), Changes(2, (row(7),)))
    feed = Feed(source, tick_s=0)
    feed.look()
    assert [one.id for one in feed.look().rows] == ["j7"]
    assert source.asked == [0, 9, 0]


def test_without_redis_the_last_data_stay_and_say_that_they_are_old() -> None:
    source = Source(Changes(1, (row(1),)), RedisAway("gone"), Changes(2, (row(2),)))
    feed = Feed(source, tick_s=0)
    feed.look()
    stale = feed.look()
    assert (stale.down, len(stale.rows)) == ("gone", 1)
    back = feed.look()
    assert (back.down, len(back.rows)) == ("", 2)


def test_without_redis_and_without_data_the_error_is_the_answer() -> None:
    with pytest.raises(RedisAway):
        Feed(Source(RedisAway("gone"))).look()


def test_nobody_waits_for_the_one_who_ticks() -> None:
    inside, leave = threading.Event(), threading.Event()

    def slow(since: int) -> Changes:
        if since:
            inside.set()
            assert leave.wait(10)
        return Changes(1, (row(1),))

    feed = Feed(slow, tick_s=0)
    first = feed.look()
    ticking = threading.Thread(target=feed.look)
    ticking.start()
    assert inside.wait(10)
    assert feed.look() is first
    leave.set()
    ticking.join(10)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), ["j3", "j2", "j1"]),
        (Filter(states=(State.FAILED, State.RUNNING)), ["j3", "j1"]),
        (Filter(collection="c2"), ["j2"]),
        (Filter(owner="ben"), ["j3"]),
        (Filter(text="ÜBER"), ["j2"]),
        (Filter(text="j1"), ["j1"]),
        (Filter(text="encrypted", states=(State.FAILED,)), ["j1"]),
        (Filter(text="encrypted", owner="ben"), []),
    ],
)
def test_a_filter_is_answered_from_memory(wanted: Filter, found: list[str]) -> None:
    rows = (
        row(1, State.FAILED, error="It is encrypted."),
        row(2, title="Etwas über Recht", collection="c2"),
        row(3, State.RUNNING, owner="ben"),
    )
    mirror = Feed(Source(Changes(1, rows))).look()
    assert [one.id for one in mirror.matching(wanted)] == found


@pytest.mark.parametrize(
    ("state", "workers", "moving"),
    [
        (State.RUNNING, 0, True),
        (State.CANCELING, 0, True),
        (State.RETRYING, 0, True),
        (State.QUEUED, 1, True),
        (State.QUEUED, 0, False),
        (State.COMPLETED, 4, False),
    ],
)
def test_the_board_moves_while_work_does_or_soon_will(state: State, workers: int, moving: bool) -> None:
    changes = Changes(1, (row(1, state),), figures=Figures(workers_alive=workers))
    assert Feed(Source(changes)).look().moving is moving


def test_html_is_built_once_for_all_who_ask_for_the_same() -> None:
    feed = Feed(Source())
    built: list[int] = []

    def build(number: int) -> str:
        built.append(number)
        return f"<p>{number}"

    assert [feed.shared(number % 2, lambda number=number: build(number)) for number in range(6)] == [  # type: ignore[misc]
        "<p>0",
        "<p>1",
    ] * 3
    assert built == [0, 1]
