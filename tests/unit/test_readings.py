"""One reading for all viewers, and the last one while Redis is away."""

from __future__ import annotations

import threading

import pytest
import redis

from dashboard.memory.readings import KEPT, Readings


class Source:
    def __init__(self) -> None:
        self.reads = 0
        self.away = False

    def __call__(self) -> int:
        if self.away:
            raise redis.ConnectionError
        self.reads += 1
        return self.reads


def test_viewers_within_a_tick_share_one_reading() -> None:
    readings, source = Readings(tick_s=60), Source()
    assert [readings.look("key", source).value for _ in range(100)] == [1] * 100
    assert readings.look("another", source).value == 2


def test_who_has_just_acted_reads_anew() -> None:
    readings, source = Readings(tick_s=60), Source()
    readings.look("key", source)
    assert readings.look("key", source, fresh=True).value == 2


def test_while_redis_is_away_the_last_answer_stays_and_says_so() -> None:
    readings, source = Readings(tick_s=0), Source()
    first = readings.look("key", source)
    source.away = True
    later = readings.look("key", source)
    assert (later.value, later.down, later.read_at) == (1, True, first.read_at)
    source.away = False
    assert not readings.look("key", source).down


def test_without_any_answer_the_error_is_the_callers() -> None:
    source = Source()
    source.away = True
    with pytest.raises(redis.ConnectionError):
        Readings().look("key", source)


def test_nobody_waits_for_a_slow_reading_with_an_older_one_at_hand() -> None:
    readings, source = Readings(tick_s=0), Source()
    readings.look("key", source)
    reading, release = threading.Event(), threading.Event()

    def slow() -> int:
        reading.set()
        release.wait(10)
        return 99

    thread = threading.Thread(target=readings.look, args=("key", slow))
    thread.start()
    assert reading.wait(10)
    assert readings.look("key", source).value == 1
    release.set()
    thread.join(10)


def test_what_is_kept_is_bounded() -> None:
    readings = Readings()
    for at in range(3 * KEPT):
        readings.look(at, Source())
        readings.drawn(at, lambda at=at: str(at))  # type: ignore[misc]
    assert len(readings._slots) == len(readings._pages) == KEPT
