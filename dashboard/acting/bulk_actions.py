"""Act on everything that matches: what could be done, the count first, a typed number above 25, then a bulk job.

The ids are taken when the question is put, and exactly those are acted on, whatever the board shows by then.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import streamlit as st

from dashboard import connection, format, markup
from dashboard.acting import allowed, board_asking
from dashboard.memory.matching import Sort
from dashboard.memory.mirror import Mirror
from dashboard.memory.query import Query
from tasks import bulk
from tasks.access import Right
from tasks.ledger import control
from tasks.ledger.records import Receipt
from tasks.ledger.states import Action, State, allows
from tasks.settings import QUEUES

TYPED_ABOVE = 25
SHOWN = "board:shown"


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to do to many jobs. `done` completes 'can be ...'; `options` are those of the bulk job."""

    label: str
    action: Action
    done: str
    warning: str = ""
    options: tuple[tuple[str, object], ...] = ()
    but: frozenset[State] = frozenset()

    def takes(self, state: State) -> bool:
        return allows(state, self.action) and state not in self.but


CHOICES = (
    Choice("Cancel", Action.CANCEL, "canceled", "Running ones stop at their next checkpoint and publish nothing."),
    Choice("Force stop", Action.FORCE_STOP, "stopped by force", "Their work horses are killed; nothing is published."),
    Choice(
        "Retry what failed",
        Action.RETRY,
        "retried",
        "Only documents that are not done run again, each job as a new attempt.",
        (("failed_only", True),),
        frozenset({State.COMPLETED}),
    ),
    Choice(
        "Retry all documents",
        Action.RETRY,
        "retried",
        "Every document runs again; what was embedded before is taken from the cache.",
        (("failed_only", False),),
    ),
    Choice("Change the priority", Action.REPRIORITISE, "given another priority"),
    Choice("Delete", Action.DELETE, "deleted", "They go from the board with their logs. What they published stays."),
)


@dataclass(frozen=True)
class BulkQuestion:
    """The question before a bulk action, about the jobs that were counted when it was put."""

    choice: Choice
    ids: tuple[str, ...]  # those that can take it
    left: tuple[tuple[State, int], ...]  # the others, by state
    shown: str  # how they were chosen, for the record
    among: str  # the same as HTML, in the sentence: 'of those that match ...'
    unread: int = 0
    over: int = 0  # that could take it too, but are more than one bulk action takes
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    @property
    def total(self) -> int:
        return len(self.ids) + self.over + sum(count for _, count in self.left)

    @property
    def right(self) -> Right:
        return control.RIGHTS[self.choice.action]

    @property
    def subject(self) -> str:
        return "bulk action"

    @property
    def title(self) -> str:
        return f"{self.choice.label}: {format.counted(len(self.ids), 'job')}?"

    def draw(self) -> None:
        count = len(self.ids)
        st.html(counted(self))
        if count and (held := connection.redis().feed.mirror.paused.get(bulk.PRIORITY)) is not None:
            st.warning(markup.literal(bulk.waits_for(bulk.PRIORITY, held.by)), icon=":material/pause_circle:")
        if not count:
            board_asking.answers("Close", self.choice.label, lambda: None, disabled=True)
            return
        options = dict(self.choice.options)
        if self.choice.action is Action.REPRIORITISE:
            options["priority"] = st.selectbox("Priority", QUEUES, key="bulk-priority")
        sure = count <= TYPED_ABOVE
        if not sure:
            typed = st.text_input(f"Type {count} to confirm", key="bulk-typed", live=True, autocomplete="off")
            sure = (typed or "").replace(",", "").strip() == str(count)
        yes = f"{self.choice.label}: {format.counted(count, 'job')}"
        board_asking.answers("Not now", yes, partial(self.start, options), disabled=not sure)

    def start(self, options: dict[str, object]) -> Receipt:
        redis = connection.redis()
        return bulk.request(
            redis.ledger,
            self.choice.action,
            self.ids,
            shown=self.shown,
            options=options,
            token=self.token,
        )


def put(
    choice: Choice, ids: Sequence[str], left: Mapping[State, int], *, shown: str, among: str, unread: int = 0
) -> None:
    """Put the question about the jobs that can take it; `left` are those that cannot, by state."""
    others = tuple((state, left[state]) for state in State if left.get(state))
    over = max(0, len(ids) - bulk.MOST)
    board_asking.ask(BulkQuestion(choice, tuple(ids[: bulk.MOST]), others, shown, among, unread, over))


def menu(mirror: Mirror, query: Query, sort: Sort) -> None:
    """The menu of what this person may do to everything that matches, in the order that is shown; none for who may do
    nothing.
    """
    choices = [choice for choice in CHOICES if allowed.does(choice.action)]
    if not choices:
        return
    chosen = st.menu_button(
        "Act on all",
        [choice.label for choice in choices],
        key="bulk",
        icon=":material/checklist:",
        disabled=bool(query.problems),  # a word that was left out would mean more jobs than were meant
        help="Mend the search first."
        if query.problems
        else "Does one thing to every job that the search shows, on all pages. It asks first and says how many.",
    )
    if chosen is None:
        return
    choice = next(one for one in choices if one.label == chosen)
    takes = [state for state, count in mirror.counts(query).items() if count and choice.takes(state)]
    ids = mirror.ids(query.having("state", *(state.value for state in takes)), sort) if takes else ()
    left = {state: count for state, count in mirror.counts(query).items() if state not in takes}
    among = "of all jobs" if query.empty else f"of those that match <code>{markup.safe(query)}</code>"
    put(choice, ids, left, shown=str(query) or "all jobs", among=among, unread=mirror.total - mirror.loaded)


def counted(question: BulkQuestion) -> str:
    """What can be acted on and what cannot, in words: '12 of 40 can be canceled'."""
    count, total, done = len(question.ids), question.total, question.choice.done
    first = f"<b>{format.number(count + question.over)} of {format.number(total)}</b> can be {done}"
    lines = [f"{first}, {question.among}."]
    if count and question.choice.warning:
        lines.append(question.choice.warning)
    if question.left:
        others = ", ".join(f"{format.number(number)} {state.value}" for state, number in question.left)
        lines.append(f"The others stay as they are: {others}.")
    if question.over:
        most = format.number(bulk.MOST)
        lines.append(
            f"One bulk action takes {most} jobs at most: the first {most} in the order of the table. Ask again for the "
            f"other {format.number(question.over)}."
        )
    if question.unread > 0:
        lines.append(f"{format.counted(question.unread, 'older job')} are not read yet and not among them.")
    return f'<div class="ib ib-counted">{"".join(f"<p>{line}</p>" for line in lines)}</div>'
