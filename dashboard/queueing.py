"""Why a queued row does not run yet, in a few words and from memory alone; its job's page says it in full."""

from __future__ import annotations

from dashboard import format
from dashboard.matching import Sort
from dashboard.mirror import Mirror
from dashboard.query import Query, Term
from tasks.ledger.records import JobRow
from tasks.ledger.states import State

OLDEST = Sort("created", False)
LOOKED_AT = 200  # places in line that are counted out: a bounded cost, however many wait


class Line:
    """The jobs that wait, as one look at the mirror shows them. The line of a queue is read when first asked for."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._places: dict[str, dict[str, int]] = {}

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
        priority = row.priority or "default"
        places = self._places.get(priority)
        if places is None:
            query = Query((Term("state", State.QUEUED.value), Term("priority", priority)))
            waiting = self._mirror.page(query, OLDEST, 1, LOOKED_AT).rows
            places = self._places[priority] = {one.id: place for place, one in enumerate(waiting)}
        ahead = places.get(row.id)
        if ahead is None:
            return f"more than {format.number(LOOKED_AT)} jobs ahead of it"
        return f"{format.counted(ahead, 'job')} ahead of it" if ahead else "next in line"
