"""What a viewer asks of the board, as its address says it: query, states, order and view. Pure.

An address that is shared shows the same to whoever opens it; the live parts are shared by all who ask for the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from dashboard.memory.query import Query, parse
from tasks.ledger.states import State

FAILURES = "failures"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The board that somebody wants to see. `sort` is '' for the order that needs no word: newest first."""

    text: str = ""
    states: tuple[State, ...] = ()
    sort: str = ""
    view: str = ""

    @property
    def query(self) -> Query:
        """The text and the chosen states as one query; states are alternatives wherever they were said."""
        asked = parse(self.text)
        if not self.states:
            return asked
        states = dict.fromkeys([*asked.values("state"), *(state.value for state in self.states)])
        return replace(asked.having("state", *states), problems=asked.problems)

    def address(self, **changes: str) -> str:
        """The link to this board, relative to any page of ours, with some of it changed."""
        values = {"view": self.view, "q": self.text, "sort": self.sort, **changes}
        pairs: list[tuple[str, str]] = [(name, value) for name, value in values.items() if value]
        pairs += [("state", state.value) for state in self.states]
        return f"./?{urlencode(pairs)}" if pairs else "./"


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause of failures, among the jobs that a query means; `key` is '' when none is chosen."""

    key: str = ""
    within: str = ""

    @property
    def query(self) -> Query:
        return parse(self.within)

    def address(self, *, ask: str = "") -> str:
        return Wanted(view=FAILURES).address(cause=self.key, within=self.within, ask=ask)


def searching(text: str) -> str:
    """The link to the jobs that a query gives."""
    return Wanted(text).address()


def states_of(names: Iterable[str]) -> tuple[State, ...]:
    """The states among names from outside, in their order, each once."""
    given = set(names)
    return tuple(state for state in State if state.value in given)
