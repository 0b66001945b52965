"""The jobs that one query means, in one order, kept up with the rows: a change moves one job, not all of them.

It is brought up to date by whoever looks at it, so that a selection that nobody looks at costs nothing.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from itertools import islice
from math import inf
from typing import Any

from sortedcontainers import SortedList

from dashboard.memory.matching import Matcher, Sort
from dashboard.memory.rows import Rows
from tasks.ledger import packed
from tasks.ledger.packed import Packed

Key = tuple[Any, ...]  # as Sort.key makes it: its last two are the id and the state


class Selection:
    """What matches, in order."""

    def __init__(self, rows: Rows, matcher: Matcher, sort: Sort) -> None:
        self.lock = threading.RLock()
        self.memo: dict[Any, Any] = {}  # what was made of it; emptied whenever it changes
        self._rows = rows
        self._matches = matcher
        self._sort = sort
        self._turn = -1
        self._keys: dict[str, Key] = {}
        self._order: SortedList = SortedList()
        self._states: Counter[str] = Counter()
        self._due: list[tuple[float, str]] = []  # when the answer for a job changes by itself, soonest first
        self._timed: set[str] = set()  # the ids in there

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def states(self) -> Counter[str]:
        return self._states

    def catch_up(self, now: float) -> None:
        """Take in what changed since the last look. Hold the lock."""
        turn, changed = self._rows.since(self._turn) if self._turn >= 0 else (0, None)
        if changed is None or len(changed) > max(2_000, len(self._keys) // 4):
            self._build(now)
            return
        waiting = dict.fromkeys(changed)
        while self._due and self._due[0][0] <= now:
            job_id = heapq.heappop(self._due)[1]
            self._timed.discard(job_id)
            waiting[job_id] = None
        if self._sort.moves or self._matches.moves:
            waiting.update(dict.fromkeys(self._rows.moving_ids()))
        news = [job_id for job_id in waiting if self._place(job_id, now)]
        self._turn = turn
        # A row that changed without changing its place is shown anew all the same.
        if news or any(job_id in self._keys for job_id in changed):
            self.memo.clear()

    def ids(self, first: int, count: int | None = None) -> list[str]:
        """Ids in order, `count` of them from `first` on (0 is the first)."""
        total = len(self._order)
        if not self._sort.descending:
            found = self._order.islice(first, None if count is None else first + count)
        elif count is None:
            found = islice(reversed(self._order), first, None)
        else:
            found = self._order.islice(max(0, total - first - count), max(0, total - first), reverse=True)
        return [key[-2] for key in found]

    def rows(self, first: int, count: int) -> list[Packed]:
        """Rows in order; one that went away this very moment is left out."""
        by_id = self._rows.by_id
        return [row for job_id in self.ids(first, count) if (row := by_id.get(job_id)) is not None]

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._keys

    def _build(self, now: float) -> None:
        """Ask every row."""
        turn, rows = self._rows.all()
        matches, key = self._matches, self._sort.key
        chosen = rows if matches.everything else [row for row in rows if matches(row, now)]
        self._keys = {row[packed.ID]: key(row, now) for row in chosen}
        self._order = SortedList(self._keys.values())
        self._states = Counter(row[packed.STATE] for row in chosen)
        self._due = [(at, row[packed.ID]) for row in rows if (at := matches.changes_at(row, now)) < inf]
        self._timed = {job_id for _, job_id in self._due}
        heapq.heapify(self._due)
        self._turn = turn
        self.memo.clear()

    def _place(self, job_id: str, now: float) -> bool:
        """Put one job where it belongs now; whether that moved it."""
        row = self._rows.by_id.get(job_id)
        before = self._keys.get(job_id)
        after = self._sort.key(row, now) if row is not None and self._matches(row, now) else None
        if row is not None and job_id not in self._timed and (at := self._matches.changes_at(row, now)) < inf:
            heapq.heappush(self._due, (at, job_id))
            self._timed.add(job_id)
        if before == after:
            return False
        if before is not None:
            self._order.remove(before)
            self._states[before[-1]] -= 1
            del self._keys[job_id]
        if after is not None:
            self._order.add(after)
            self._states[after[-1]] += 1
            self._keys[job_id] = after
        return True
