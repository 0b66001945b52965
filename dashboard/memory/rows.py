"""Every job that the mirror holds, and which of them changed since: one writer, many readers, no I/O.

Holds at most `most` jobs, the newest. A selection that fell behind reads the log of changes, or starts again when
the log does not reach back to it.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable

from dashboard.memory.matching import NEWEST
from tasks.ledger import packed
from tasks.ledger.packed import Packed

LOGGED = 20_000


class Rows:
    """The jobs by id. `turn` counts changes; whoever has seen turn N asks for what came after it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.turn = 0
        self.by_id: dict[str, Packed] = {}
        self.states: Counter[str] = Counter()
        self.collections: Counter[str] = Counter()
        self.owners: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.moving: set[str] = set()  # ids of live jobs that do not wait in a queue
        self.lock = threading.Lock()
        self._log: deque[tuple[int, str]] = deque(maxlen=LOGGED)

    def __len__(self) -> int:
        return len(self.by_id)

    def put(self, news: Iterable[Packed], gone: Iterable[str] = (), touched: Iterable[str] = ()) -> None:
        """Take in new rows, drop those that are gone, and log those whose failures changed."""
        with self.lock:
            for row in news:
                job_id = row[packed.ID]
                before = self.by_id.get(job_id)
                if before == row:
                    continue
                if before is not None:
                    self._count(before, -1)
                self.by_id[job_id] = row
                self._count(row, 1)
                self._note(job_id)
            for job_id in gone:
                self._drop(job_id)
            for job_id in touched:
                if job_id in self.by_id:
                    self._note(job_id)
            if len(self.by_id) > self.most:
                self._shrink()

    def since(self, turn: int) -> tuple[int, list[str] | None]:
        """The turn now, and the ids that changed after `turn`; None when the log does not reach back that far."""
        with self.lock:
            if turn == self.turn:
                return turn, []
            if not self._log or self._log[0][0] > turn + 1:
                return self.turn, None
            changed: dict[str, None] = {}
            for at, job_id in reversed(self._log):
                if at <= turn:
                    break
                changed[job_id] = None
            return self.turn, list(changed)

    def all(self) -> tuple[int, list[Packed]]:
        """The turn now and every row."""
        with self.lock:
            return self.turn, list(self.by_id.values())

    def moving_ids(self) -> list[str]:
        with self.lock:
            return list(self.moving)

    def named(self, which: Counter[str]) -> list[str]:
        """The values of one of our counters that some job has, in order."""
        with self.lock:
            return sorted(value for value, count in which.items() if value and count > 0)

    def _note(self, job_id: str) -> None:
        self.turn += 1
        self._log.append((self.turn, job_id))

    def _drop(self, job_id: str) -> None:
        row = self.by_id.pop(job_id, None)
        if row is not None:
            self._count(row, -1)
            self._note(job_id)

    def _shrink(self) -> None:
        """Forget the oldest. A few more than needed, so that this is not done for each new job."""
        spare = len(self.by_id) - self.most + self.most // 100
        oldest = sorted(self.by_id.values(), key=lambda row: NEWEST.key(row, 0.0))[:spare]
        for row in oldest:
            self._drop(row[packed.ID])

    def _count(self, row: Packed, by: int) -> None:
        job_id, state = row[packed.ID], row[packed.STATE]
        self.states[state] += by
        for counter, at in (
            (self.collections, packed.COLLECTION),
            (self.owners, packed.OWNER),
            (self.kinds, packed.KIND),
        ):
            value = row[at]
            counter[value] += by
            if counter[value] <= 0:
                del counter[value]
        if by > 0 and state in packed.MOVING_STATES:
            self.moving.add(job_id)
        elif by < 0:
            self.moving.discard(job_id)
