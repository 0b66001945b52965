"""Moves the one mirror of this process on: whoever looks first after half a second makes the tick for all.

A tick asks the ledger for what changed since the last one, in two round trips at most. A start shows the newest
jobs at once; a thread reads the others behind it, in portions, and so it does when more changed than a tick may
read. When the ledger began anew, or lost count of what was removed, the mirror begins anew. When Redis is away the
last data stay, marked `down`. It never writes and knows no HTML.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace

from redis.exceptions import RedisError

from dashboard.memory.mirror import BOARD_JOBS, PAGE_SIZE, TICK_S, Memory, Mirror
from tasks.errors import RedisUnreachable
from tasks.ledger import packed
from tasks.ledger.changes import Reader
from tasks.ledger.news import Beat, Cursor, News, Portion, Walk
from tasks.ledger.packed import Packed
from tasks.ledger.states import State

__all__ = ["PAGE_SIZE", "TICK_S", "Feed", "Mirror"]

BEAT_S = 5.0  # from one look at workers, pauses, usual times and failures to the next, unless something happened
FIRST = 1_000  # jobs that a start shows at once
PORTION = 1_000  # jobs that are read behind them at a time
BREATH_S = 0.01  # between two portions, for whoever looks meanwhile
KEPT_PAGES = 256
PATIENCE = 3  # ticks in a row that the number of jobs may differ from what is in memory
AWAY = (RedisError, RedisUnreachable)
_DONE = (State.COMPLETED.value, State.PARTIAL.value)
_MOVING = (State.RUNNING.value, State.RETRYING.value, State.CANCELING.value)


class Feed:
    """Holds the mirror and moves it on."""

    def __init__(
        self,
        reader: Reader,
        *,
        tick_s: float = TICK_S,
        most: int = BOARD_JOBS,
        grace_s: float = 10.0,
        stalled_s: float = 600.0,
        first: int = FIRST,
        portion: int = PORTION,
        background: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._tick_s = tick_s
        self._most = most
        self._first, self._portion, self._background = min(first, most), portion, background
        self._clock = clock
        self._lock = threading.Lock()
        self._tried_at = float("-inf")
        self._beat_at = float("-inf")
        self._cursor = Cursor()
        self._walks: list[Walk] = []
        self._beat: Beat | None = None
        self._ended = (0, 0)  # done and failed since then
        self._filler: threading.Thread | None = None
        self._odd = 0  # ticks in a row with another number of jobs than expected
        self._lost = 0  # jobs that the ledger counts and has no record of
        self._suspected = 0  # the difference for which the mirror began anew last
        self._mirror: Mirror | None = None
        self._blank = Mirror(grace_s=grace_s, stalled_s=stalled_s, most=most, memory=Memory(most))
        self._pages_lock = threading.Lock()
        self._pages: OrderedDict[object, str] = OrderedDict()

    def look(self) -> Mirror:
        """The board now, at most half a second old while Redis answers.

        Raises RedisError or RedisUnreachable only when there never was an answer to fall back on.
        """
        mirror = self._mirror
        if mirror is not None and not self._due():
            return mirror
        # With data at hand nobody waits for the one that ticks; the very first look has to.
        if not self._lock.acquire(blocking=mirror is None):
            assert mirror is not None
            return mirror
        try:
            if self._mirror is None or self._due():
                self._tick()
            assert self._mirror is not None
            return self._mirror
        finally:
            self._lock.release()

    @property
    def mirror(self) -> Mirror:
        """The board as it was at the last tick, without one."""
        return self._mirror or self._blank

    def _due(self) -> bool:
        return self._clock() - self._tried_at >= self._tick_s

    def _tick(self) -> None:
        try:
            if self._mirror is None:
                self._start()
            else:
                self._move_on(self._mirror)
        except AWAY as error:
            if self._mirror is None:
                raise
            self._mirror = replace(self._mirror, down=str(error) or type(error).__name__)
        finally:
            self._tried_at = self._clock()
        if self._walks and self._background and (self._filler is None or not self._filler.is_alive()):
            self._filler = threading.Thread(target=self._fill, name="mirror", daemon=True)
            self._filler.start()

    def _start(self) -> None:
        """Begin from nothing: the newest jobs now, the others behind them."""
        news, walk = self._reader.start(Cursor(), self._first)
        memory = Memory(self._most)
        self._cursor = Cursor(news.revision, news.revision)
        self._walks = [walk] if walk else []
        self._odd = self._lost = 0
        self._take(news, memory)
        self._publish(news, memory)

    def _move_on(self, last: Mirror) -> None:
        beat = last.down != "" or self._clock() - self._beat_at >= min(BEAT_S, 10 * self._tick_s)
        held = last.memory.rows.by_id
        count = None if self._walks or last.total > self._most else len(held) + self._lost
        news = self._reader.tick(self._cursor, held, count, beat=beat)
        if self._is_another(news, held):
            self._start()
            return
        self._take(news, last.memory)
        if not news.joined:
            self._walks.insert(0, Walk("changes", news.low, self._cursor.changes))
        removed = max(news.removed.values(), default=self._cursor.removed)
        self._cursor = replace(self._cursor, changes=news.revision, removed=removed)
        if self._adds_up(news, len(last.memory.rows)):
            self._publish(news, last.memory)
        else:
            self._start()

    def _is_another(self, news: News, held: Mapping[str, Packed]) -> bool:
        """Whether this is not the ledger that we know, or no more than a part of what was removed could be told."""
        restarted = news.beat is not None and self._beat is not None and news.beat.run != self._beat.run
        if news.revision < self._cursor.changes or news.trimmed or restarted:
            return True
        if self._walks or len(held) > self._most * 9 // 10:
            return False
        return any((row := held.get(one)) is None or row[packed.REVISION] != at for one, at in news.older.items())

    def _take(self, news: News, memory: Memory) -> None:
        held = memory.rows.by_id
        memory.failing.changed(news.rows, held)
        eventful = self._count_ended(news, held)
        touched: set[str] = set()
        if news.beat is not None:
            touched = memory.failing.take(news.beat.failures)
            self._cursor = replace(self._cursor, failures=news.beat.last_failure or self._cursor.failures)
            self._beat, self._ended = news.beat, (0, 0)
            self._beat_at = self._clock()
        if (eventful and news.beat is None) or (news.beat is not None and news.beat.more):
            self._beat_at = float("-inf")  # there is more to read: with the next tick
        memory.failing.forget(news.removed)
        memory.rows.put(news.rows, news.removed, touched)

    def _count_ended(self, news: News, held: Mapping[str, Packed]) -> bool:
        """Count what ended since the last beat; whether anything failed, or has a worker that we do not know."""
        done, failures, anything = *self._ended, False
        known = self._reader.alive(self._beat) if self._beat else frozenset[str]()
        for row in news.rows:
            before = held.get(row[packed.ID])
            if before is None:
                continue
            stranger = row[packed.WORKER] and row[packed.WORKER] not in known
            anything = anything or stranger or row[packed.FAILED] > before[packed.FAILED]
            if row[packed.STATE] != before[packed.STATE] and before[packed.STATE] in packed.LIVE_STATES:
                done += row[packed.STATE] in _DONE
                failures += row[packed.STATE] == State.FAILED.value
                anything = anything or row[packed.STATE] == State.FAILED.value
        self._ended = done, failures
        return bool(anything)

    def hurry(self) -> None:
        """Somebody here paused, acknowledged or the like: the next tick looks at everything."""
        self._beat_at = self._tried_at = float("-inf")

    def _adds_up(self, news: News, loaded: int) -> bool:
        """Whether as many jobs are in memory as there are; a tick in which some come and go may be off by them."""
        if self._walks or news.total > self._most:
            return True
        gap = news.total - loaded
        self._odd = self._odd + 1 if gap != self._lost else 0
        if self._odd < PATIENCE:
            return True
        self._odd = 0
        if gap != self._suspected:
            self._suspected = gap
            return False
        # The last start found it so as well: records that are damaged are counted for ever.
        self._lost = gap
        return True

    def _publish(self, news: News, memory: Memory) -> None:
        beat = self._beat
        assert beat is not None
        alive = self._reader.alive(beat)
        states = memory.rows.states
        self._mirror = replace(
            self._blank,
            revision=news.revision,
            total=max(news.total, len(memory.rows)),
            loaded=len(memory.rows),
            complete=not self._walks,
            figures=self._reader.figures(news.counts, beat, self._ended),
            workers=alive,
            paused=beat.paused,
            usual=beat.usual,
            acknowledged=beat.acknowledged,
            moving=any(states[state] > 0 for state in _MOVING) or (bool(alive) and states[State.QUEUED.value] > 0),
            read_at=time.monotonic(),
            offset_s=self._reader.now() - time.time(),
            memory=memory,
        )

    def _fill(self) -> None:
        """Read what is behind the newest jobs, portion by portion, ticking when it is time."""
        while True:
            with self._lock:
                try:
                    self._fill_once()
                except AWAY:
                    return  # the next tick that succeeds begins again where this ended
                if not self._walks:
                    return
                if self._due():
                    self._tick()
            time.sleep(BREATH_S)

    def advance(self) -> None:
        """Read one more portion of what is behind the newest jobs. Raises RedisError."""
        with self._lock:
            self._fill_once()

    def _fill_once(self) -> None:
        mirror = self._mirror
        if mirror is None or not self._walks:
            return
        walk, memory = self._walks[0], mirror.memory
        portion: Portion = self._reader.portion(walk, self._portion)
        memory.failing.changed(portion.rows, memory.rows.by_id)
        memory.rows.put(portion.rows)
        full = walk.index == "jobs" and len(memory.rows) >= self._most
        self._walks[:1] = [portion.rest] if portion.rest is not None and not full else []
        self._mirror = replace(
            mirror,
            loaded=len(memory.rows),
            total=max(mirror.total, len(memory.rows)),
            complete=not self._walks,
        )

    def shared(self, key: object, build: Callable[[], str]) -> str:
        """The HTML for a key, built once for all viewers who ask for the same; the oldest is forgotten first."""
        with self._pages_lock:
            found = self._pages.get(key)
            if found is not None:
                self._pages.move_to_end(key)
                return found
        # Two viewers may build the same page at once; both results are equal.
        built = build()
        with self._pages_lock:
            self._pages[key] = built
            while len(self._pages) > KEPT_PAGES:
                self._pages.popitem(last=False)
        return built
