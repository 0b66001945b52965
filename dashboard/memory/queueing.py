"""Why a queued row does not run yet, in a few words and from memory alone; its job's page says it in full."""

from __future__ import annotations

from dashboard import format
from dashboard.memory.matching import Sort
from dashboard.memory.mirror import Mirror
from dashboard.memory.query import Query, Term
from tasks.ledger.records import JobRow
from tasks.ledger.states import State
from tasks.settings import QUEUES

OLDEST = Sort("created", False)
LOOKED_AT = 200  # places in line that are counted out: a bounded cost, however many wait


class Line:
    """The jobs that wait, as one look at the mirror shows them. The line of a queue is read when first asked for."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._lines: dict[str, tuple[dict[str, int], int]] = {}

    def short(self, row: JobRow) -> str:
        """Why this row waits; '' when it does not."""
        if row.state is not State.QUEUED:
            return ""
        paused = self._mirror.paused.get(row.priority or "default")
        if paused is not None:
            return f"its queue is paused by {paused.by or 'someone'}"
        if not self._mirror.workers:
            return "no worker is alive"
        return self._place(row)

    def _place(self, row: JobRow) -> str:
        priority = row.priority if row.priority in QUEUES else "default"
        urgent = (one for one in QUEUES[: QUEUES.index(priority)] if one not in self._mirror.paused)
        before = sum(self._line(one)[1] for one in urgent)
        places, waiting = self._line(priority)
        place = places.get(row.id)
        if place is None:
            return f"more than {format.number(before + min(waiting, LOOKED_AT))} jobs ahead of it"
        ahead = before + place
        return f"{format.counted(ahead, 'job')} ahead of it" if ahead else "next in line"

    def _line(self, priority: str) -> tuple[dict[str, int], int]:
        """The places of the first jobs of a queue, and how many wait in it."""
        found = self._lines.get(priority)
        if found is None:
            query = Query((Term("state", State.QUEUED.value), Term("priority", priority)))
            page = self._mirror.page(query, OLDEST, 1, LOOKED_AT)
            found = self._lines[priority] = {one.id: place for place, one in enumerate(page.rows)}, page.total
        return found
