"""The board at one moment, as every viewer of this process sees it: pages, counts, failures and concerns from memory.

A Mirror is immutable; the jobs behind it are shared by all of them and move on with each tick. What was made of
them is kept until they change, so that a page costs once what many viewers look at.

Room: about 750 bytes a job, and 130 bytes for each job in each order that somebody looks at, a million of those at
most. 100,000 jobs are about 90 MB; the setting `board_jobs` bounds them. The failures that stand are 25,000 at most,
of about 750 bytes each with the texts that are searched.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from dashboard.memory.failing import Failing
from dashboard.memory.matching import NEWEST, Matcher, Sort
from dashboard.memory.query import Query, Term, word_of
from dashboard.memory.rows import Rows
from dashboard.memory.selection import Selection
from tasks.access import Person, hides
from tasks.ledger import marks, packed
from tasks.ledger.failures import SLOT_S, Acknowledged, FailureGroup
from tasks.ledger.marks import Mark
from tasks.ledger.records import Figures, JobRow, Paused
from tasks.ledger.states import State

PAGE_SIZE = 50
TICK_S = 0.5  # the ledger is looked at so often, by whoever looks first
BOARD_JOBS = 200_000
PLACES = 1_000_000  # jobs in all selections together, 130 bytes each
SELECTIONS = 200


@dataclass(frozen=True, slots=True)
class Page:
    """One page of what matches. `first` is the place of its first row, from 1; 0 when there is none."""

    rows: tuple[JobRow, ...]
    total: int
    first: int
    number: int
    last: int  # number of the last page


@dataclass(frozen=True, slots=True)
class Concern:
    """A live job that needs somebody's eye, and why."""

    row: JobRow
    mark: Mark


class Memory:
    """The jobs, their failures, and the selections that somebody looked at lately."""

    def __init__(self, most: int = BOARD_JOBS) -> None:
        self.rows = Rows(most)
        self.failing = Failing()
        self.memo: dict[object, tuple[object, object]] = {}
        self._selections: OrderedDict[tuple[Query, Sort], Selection] = OrderedDict()
        self._lock = threading.Lock()

    def selection(self, query: Query, sort: Sort) -> Selection:
        """The selection for a query in an order; those that were not looked at for longest make room."""
        with self._lock:
            found = self._selections.get((query, sort))
            if found is None:
                matcher = Matcher(query, self.failing.names, self.failing.errors)
                found = self._selections[query, sort] = Selection(self.rows, matcher, sort)
            self._selections.move_to_end((query, sort))
            places = sum(map(len, self._selections.values()))
            while len(self._selections) > SELECTIONS or (places > PLACES and len(self._selections) > 1):
                _, dropped = self._selections.popitem(last=False)
                places -= len(dropped)
            return found


