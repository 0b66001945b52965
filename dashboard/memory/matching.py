"""Which jobs a query means and in which order they stand: compiled once a query, applied to packed rows.

Nothing here knows Redis or Streamlit. A condition on an age also says when its answer changes by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tasks.access import hides
from tasks.ledger import packed
from tasks.ledger.packed import Packed
from tasks.ledger.states import State

if TYPE_CHECKING:
    from dashboard.memory.query import Query, Term

Test = Callable[[Packed, float], bool]

_STATE_ORDER = {state.value: at for at, state in enumerate(State)}
_PRIORITY_ORDER = {"high": 0, "default": 1, "low": 2}
EXACT = {
    "state": packed.STATE,
    "collection": packed.COLLECTION,
    "owner": packed.OWNER,
    "kind": packed.KIND,
    "stage": packed.STAGE,
    "priority": packed.PRIORITY,
    "snapshot": packed.SNAPSHOT,
}
NOTHING: Mapping[str, str] = MappingProxyType({})
_SEARCHED = (packed.TITLE, packed.ID, packed.ERROR, packed.COLLECTION, packed.OWNER)

# What a click on a column's head sorts by; None for a job that has nothing to compare. `took` of a job that runs
# grows by itself.
SORTS: dict[str, Callable[[Packed, float], Any]] = {
    "created": lambda row, now: row[packed.CREATED],
    "state": lambda row, now: _STATE_ORDER[row[packed.STATE]],
    "title": lambda row, now: row[packed.TITLE].casefold(),
    "collection": lambda row, now: row[packed.COLLECTION].casefold(),
    "owner": lambda row, now: row[packed.OWNER].casefold(),
    "kind": lambda row, now: row[packed.KIND],
    "priority": lambda row, now: _PRIORITY_ORDER.get(row[packed.PRIORITY], 3),
    "stage": lambda row, now: row[packed.STAGE],
    "percent": lambda row, now: row[packed.PERCENT],
    "documents": lambda row, now: row[packed.DOCUMENTS],
    "failed": lambda row, now: row[packed.FAILED],
    "chunks": lambda row, now: row[packed.CHUNKS],
    "took": lambda row, now: packed.took_s(row, now) if row[packed.STARTED] else None,
    "left": packed.left_s,
    "started": lambda row, now: row[packed.STARTED] or None,
    "updated": lambda row, now: row[packed.UPDATED],
    "ended": lambda row, now: row[packed.ENDED] or None,
}


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of the board. Jobs that are equal in it stand as they were submitted, those without a value last."""

    column: str = "created"
    descending: bool = True

    def __post_init__(self) -> None:
        if self.column not in SORTS:
            raise ValueError(f"{self.column!r} is no column to sort by; use {', '.join(SORTS)}")

    @classmethod
    def read(cls, text: str) -> Sort:
        """The order that an address names ('title', '-title'); newest first for what is none."""
        column = text.removeprefix("-")
        return cls(column, text.startswith("-")) if column in SORTS else cls()

    def __str__(self) -> str:
        return f"-{self.column}" if self.descending else self.column

    def key(self, row: Packed, now: float) -> tuple[Any, ...]:
        """What rows are compared by: the column, then the moment of submission, then the id; its state rides along."""
        if self.column == "created":
            return row[packed.CREATED], row[packed.ID], row[packed.STATE]
        value = SORTS[self.column](row, now)
        if value is None:
            value = -inf if self.descending else inf
        return value, row[packed.CREATED], row[packed.ID], row[packed.STATE]

    @property
    def moves(self) -> bool:
        """Whether the order of running jobs changes without any news of them."""
        return self.column in ("took", "left")


NEWEST = Sort()


