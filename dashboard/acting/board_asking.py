"""The one question that the board has open, over the reruns of the page until it is answered, and its answer.

A question is an object that draws itself; what it does goes through the ledger, and a refusal is a sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import streamlit as st
from redis.exceptions import RedisError

from dashboard import markup
from dashboard.acting import actions, allowed
from tasks.access import Right
from tasks.errors import IngestboardError
from tasks.ledger.records import Receipt

ASKING = "board:asking"
STARTED = "board:started"


class Question(Protocol):
    """What is asked: a title, and its body with the answers; what its yes takes, and what it is done to."""

    @property
    def title(self) -> str: ...

    @property
    def right(self) -> Right: ...

    @property
    def subject(self) -> str: ...

    def draw(self) -> None: ...


def ask(question: Question) -> None:
    st.session_state[ASKING] = question


def never_mind() -> None:
    st.session_state.pop(ASKING, None)


def open_asked() -> None:
    """Show the question that is open, if there is one."""
    question: Question | None = st.session_state.get(ASKING)
    if question is not None and not allowed.may(question.right):
        never_mind()
        actions.refuse(question.right, question.subject, question.right.name.lower().replace("_", " "))
    elif question is not None:
        st.dialog(question.title, on_dismiss=never_mind)(question.draw)()


def answers(no: str, yes: str, work: Callable[[], Receipt | str | None], *, disabled: bool = False) -> None:
    """The two buttons of a question. The yes does the work, says what came of it and closes the question."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(no, key="board-no"):
            never_mind()
            st.rerun()
        if st.button(yes, type="primary", key="board-yes", disabled=disabled):
            never_mind()
            do(work)
            st.rerun()


def do(work: Callable[[], Receipt | str | None]) -> None:
    """Do it and keep what it says for the next run; a job that it started is kept with the way to it."""
    try:
        said = work()
    except IngestboardError as error:
        actions.tell("warning", str(error))
    except RedisError as error:
        actions.tell("warning", actions.silent(error))
    else:
        if isinstance(said, Receipt):
            st.session_state[STARTED] = said
        elif said:
            actions.tell("success", said)


def told() -> None:
    """Say what the last answer left to say, with the way to the job that it started."""
    actions.told()
    started: Receipt | None = st.session_state.pop(STARTED, None)
    if started is not None:
        # The id is ours, letters and digits.
        st.toast(
            f"{markup.literal(started.sentence)} [Watch it](job?job={started.job})",
            icon=":material/check:",
            duration="long",
        )