@dataclass(frozen=True, slots=True)
class Mirror:
    """What the ledger said last. `read_at` is monotonic seconds of its last good answer."""

    revision: int = 0
    total: int = 0  # jobs that there are
    loaded: int = 0  # of them in memory: the newest
    complete: bool = True  # False while older jobs are still being read
    most: int = BOARD_JOBS  # jobs kept in memory at most
    figures: Figures = field(default_factory=Figures)
    workers: frozenset[str] = frozenset()  # names of those alive
    paused: Mapping[str, Paused] = field(default_factory=dict)  # our queue -> by whom and since when
    usual: Mapping[str, float] = field(default_factory=dict)  # collection -> seconds that 95 % of its runs stay under
    acknowledged: Mapping[str, Acknowledged] = field(default_factory=dict)
    moving: bool = False  # work goes on, or waits with a worker there to take it
    read_at: float = 0.0
    offset_s: float = 0.0  # the server's clock less ours
    down: str = ""  # why the ledger does not answer, "" while it does
    grace_s: float = 10.0  # a stop takes that long before it is forced
    stalled_s: float = 600.0  # without progress for that long a job counts as stalled
    hidden: tuple[str, ...] = ()  # patterns of the collections that are not shown to who looks: their sight
    memory: Memory = field(default_factory=Memory, repr=False)

    def seen_by(self, person: Person) -> Mirror:
        """The board as this person may see it: without the jobs of collections that are hidden from them."""
        if not person.limited:
            return self
        # Made once for all who see as much, and anew with each tick.
        key = ("seen by", person.sight)
        found = self.memory.memo.get(key)
        if found is None or found[0] is not self:
            found = self.memory.memo[key] = (self, self._without(person))
        assert isinstance(found[1], Mirror)
        return found[1]

    def _without(self, person: Person) -> Mirror:
        """The same without what this person does not see."""
        # Whether a cause is known is for everybody who meets it; what was noted may name what is for others.
        known = {
            key: said if person.reads(said.note) else replace(said, note="") for key, said in self.acknowledged.items()
        }
        theirs = replace(self, hidden=person.sight, acknowledged=known)
        counts = theirs.counts(Query())
        shown = sum(counts.values())
        live = [row for row in map(self.get, theirs.ids(Query((Term("state", State.QUEUED.value),)))) if row]
        oldest = min((row.created_at.timestamp() for row in live if row.created_at), default=None)
        figures = replace(
            self.figures,
            queued=counts[State.QUEUED],
            running=counts[State.RUNNING] + counts[State.RETRYING] + counts[State.CANCELING],
            oldest_wait_s=None if oldest is None else max(0.0, self.now() - oldest),
            **theirs.ended_today(),
        )
        return replace(theirs, figures=figures, total=shown, loaded=shown)

    def ended_today(self) -> dict[str, int]:
        """Jobs that ended since midnight UTC among those that are shown, by figure."""
        midnight = self.now() // 86_400 * 86_400
        done = failed = 0
        for job_id in self.ids(Query((Term("newer", "60d"),))):
            row = self.memory.rows.by_id.get(job_id)
            if row is not None and row[packed.ENDED] >= midnight:
                done += row[packed.STATE] in (State.COMPLETED.value, State.PARTIAL.value)
                failed += row[packed.STATE] == State.FAILED.value
        return {"done_today": done, "failed_today": failed}

    @property
    def age_s(self) -> float:
        """Seconds since the ledger last answered."""
        return max(0.0, time.monotonic() - self.read_at)

    @property
    def capped(self) -> bool:
        """Whether there are more jobs than are kept in memory: then only the newest can be searched."""
        return self.complete and self.total > self.loaded and self.loaded >= self.most * 9 // 10

    def now(self) -> float:
        """The ledger's clock, epoch seconds."""
        return time.time() + self.offset_s

    def page(self, query: Query, sort: Sort = NEWEST, number: int = 1, size: int = PAGE_SIZE) -> Page:
        """A page of what matches; a number past the end gives the last page."""
        query = self._asked(query)
        if query.values("mark") or query.values("mark", negated=True):
            ids = self.ids(query, sort)
            number, last = _held(number, len(ids), size)
            rows = [row for job_id in ids[(number - 1) * size : number * size] if (row := self.get(job_id))]
            return Page(tuple(rows), len(ids), min(len(ids), (number - 1) * size + 1), number, last)
        selection = self.memory.selection(query, sort)
        with selection.lock:
            selection.catch_up(self.now())
            found = selection.memo.get((number, size))
            if found is None:
                total = len(selection)
                held, last = _held(number, total, size)
                shown = selection.rows((held - 1) * size, size)
                rows = [packed.unpack(row) for row in shown]
                found = Page(tuple(rows), total, min(total, (held - 1) * size + 1), held, last)
                selection.memo[number, size] = found
            assert isinstance(found, Page)
            return found

    def ids(self, query: Query, sort: Sort = NEWEST) -> tuple[str, ...]:
        """Everything that matches, in order: what a bulk action acts on."""
        plain, wanted, unwanted = _marks(self._asked(query))
        marked = self._marked() if wanted or unwanted else {}
        selection = self.memory.selection(plain, sort)
        with selection.lock:
            selection.catch_up(self.now())
            found = selection.memo.get("ids")
            if found is None:
                found = selection.memo["ids"] = tuple(selection.ids(0))
        return (
            tuple(
                job_id
                for job_id in found
                if (not wanted or marked.get(job_id) in wanted) and (not unwanted or marked.get(job_id) not in unwanted)
            )
            if marked or wanted
            else found
        )

    def counts(self, query: Query) -> dict[State, int]:
        """How many of what matches are in each state."""
        query = self._asked(query)
        if query.values("mark") or query.values("mark", negated=True):
            counted = dict.fromkeys(State, 0)
            for job_id in self.ids(query):
                row = self.memory.rows.by_id.get(job_id)
                if row is not None:
                    counted[State(row[packed.STATE])] += 1
            return counted
        selection = self.memory.selection(query, NEWEST)
        with selection.lock:
            selection.catch_up(self.now())
            return {state: selection.states.get(state.value, 0) for state in State}

    def get(self, job_id: str) -> JobRow | None:
        """One job, if it is in memory."""
        row = self.memory.rows.by_id.get(job_id)
        return packed.unpack(row) if row is not None and not hides(self.hidden, row[packed.COLLECTION]) else None

    def reason(self, job_id: str, key: str = "") -> str:
        """Why a document of that job failed, as it was said; of one group of failures, if `key` names it."""
        row = self.memory.rows.by_id.get(job_id)
        if row is None or hides(self.hidden, row[packed.COLLECTION]):
            return ""
        return self.memory.failing.reason(row, key)

    def collections(self) -> list[str]:
        return [name for name in self.memory.rows.named(self.memory.rows.collections) if not hides(self.hidden, name)]

    def owners(self) -> list[str]:
        if not self.hidden:
            return self.memory.rows.named(self.memory.rows.owners)
        rows = (self.memory.rows.by_id.get(job_id) for job_id in self.ids(Query()))
        return sorted({row[packed.OWNER] for row in rows if row is not None and row[packed.OWNER]})

    def kinds(self) -> list[str]:
        return self.memory.rows.named(self.memory.rows.kinds)

    def groups(self, query: Query | None = None) -> list[FailureGroup]:
        """The failures that stand, grouped by cause, the latest first; with a query, those of the jobs it means."""
        memory, now = self.memory, self.now()
        wanted = self._asked(query or Query())
        asked = None if wanted.empty else wanted
        told = (memory.failing.turn, memory.rows.turn if asked else 0, int(now // SLOT_S), self.acknowledged)
        key = ("groups", asked)
        found = memory.memo.get(key)
        if found is None or found[0] != told:
            among = set(self.ids(asked)) if asked else None
            made = memory.failing.groups(memory.rows.by_id, self.acknowledged, now, among)
            if len(memory.memo) > SELECTIONS:
                memory.memo.clear()
            found = memory.memo[key] = (told, made)
        assert isinstance(found[1], list)
        return found[1]

    def concerns(self, now: datetime | None = None) -> list[Concern]:
        """Live jobs that are lost, stalled, do not respond or take longer than usual: worst first."""
        at = now or datetime.fromtimestamp(self.now(), UTC)
        worst = {mark: place for place, mark in enumerate(Mark)}
        found = []
        for job_id in self.memory.rows.moving_ids():
            row = self.get(job_id)
            if row is None:
                continue
            mark = marks.mark(
                row,
                at,
                workers=self.workers,
                grace_s=self.grace_s,
                stalled_s=self.stalled_s,
                usual_s=self.usual.get(row.collection),
            )
            if mark is not None:
                found.append(Concern(row, mark))
        return sorted(found, key=lambda one: (worst[one.mark], one.row.started_at or at, one.row.id))

    def _asked(self, query: Query) -> Query:
        """The query without what is hidden from who looks."""
        return replace(query, hidden=self.hidden) if self.hidden else query

    def _marked(self) -> dict[str, str]:
        """Job -> the name of its mark, as queries write it."""
        return {one.row.id: word_of(one.mark) for one in self.concerns()}


def _held(number: int, total: int, size: int) -> tuple[int, int]:
    """A page number held to those there are, and the last of them."""
    last = max(1, -(-total // size))
    return min(max(1, number), last), last


def _marks(query: Query) -> tuple[Query, frozenset[str], frozenset[str]]:
    """The query without its marks, and the marks that it wants and does not want."""
    wanted, unwanted = frozenset(query.values("mark")), frozenset(query.values("mark", negated=True))
    return (query.without("mark") if wanted or unwanted else query), wanted, unwanted
