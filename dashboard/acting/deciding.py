"""What a person asks of a worker or a queue: a question before what cannot be taken back, and then what came of it.

One question is open at a time. Whether it may be done is decided in tasks.ledger.control; a refusal is a
sentence at the top of the next run.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from redis.exceptions import RedisError

from dashboard import format, markup
from dashboard.acting import actions, allowed
from dashboard.acting.actions import Question
from tasks.access import Right
from tasks.errors import IngestboardError

ASKING = "deciding:asking"
TYPED_ABOVE = 25  # so many things at once are not done by a slip of the hand


def ask(what: str, subject: str) -> None:
    """Put the question from the next run on."""
    st.session_state[ASKING] = (what, subject)


def asked(what: str) -> str:
    """The subject of the open question if it is this one, else ''."""
    found: tuple[str, str] = st.session_state.get(ASKING, ("", ""))
    return found[1] if found[0] == what else ""


def never_mind() -> None:
    st.session_state.pop(ASKING, None)


def act(work: Callable[[], str]) -> bool:
    """Do it and keep the sentence that it answers with for the next run; whether it was done."""
    never_mind()
    try:
        actions.tell("success", work())
    except IngestboardError as error:
        actions.tell("warning", str(error))
    except RedisError as error:
        actions.tell("warning", actions.silent(error))
    else:
        return True
    return False


def put(
    question: Question,
    work: Callable[[], str],
    *,
    right: Right,
    count: int = 1,
    then: Callable[[], None] | None = None,
) -> None:
    """Show the question. Its yes does the work, after `count` was typed where that is many, and then what follows.

    Who does not hold the right (any more) gets the refusal instead.
    """
    if not allowed.may(right):
        what, subject = st.session_state[ASKING]
        never_mind()
        actions.refuse(right, subject.partition("\0")[0], what)
    st.dialog(question.title, on_dismiss=never_mind)(_body)(question, work, count, then)


def _body(question: Question, work: Callable[[], str], count: int, then: Callable[[], None] | None) -> None:
    st.text(markup.seen(question.body))
    sure = True
    if count > TYPED_ABOVE:
        typed = st.text_input(f"Type {count} to go on", key="deciding-typed", placeholder=format.number(count))
        sure = (typed or "").replace(",", "").strip() == str(count)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(question.no, key="deciding-no"):
            never_mind()
            st.rerun()
        if st.button(question.yes, type="primary", key="deciding-yes", disabled=not sure):
            if act(work) and then is not None:
                then()
            st.rerun()
