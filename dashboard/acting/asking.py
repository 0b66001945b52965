"""What a person asks of a collection: a question before what destroys, and then what happened, with its job.

One question is open at a time, kept over the reruns of the page until it is answered. Whether it may be done is
decided in tasks.ledger.control and tasks.catalog; a refusal is a sentence on the next run.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection

import streamlit as st
from redis.exceptions import RedisError

from dashboard import connection, markup
from dashboard.acting import actions, allowed
from dashboard.acting.actions import Question
from tasks.access import Right
from tasks.errors import IngestboardError
from tasks.kinds import Arguments, Kind
from tasks.ledger import control
from tasks.ledger.records import Receipt

ASKING = "collection:asking"
DONE = "collection:done"
TOKEN = "collection:token"


def ask(name: str, what: str, subject: str) -> None:
    """Put the question from this run on."""
    st.session_state[ASKING] = (name, what, subject)


def asked(name: str, what: str) -> str:
    """The subject of the open question if it is this one, else ''."""
    found: tuple[str, str, str] = st.session_state.get(ASKING, ("", "", ""))
    return found[2] if found[:2] == (name, what) else ""


def never_mind() -> None:
    st.session_state.pop(ASKING, None)


def offered(name: str, what: str, right: Right, *, clicked: str = "") -> bool:
    """Whether to offer what takes this right.

    What is asked by who does not hold it (any more) ends in a refusal: an open question, or a click on the button of
    that key, which this run does not draw.
    """
    if allowed.may(right):
        return True
    if asked(name, what) or (clicked and st.session_state.get(clicked)):
        never_mind()
        actions.refuse(right, name, what)
    return False


def put(name: str, question: Question, work: Callable[[], Receipt]) -> None:
    """Show the question; its yes does the work."""
    st.dialog(question.title, on_dismiss=never_mind)(_body)(name, question, work)


def _body(name: str, question: Question, work: Callable[[], Receipt]) -> None:
    st.text(markup.seen(question.body))
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(question.no, key="asked-no"):
            never_mind()
            st.rerun()
        if st.button(question.yes, type="primary", key="asked-yes"):
            never_mind()
            act(name, work)


def act(name: str, work: Callable[[], Receipt]) -> None:
    """Do it and run the page again, which says what came of it."""
    st.session_state.pop(DONE, None)
    try:
        st.session_state[DONE] = (name, work())
    except IngestboardError as error:
        actions.tell("warning", str(error))
    except RedisError as error:
        actions.tell("warning", actions.silent(error))
    else:
        st.session_state.pop(TOKEN, None)
    st.rerun()


def request(name: str, kind: Kind, arguments: Arguments, title: str) -> Receipt:
    """Ask for a job of a kind in this person's name; a second click on its way finds the same job."""
    redis = connection.redis()
    mark = st.session_state.setdefault(TOKEN, secrets.token_urlsafe(16))
    asked_for = "\0".join((mark, name, kind.name, arguments.model_dump_json()))
    return control.request(
        redis.ledger,
        kind=kind.name,
        collection=name,
        arguments=arguments.model_dump_json(),
        title=title,
        token=hashlib.sha256(asked_for.encode()).hexdigest(),
    )


def done(name: str, known: Collection[str]) -> None:
    """What was last done to this collection, or to one that is gone by it, with the way to its job."""
    of, receipt = st.session_state.get(DONE, ("", None))
    if receipt is None or (of != name and of in known):
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="asked-done"):
        st.markdown(":material/check_circle:", width="content")
        st.text(markup.seen(receipt.sentence), width="content")
        if receipt.job:
            st.page_link(
                "views/job.py",
                label="Watch the job",
                icon=":material/arrow_forward:",
                query_params={"job": receipt.job},
            )
