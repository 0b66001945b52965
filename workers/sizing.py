"""How many workers a pool shall have: as started, as asked for its host while it runs, or by what waits.

What is asked for a host is shared by the pools of that host, in the order of their names: the first ones take what
does not divide.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.ledger import Ledger, fleet, keys, queues
from tasks.ledger.records import whole

GROW_EVERY_S = 1.0
MOST = 512


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for a host. `low` < `high`: any number between them, by what waits."""

    size: int
    low: int
    high: int

    @property
    def moves(self) -> bool:
        return self.low < self.high


def share(total: int, pools: Sequence[str], name: str) -> int:
    """This pool's part of a number asked for its host."""
    ordered = sorted({*pools, name})
    each, rest = divmod(max(0, min(total, MOST)), len(ordered))
    return each + (1 if ordered.index(name) < rest else 0)


def wanted(ledger: Ledger, host: str) -> Wanted | None:
    """What was asked for a host; None when nobody asked."""
    found = ledger.redis.hgetall(keys.wanted(host))
    if not found:
        return None
    size, low, high = (max(0, min(whole(found.get(field)), MOST)) for field in (b"size", b"low", b"high"))
    return Wanted(size, low, high)


class Sizing:
    """The number that one pool aims at. Asks Redis each time that it is asked itself."""

    def __init__(self, ledger: Ledger, name: str, size: int) -> None:
        self._ledger = ledger
        self._name = name
        self._host = fleet.host_of(name)
        self._started_with = size
        self._grow_at = 0.0
        self._busy_at = time.monotonic()
        self.size = self.low = self.high = size

    def ask(self) -> None:
        """Learn what is wanted now. Raises redis.RedisError; the size then stays."""
        asked = wanted(self._ledger, self._host)
        if asked is None:
            self.size = self.low = self.high = self._started_with
            return
        beside = [name for name in fleet.pool_names(self._ledger) if fleet.host_of(name) == self._host]
        if not asked.moves:
            self.size = self.low = self.high = share(asked.size, beside, self._name)
            return
        self.low, self.high = (share(bound, beside, self._name) for bound in (asked.low, asked.high))
        self.move(queues.oldest_wait_s(self._ledger), time.monotonic())

    def move(self, oldest_wait_s: float | None, now: float) -> None:
        """One step between the bounds: up while something waits for long, down when nothing has waited for long."""
        settings = self._ledger.settings
        if oldest_wait_s is not None:
            self._busy_at = now
            if oldest_wait_s > settings.autoscale_grow_s and now >= self._grow_at:
                self._grow_at = now + GROW_EVERY_S
                self.size += 1
        elif now - self._busy_at >= settings.autoscale_idle_s:
            self._busy_at = now
            self.size -= 1
        self.size = max(self.low, min(self.size, self.high))