class Matcher:
    """A query, ready to be asked of rows. `names` and `errors` tell of a job's failed documents, casefolded."""

    def __init__(self, query: Query, names: Mapping[str, str], errors: Mapping[str, str] = NOTHING) -> None:
        self._names, self._errors = names, errors
        self.everything = query.empty
        wanted: dict[tuple[str, bool], list[Term]] = {}
        for term in query.terms:
            # Free words must all hold: each is a condition of its own.
            name = term.name or f" {term.value}"
            wanted.setdefault((name, term.negated), []).append(term)
        tests = [(self._test(terms), negated) for (name, negated), terms in wanted.items() if name != "mark"]
        # The cheap ones first, so that text is searched in few rows.
        tests.sort(key=lambda test: test[0].cost)
        self._tests = [(one.test, negated) for one, negated in tests]
        if hidden := query.hidden:
            self._tests.insert(0, (_hidden(hidden), True))
        self._ages = [term for term in query.terms if term.name in ("older", "newer")]
        self.moves = any(term.name == "took" for term in query.terms)

    def __call__(self, row: Packed, now: float) -> bool:
        return all(test(row, now) is not negated for test, negated in self._tests)

    def changes_at(self, row: Packed, now: float) -> float:
        """When the answer for this row may change by itself next; inf if never."""
        moments = [row[packed.CREATED] + term.seconds for term in self._ages]
        return min((moment for moment in moments if moment > now), default=inf)

    def _test(self, terms: list[Term]) -> _Test:
        name, values = terms[0].name, [term.value.casefold() for term in terms]
        if name in EXACT:
            return _Test(0, _exact(EXACT[name], values))
        if name in ("older", "newer", "took"):
            return _Test(1, _aged(name, [term.seconds for term in terms]))
        if name == "id":
            starts = tuple(values)
            return _Test(1, lambda row, now: row[packed.ID].casefold().startswith(starts))
        if name == "worker":
            return _Test(2, _within(packed.WORKER, values))
        if name in ("file", "error"):
            at, told = (packed.TITLE, self._names) if name == "file" else (packed.ERROR, self._errors)
            return _Test(3, _told(at, told, values))
        return _Test(4, self._anywhere(values[0]))

    def _anywhere(self, needle: str) -> Test:
        names, errors = self._names, self._errors

        def test(row: Packed, now: float) -> bool:
            if any(needle in row[at].casefold() for at in _SEARCHED):
                return True
            job = row[packed.ID]
            return needle in names.get(job, "") or needle in errors.get(job, "")

        return test


@dataclass(frozen=True, slots=True)
class _Test:
    cost: int
    test: Test


def _exact(at: int, values: list[str]) -> Test:
    """A column that is one of the values, without regard to case; what differs in case alone is remembered."""
    answers: dict[str, bool] = {}

    def test(row: Packed, now: float) -> bool:
        value = row[at]
        answer = answers.get(value)
        if answer is None:
            if len(answers) > 10_000:
                answers.clear()
            answer = answers[value] = value.casefold() in values
        return answer

    return test


def _hidden(patterns: tuple[str, ...]) -> Test:
    """A collection that is hidden from who asks; the answer for a name is remembered."""
    answers: dict[str, bool] = {}

    def test(row: Packed, now: float) -> bool:
        name = row[packed.COLLECTION]
        answer = answers.get(name)
        if answer is None:
            if len(answers) > 10_000:
                answers.clear()
            answer = answers[name] = hides(patterns, name)
        return answer

    return test


def _within(at: int, values: list[str]) -> Test:
    def test(row: Packed, now: float) -> bool:
        inside = row[at]
        if not inside:
            return False
        inside = inside.casefold()
        return any(value in inside for value in values)

    return test


def _told(at: int, told: Mapping[str, str], values: list[str]) -> Test:
    """A column of the job, and what is told of its failed documents."""

    def test(row: Packed, now: float) -> bool:
        own, failed = row[at].casefold(), told.get(row[packed.ID], "")
        return any(value in own or value in failed for value in values)

    return test


def _aged(name: str, ages: list[float]) -> Test:
    """Alternatives of an age: the widest of them decides."""
    if name == "newer":
        age = max(ages)
        return lambda row, now: now - row[packed.CREATED] < age
    age = min(ages)
    if name == "older":
        return lambda row, now: now - row[packed.CREATED] >= age
    return lambda row, now: bool(row[packed.STARTED]) and packed.took_s(row, now) >= age
