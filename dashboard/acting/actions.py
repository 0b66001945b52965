"""What a person may do to a job, from its page: buttons by the state, a question before what destroys.

The decision is made in tasks.ledger.control; what it answers, a refusal included, is told on the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import streamlit as st
from redis.exceptions import RedisError, ResponseError

from dashboard import connection, markup
from dashboard.acting import allowed
from tasks.access import Right
from tasks.errors import IngestboardError
from tasks.ledger import control, marks, trouble
from tasks.ledger.marks import Mark
from tasks.ledger.records import DocumentRow, JobRow, Receipt
from tasks.ledger.states import Action, State, allows
from tasks.settings import QUEUES

ASKING = "job:asking"
DOCUMENT = "job:asking-document"
NOTICE = "notice"
SILENT = "Redis does not answer, so nothing was changed; try again when it is back."


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before an action: in words that say what is lost and what is kept."""

    title: str
    body: str
    yes: str
    no: str


def question(action: Action, row: JobRow, document: str = "") -> Question:
    """What is asked before the action; `document` is the name of the one that is to be retried, if it is one."""
    name = row.title or row.id
    match action:
        case Action.RETRY if document:
            return Question(
                "Retry this document?",
                f"{document} is done again, in a new attempt of {name}; its other documents stay as they are.",
                "Retry the document",
                "Not now",
            )
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
        case Action.REPRIORITISE:
            return Question(
                "Move this job to another queue?",
                f"What waits of {name} goes to the end of the queue with that priority.",
                "Move the job",
                "Leave it",
            )
        case Action.WRITE_OFF:
            return Question(
                "Write the worker off?",
                f"What it has in hand of {name} and of other jobs goes on elsewhere, and it can write nothing more. "
                "If it wakes, it ends itself.",
                "Write the worker off",
                "Wait for it",
            )


def silent(error: RedisError) -> str:
    """That nothing was changed, and why: a Redis that answers and takes no changes has a reason of its own."""
    if isinstance(error, ResponseError) and trouble.passes(error):
        return f"Redis takes no changes ({trouble.reason(error)}), so nothing was changed; try again when that is over."
    return SILENT


def tell(kind: Literal["success", "warning"], text: str) -> None:
    """Something to say at the top of the next run."""
    st.session_state[NOTICE] = (kind, text)


def refuse(right: Right, subject: str, action: str) -> None:
    """Let control refuse what was asked without the right: its sentence at the top of a new run, and on the record."""
    ledger = connection.redis().ledger
    try:
        control.permit(ledger, right, subject, action=action)
    except IngestboardError as error:
        tell("warning", str(error))
    except RedisError as error:
        tell("warning", silent(error))
    st.rerun()


def told() -> None:
    """Say what the last action left to say."""
    kind, text = st.session_state.pop(NOTICE, ("", ""))
    if kind == "success":
        st.toast(markup.literal(text), icon=":material/check:")
    elif kind == "warning":
        st.warning(markup.literal(text), icon=":material/info:")


def act(work: Callable[[], Receipt]) -> None:
    """Do it, and keep its sentence; a lost race is a sentence too."""
    st.session_state.pop(ASKING, None)
    try:
        tell("success", work().sentence)
    except IngestboardError as error:
        tell("warning", str(error))
    except RedisError as error:
        tell("warning", silent(error))


def perform(
    action: Action,
    job_id: str,
    *,
    failed_only: bool = False,
    documents: Sequence[int] | None = None,
    priority: str = "",
) -> None:
    """Ask the ledger for the action in this person's name."""
    redis = connection.redis()
    match action:
        case Action.CANCEL | Action.FORCE_STOP:
            act(partial(control.cancel, redis.ledger, job_id, force=action is Action.FORCE_STOP))
        case Action.RETRY:
            act(partial(control.retry, redis.ledger, job_id, failed_only=failed_only, documents=documents))
        case Action.DELETE:
            act(partial(control.delete, redis.ledger, job_id))
        case Action.REPRIORITISE:
            act(partial(control.reprioritise, redis.ledger, job_id, priority))
        case Action.WRITE_OFF:
            act(partial(control.write_off_workers_of, redis.ledger, job_id))


