"""What a person may do to a job, from its page: buttons by the state, a question before what destroys.

The decision is made in tasks.ledger.control; what it answers, a refusal included, is told on the next run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import streamlit as st
from redis.exceptions import RedisError

from dashboard import connection, who
from tasks.errors import IngestboardError
from tasks.ledger import control
from tasks.ledger.records import JobRow, Receipt
from tasks.ledger.states import Action, State, allows

ASKING = "job:asking"
NOTICE = "notice"
SILENT = "Redis does not answer, so nothing was changed; try again when it is back."


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before an action: in words that say what is lost and what is kept."""

    title: str
    body: str
    yes: str
    no: str


def question(action: Action, row: JobRow) -> Question:
    name = row.title or row.id
    match action:
        case Action.CANCEL if row.state is State.QUEUED:
            return Question(
                "Cancel this job?", f"{name} has not started; it will be canceled at once.", "Cancel the job", "Keep it"
            )
        case Action.CANCEL if not row.documents_total:
            return Question(
                "Cancel this job?", f"{name} stops at its next checkpoint.", "Cancel the job", "Keep it running"
            )
        case Action.CANCEL:
            return Question(
                "Cancel this job?",
                f"{name} stops at its next checkpoint and publishes nothing. Finished documents are kept for a retry.",
                "Cancel the job",
                "Keep it running",
            )
        case Action.FORCE_STOP:
            return Question(
                "Stop this job by force?",
                f"The work horse of {name} is killed without waiting for a checkpoint. Nothing is published.",
                "Force stop",
                "Let it go on",
            )
        case Action.DELETE:
            return Question(
                "Delete this job?",
                f"{name} goes from the board with its event log. What it published stays searchable.",
                "Delete the job",
                "Keep it",
            )
        case Action.RETRY:
            return Question(
                "Retry this job?", f"{name} runs again as a new attempt of the same job.", "Retry", "Not now"
            )


def tell(kind: Literal["success", "warning"], text: str) -> None:
    """Something to say at the top of the next run."""
    st.session_state[NOTICE] = (kind, text)


def told() -> None:
    """Say what the last action left to say."""
    kind, text = st.session_state.pop(NOTICE, ("", ""))
    if kind == "success":
        st.toast(text, icon=":material/check:")
    elif kind == "warning":
        st.warning(text, icon=":material/info:")


def act(work: Callable[[], Receipt]) -> None:
    """Do it, and keep its sentence; a lost race is a sentence too."""
    st.session_state.pop(ASKING, None)
    try:
        tell("success", work().sentence)
    except IngestboardError as error:
        tell("warning", str(error))
    except RedisError:
        tell("warning", SILENT)


def perform(action: Action, job_id: str, *, failed_only: bool = False) -> None:
    """Ask the ledger for the action in this person's name."""
    redis = connection.redis()
    by = who.me(redis.settings)
    match action:
        case Action.CANCEL | Action.FORCE_STOP:
            act(partial(control.cancel, redis.ledger, job_id, by=by, force=action is Action.FORCE_STOP))
        case Action.RETRY:
            act(partial(control.retry, redis.ledger, job_id, by=by, failed_only=failed_only))
        case Action.DELETE:
            act(partial(control.delete, redis.ledger, job_id, by=by))


def ask(action: Action) -> None:
    """Put the question; it stays open over the reruns of the page until it is answered."""
    st.session_state[ASKING] = action


def _never_mind() -> None:
    st.session_state.pop(ASKING, None)


def _body(put: Question, action: Action, row: JobRow) -> None:
    st.text(put.body)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(put.no, key="answer-no"):
            _never_mind()
            st.rerun()
        if st.button(put.yes, type="primary", key="answer-yes"):
            perform(action, row.id, failed_only=action is Action.RETRY and row.state is not State.COMPLETED)
            st.rerun()


def open_question(row: JobRow) -> None:
    """Show the question that is being asked, if the job's state still allows the action."""
    action = st.session_state.get(ASKING)
    if action is None:
        return
    if not allows(row.state, action):
        _never_mind()
        st.warning(
            f"The job is {row.state.value} by now, so there is nothing to {action.value}.", icon=":material/info:"
        )
        return
    put = question(action, row)
    st.dialog(put.title, on_dismiss=_never_mind)(_body)(put, action, row)


def buttons(row: JobRow) -> None:
    """The actions that the job's state allows, the likeliest first."""
    with st.container(horizontal=True, horizontal_alignment="right", key="actions", width="content"):
        if allows(row.state, Action.CANCEL):
            st.button("Cancel", icon=":material/cancel:", on_click=ask, args=(Action.CANCEL,))
        if allows(row.state, Action.FORCE_STOP):
            st.button("Force stop", icon=":material/dangerous:", on_click=ask, args=(Action.FORCE_STOP,))
        if allows(row.state, Action.RETRY):
            # What a cancel kept from being done is retried by itself just as what failed.
            if 0 < row.documents_done < row.documents_total:
                st.button(
                    "Retry unfinished" if row.state is State.CANCELED else "Retry failed",
                    type="primary",
                    icon=":material/replay:",
                    on_click=perform,
                    args=(Action.RETRY, row.id),
                    kwargs={"failed_only": True},
                )
            st.button("Retry all", icon=":material/restart_alt:", on_click=perform, args=(Action.RETRY, row.id))
        if allows(row.state, Action.DELETE):
            st.button("Delete", icon=":material/delete:", on_click=ask, args=(Action.DELETE,))
