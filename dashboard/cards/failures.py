"""Failures by cause on the board: the table, one cause with its jobs, acknowledge with a note, retry the group."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import streamlit as st

from dashboard import connection, markup
from dashboard.acting import allowed, board_asking, bulk_actions
from dashboard.memory.mirror import Mirror
from dashboard.wanted import Cause
from tasks.access import Right
from tasks.ledger import failures
from tasks.ledger.failures import FailureGroup
from tasks.ledger.states import Action

RETRY = next(one for one in bulk_actions.CHOICES if one.action is Action.RETRY and one.but)
ASKED = ("retry", "acknowledge")


@dataclass(frozen=True)
class Acknowledge:
    """What there is to say about a cause, for everybody who meets it."""

    key: str
    cause: str
    note: str
    title: str = "Acknowledge this cause"
    right: Right = Right.ACKNOWLEDGE

    @property
    def subject(self) -> str:
        return self.key

    def draw(self) -> None:
        st.text(markup.seen(self.cause))
        note = st.text_area(
            "Note",
            self.note,
            key="cause-note",
            max_chars=failures.NOTE_LONGEST,
            placeholder="Who looks after it, and what is known",
        )
        board_asking.answers("Not now", "Acknowledge", lambda: self.say(note or ""))

    def say(self, note: str) -> str:
        redis = connection.redis()
        failures.acknowledge(redis.ledger, self.key, note, cause=self.cause)
        redis.feed.hurry()
        return "The cause was acknowledged."


def group_of(mirror: Mirror, cause: Cause) -> FailureGroup | None:
    """The group that the address names; None when nothing of it stands any more."""
    return next((group for group in mirror.groups(cause.query) if group.key == cause.key), None)


def put(mirror: Mirror, group: FailureGroup, asked: str) -> None:
    """Put the question that a link of the table asks."""
    if asked == "acknowledge":
        note = group.acknowledged.note if group.acknowledged else ""
        board_asking.ask(Acknowledge(group.key, group.cause, note))
    elif asked == "retry":
        states = {row.id: row.state for row in map(mirror.get, group.jobs) if row is not None}
        ids = [job for job, state in states.items() if RETRY.takes(state)]
        left = Counter(state for state in states.values() if not RETRY.takes(state))
        among = f"of those that failed of <code>{markup.safe(group.cause)}</code>"
        bulk_actions.put(RETRY, ids, left, shown=f"the cause {group.cause}", among=among)


def buttons(mirror: Mirror, group: FailureGroup) -> None:
    """What can be done about one cause."""
    with st.container(horizontal=True):
        if allowed.does(Action.RETRY):
            st.button(
                "Retry the group", type="primary", icon=":material/replay:", on_click=put, args=(mirror, group, "retry")
            )
        if not allowed.may(Right.ACKNOWLEDGE):
            return
        st.button(
            "Change the note" if group.acknowledged else "Acknowledge",
            icon=":material/sticky_note_2:",
            on_click=put,
            args=(mirror, group, "acknowledge"),
        )
        if group.acknowledged:
            st.button("Withdraw", icon=":material/undo:", on_click=withdraw, args=(group.key,))


def withdraw(key: str) -> None:
    redis = connection.redis()

    def work() -> str:
        failures.withdraw(redis.ledger, key)
        redis.feed.hurry()
        return "The acknowledgement was taken back."

    board_asking.do(work)
