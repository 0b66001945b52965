"""What pages beside the board read from the ledger, read once for all viewers of this process who look at the same.

Each kind of reading has a key; it is read again when somebody looks and it is older than a tick. While Redis
is away the last answer stays, marked `down`. It never writes.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, cast

from redis.exceptions import RedisError

from dashboard.memory.queue_rates import QueueRates
from tasks.errors import RedisUnreachable

KEPT = 64
TICK_S = 0.9  # below a page's pace, so that each tick of a page alone sees news

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """A reading. `read_at` is monotonic seconds of the answer; `down` while Redis does not give a newer one."""

    value: T
    read_at: float
    tried_at: float
    down: bool = False

    @property
    def age_s(self) -> float:
        return max(0.0, time.monotonic() - self.read_at)


@dataclass
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: Seen[Any] | None = None


class Readings:
    """The last readings of this process, by key. Thread-safe."""

    def __init__(self, *, tick_s: float = TICK_S) -> None:
        self.rates = QueueRates()
        self._tick_s = tick_s
        self._lock = threading.Lock()
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()
        self._pages: OrderedDict[Hashable, str] = OrderedDict()

    def look(self, key: Hashable, read: Callable[[], T], *, fresh: bool = False) -> Seen[T]:
        """The reading of that key, at most a tick old; `fresh` for who has just acted and must see the effect.

        Raises what `read` raises; a Redis error only when there never was an answer.
        """
        slot = self._slot(key)
        seen = cast("Seen[T] | None", slot.seen)
        if seen is not None and not fresh and time.monotonic() - seen.tried_at < self._tick_s:
            return seen
        # With an answer at hand nobody waits for the one that reads; the first look, and a fresh one, do.
        if not slot.lock.acquire(blocking=seen is None or fresh):
            assert seen is not None
            return seen
        try:
            seen = cast("Seen[T] | None", slot.seen)
            if seen is None or fresh or time.monotonic() - seen.tried_at >= self._tick_s:
                slot.seen = seen = self._read(seen, read)
            return seen
        finally:
            slot.lock.release()

    def drawn(self, key: Hashable, build: Callable[[], str]) -> str:
        """The HTML for a key, built once for all viewers who ask for the same; the oldest is forgotten first."""
        with self._lock:
            found = self._pages.get(key)
        if found is None:
            # Two viewers may build the same page at once; both results are equal.
            found = build()
            with self._lock:
                self._pages[key] = found
                while len(self._pages) > KEPT:
                    self._pages.popitem(last=False)
        return found

    def _slot(self, key: Hashable) -> _Slot:
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            while len(self._slots) > KEPT:
                self._slots.popitem(last=False)
            return slot

    @staticmethod
    def _read(last: Seen[T] | None, read: Callable[[], T]) -> Seen[T]:
        try:
            value = read()
        except (RedisError, RedisUnreachable):
            if last is None:
                raise
            return replace(last, tried_at=time.monotonic(), down=True)
        now = time.monotonic()
        return Seen(value, now, now)
