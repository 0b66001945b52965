"""How much goes into and out of each queue a minute, from the differences between what this process read.

RQ counts nothing, so this is an estimate: what ended is what its registries of ended jobs grew by, at least what the
queue shrank by; what came is what went and what the queue grew by. Jobs whose result RQ was told not to keep are
seen only when they make the queue shorter.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tasks.ledger.foreign_rows import QueueRow

WINDOW_S = 60.0
LEAST_S = 5.0  # shorter than that nothing is said
GAP_S = 120.0  # nobody looked for so long: begin anew


@dataclass(frozen=True, slots=True)
class Flow:
    """Jobs a minute."""

    came: float
    went: float


@dataclass(frozen=True, slots=True)
class _Mark:
    at: float
    depth: int
    ended: int
    came: float  # since the first mark
    went: float


class QueueRates:
    """Fed with each overview of the queues. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._marks: dict[str, deque[_Mark]] = {}

    def note(self, rows: Iterable[QueueRow]) -> dict[str, Flow]:
        """Take an overview; the flow of each queue that was watched for long enough."""
        now = self._clock()
        with self._lock:
            found = {row.name: self._flow(row, now) for row in rows}
            for gone in self._marks.keys() - found.keys():
                del self._marks[gone]
        return {name: flow for name, flow in found.items() if flow is not None}

    def _flow(self, row: QueueRow, now: float) -> Flow | None:
        marks = self._marks.setdefault(row.name, deque())
        ended = row.finished + row.failed
        if marks and now - marks[-1].at > GAP_S:
            marks.clear()
        if not marks:
            marks.append(_Mark(now, row.depth, ended, 0.0, 0.0))
            return None
        last = marks[-1]
        grew = row.depth - last.depth
        # The registries shrink when RQ cleans up: that is nothing that happened to a job.
        went = max(0, ended - last.ended, -grew)
        marks.append(_Mark(now, row.depth, ended, last.came + max(0, went + grew), last.went + went))
        while len(marks) > 2 and now - marks[1].at >= WINDOW_S:
            marks.popleft()
        first, newest = marks[0], marks[-1]
        span = newest.at - first.at
        if span < LEAST_S:
            return None
        return Flow((newest.came - first.came) * 60 / span, (newest.went - first.went) * 60 / span)
