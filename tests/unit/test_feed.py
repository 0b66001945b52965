"""The feed: one tick for all, nobody waits for it, and the mirror is still there when Redis is not."""

from __future__ import annotations

import threading
from collections.abc import Container

import fakeredis
import pytest
from redis.exceptions import ConnectionError as RedisAway

from dashboard.feed import BEAT_S, TICK_S, Feed
from dashboard.memory.query import Query
from tasks.access import PROGRAM
from tasks.ledger import Ledger, control, keys
from tasks.ledger.changes import Reader
from tasks.ledger.news import Cursor, News, Walk
from tasks.ledger.states import State
from tasks.settings import Settings
from tests.factories import claimed, submitted
from tests.waiting import wait_until


class Noting(Reader):
    """A reader that notes what it was asked."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.asked: list[str] = []

    def start(self, cursor: Cursor, count: int) -> tuple[News, Walk | None]:
        self.asked.append("start")
        return super().start(cursor, count)

    def tick(self, cursor: Cursor, known: Container[str], count: int | None, *, beat: bool) -> News:
        self.asked.append("beat" if beat else "tick")
        return super().tick(cursor, known, count, beat=beat)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def titles(feed: Feed) -> list[str]:
    return [one.title for one in feed.look().page(Query()).rows]


def test_many_viewers_cost_one_tick(fake_ledger: Ledger) -> None:
    reader, clock = Noting(fake_ledger), Clock()
    feed = Feed(reader, clock=clock)
    assert {id(feed.look()) for _ in range(100)} == {id(feed.look())}
    assert reader.asked == ["start"]
    clock.now = TICK_S
    for _ in range(100):
        feed.look()
    assert reader.asked == ["start", "tick"]


def test_what_changes_rarely_is_asked_for_every_five_seconds_or_when_something_failed(fake_ledger: Ledger) -> None:
    job = submitted(fake_ledger)
    fake_ledger.redis.zadd(keys.WORKERS, {"w1": fake_ledger.now()})
    reader, clock = Noting(fake_ledger), Clock()
    feed = Feed(reader, clock=clock)
    feed.look()
    for _ in range(11):
        clock.now += TICK_S
        feed.look()
    assert reader.asked == ["start", *["tick"] * 9, "beat", "tick"]
    assert clock.now > BEAT_S
    claimed(fake_ledger, job)
    fake_ledger.redis.hset(keys.job(job), "documents_failed", 1)
    clock.now += TICK_S
    feed.look()
    clock.now += TICK_S
    feed.look()
    assert reader.asked[-2:] == ["tick", "beat"]


def test_a_worker_that_nobody_knows_is_asked_after_with_the_next_tick(fake_ledger: Ledger) -> None:
    job = submitted(fake_ledger)
    reader, clock = Noting(fake_ledger), Clock()
    feed = Feed(reader, clock=clock)
    assert feed.look().workers == frozenset()
    fake_ledger.redis.zadd(keys.WORKERS, {"w1": fake_ledger.now()})
    claimed(fake_ledger, job)
    for _ in range(3):
        clock.now += TICK_S
        feed.look()
    assert reader.asked == ["start", "tick", "beat", "tick"]
    assert feed.look().workers == {"w1"}


def test_who_acts_here_sees_it_with_the_next_look(fake_ledger: Ledger) -> None:
    clock = Clock()
    feed = Feed(Reader(fake_ledger), clock=clock)
    feed.look()
    fake_ledger.redis.hset(keys.PAUSED, "high", '{"by": "dora", "at": 1763640000, "why": "upgrade"}')
    assert feed.look().paused == {}
    feed.hurry()
    assert feed.look().paused["high"].by == "dora"


def test_what_ended_since_the_last_beat_is_counted(fake_ledger: Ledger) -> None:
    job = submitted(fake_ledger)
    claimed(fake_ledger, job)
    clock = Clock()
    feed = Feed(Reader(fake_ledger), clock=clock)
    assert feed.look().figures.done_today == 0
    revision = fake_ledger.redis.incr(keys.REVISION)
    fake_ledger.redis.hset(keys.job(job), mapping={"state": "completed", "revision": revision})
    fake_ledger.redis.zadd(keys.CHANGES, {job: revision})
    clock.now = TICK_S
    assert feed.look().figures.done_today == 1


def test_changes_are_mirrored_newest_first(fake_ledger: Ledger) -> None:
    feed = Feed(Reader(fake_ledger), tick_s=0)
    first = submitted(fake_ledger, title="one")
    submitted(fake_ledger, title="two")
    assert titles(feed) == ["two", "one"]
    control.cancel(fake_ledger, first, by="bo")
    submitted(fake_ledger, title="three")
    assert titles(feed) == ["three", "two", "one"]
    assert feed.look().page(Query()).rows[2].state is State.CANCELED
    control.delete(fake_ledger, first, by="bo")
    assert titles(feed) == ["three", "two"]


def test_without_redis_the_last_data_stay_and_say_that_they_are_old(settings: Settings) -> None:
    server = fakeredis.FakeServer()
    ledger = Ledger(fakeredis.FakeRedis(server=server), settings, PROGRAM)
    submitted(ledger, title="one")
    feed = Feed(Reader(ledger), tick_s=0)
    feed.look()
    server.connected = False
    stale = feed.look()
    assert stale.down
    assert titles(feed) == ["one"]
    server.connected = True
    submitted(ledger, title="two")
    assert titles(feed) == ["two", "one"]
    assert feed.look().down == ""
    assert feed.look().age_s < 10


def test_without_redis_and_without_data_the_error_is_the_answer(settings: Settings) -> None:
    server = fakeredis.FakeServer()
    server.connected = False
    with pytest.raises(RedisAway):
        Feed(Reader(Ledger(fakeredis.FakeRedis(server=server), settings, PROGRAM))).look()


def test_a_walk_that_redis_interrupts_goes_on_when_it_is_back(settings: Settings) -> None:
    server = fakeredis.FakeServer()
    ledger = Ledger(fakeredis.FakeRedis(server=server), settings, PROGRAM)
    for _ in range(20):
        submitted(ledger)
    feed = Feed(Reader(ledger), tick_s=0, first=5, portion=5, background=False)
    assert not feed.look().complete
    server.connected = False
    assert feed.look().down
    with pytest.raises(RedisAway):
        feed.advance()
    assert feed.mirror.loaded == 5
    server.connected = True
    feed.look()
    while not feed.mirror.complete:
        feed.advance()
    assert feed.mirror.loaded == 20


def test_nobody_waits_for_the_one_who_ticks(fake_ledger: Ledger) -> None:
    inside, leave = threading.Event(), threading.Event()

    class Slow(Reader):
        def tick(self, cursor: Cursor, known: Container[str], count: int | None, *, beat: bool) -> News:
            inside.set()
            assert leave.wait(10)
            return super().tick(cursor, known, count, beat=beat)

    feed = Feed(Slow(fake_ledger), tick_s=0)
    first = feed.look()
    ticking = threading.Thread(target=feed.look)
    ticking.start()
    assert inside.wait(10)
    assert feed.look() is first
    leave.set()
    ticking.join(10)
    wait_until(lambda: feed.mirror is not first, what="the tick's mirror")


@pytest.mark.parametrize(
    ("states", "workers", "moving"),
    [(["running"], 0, True), (["queued"], 1, True), (["queued"], 0, False), (["canceled"], 4, False)],
)
def test_the_board_moves_while_work_does_or_soon_will(
    fake_ledger: Ledger, states: list[str], workers: int, moving: bool
) -> None:
    job = submitted(fake_ledger)
    if "running" in states:
        claimed(fake_ledger, job)
    if "canceled" in states:
        control.cancel(fake_ledger, job, by="bo")
    for number in range(workers):
        fake_ledger.redis.zadd(keys.WORKERS, {f"w{number}": fake_ledger.now()})
    assert Feed(Reader(fake_ledger), tick_s=0).look().moving is moving


def test_html_is_built_once_for_all_who_ask_for_the_same(fake_ledger: Ledger) -> None:
    feed = Feed(Reader(fake_ledger))
    built: list[int] = []

    def build(number: int) -> str:
        built.append(number)
        return f"<p>{number}"

    assert [feed.shared(number % 2, lambda number=number: build(number)) for number in range(6)] == [  # type: ignore[misc]
        "<p>0",
        "<p>1",
    ] * 3
    assert built == [0, 1]