def ask(action: Action, document: int | None = None) -> None:
    """Put the question; it stays open over the reruns of the page until it is answered.

    `document` is the number of the one that is to be retried; None: the job.
    """
    st.session_state[ASKING] = action
    st.session_state[DOCUMENT] = document


def _never_mind() -> None:
    st.session_state.pop(ASKING, None)


def _body(put: Question, action: Action, row: JobRow, document: int | None) -> None:
    st.text(markup.seen(put.body))
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(put.no, key="answer-no"):
            _never_mind()
            st.rerun()
        if st.button(put.yes, type="primary", key="answer-yes"):
            failed_only = action is Action.RETRY and row.state is not State.COMPLETED
            perform(action, row.id, failed_only=failed_only, documents=None if document is None else [document])
            st.rerun()


def open_question(row: JobRow, documents: Sequence[DocumentRow] = ()) -> None:
    """Show the question that is being asked, if the job's state still allows the action."""
    action = st.session_state.get(ASKING)
    if action is None:
        return
    if not allowed.does(action):
        _never_mind()
        refuse(control.RIGHTS[action], row.id, action.value)
    if not allows(row.state, action):
        _never_mind()
        st.warning(
            f"The job is {row.state.value} by now, so there is nothing to {action.value}.", icon=":material/info:"
        )
        return
    number = st.session_state.get(DOCUMENT) if action is Action.RETRY else None
    name = next((one.name for one in documents if one.number == number), "")
    put = question(action, row, name)
    st.dialog(put.title, on_dismiss=_never_mind)(_body)(put, action, row, number if name else None)


def priority(row: JobRow) -> None:
    """The queue that the job goes through; another choice moves it at once."""
    now = row.priority if row.priority in QUEUES else "default"
    key = f"priority:{row.id}"
    # Somebody else may have moved it: the widget shows what is so, not what was chosen here once.
    st.session_state[key] = now

    def move() -> None:
        perform(Action.REPRIORITISE, row.id, priority=st.session_state[key])

    st.selectbox(
        "Priority",
        QUEUES,
        key=key,
        on_change=move,
        format_func=lambda name: f"Priority {name}",
        label_visibility="collapsed",
        width=150,
        help="Another priority moves what waits of this job to that queue.",
    )


def remedy(row: JobRow, found: Mark | None) -> None:
    """What is wrong with the job at a glance, with what helps beside it."""
    if found is None:
        return
    sentence, action = marks.remedy(found, row)
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="remedy"):
        st.markdown(f":material/warning: **{found.value.capitalize()}.**", width="content")
        st.text(markup.seen(sentence), width="stretch")
        if action is not None and allows(row.state, action) and allowed.does(action):
            label = "Write the worker off" if action is Action.WRITE_OFF else "Force it to stop"
            st.button(label, icon=":material/build:", on_click=ask, args=(action,), key="remedy-do")


def buttons(row: JobRow) -> None:
    """The actions that the job's state and the person's role allow, the likeliest first."""

    def may(action: Action) -> bool:
        return allows(row.state, action) and allowed.does(action)

    with st.container(horizontal=True, horizontal_alignment="right", key="actions", width="content"):
        if may(Action.CANCEL):
            st.button("Cancel", icon=":material/cancel:", on_click=ask, args=(Action.CANCEL,))
        if may(Action.FORCE_STOP):
            st.button("Force stop", icon=":material/dangerous:", on_click=ask, args=(Action.FORCE_STOP,))
        if may(Action.REPRIORITISE):
            priority(row)
        if may(Action.RETRY):
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
        if may(Action.DELETE):
            st.button("Delete", icon=":material/delete:", on_click=ask, args=(Action.DELETE,))
