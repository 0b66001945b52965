"""Personal tokens on the page Access: make one, which is shown once; see them; revoke one after a question."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial

import streamlit as st
from redis.exceptions import RedisError

from dashboard import connection, markup
from dashboard.acting import actions, allowed, deciding
from dashboard.acting.actions import Question
from dashboard.drawing import access_markup
from tasks.access import Right, Role, at_least
from tasks.errors import IngestboardError
from tasks.ledger import tokens
from tasks.ledger.tokens import DAYS_MOST, LONGEST_LABEL, Token

MADE = "access:made"  # the words of a new token, and when it was made
SHOWN_FOR_S = 300.0
REVOKE = "revoke token"
LABEL, ROLE, DAYS, CHOSEN, ALL = "token-label", "token-role", "token-days", "token-chosen", "token-all"
USUAL_DAYS = 90


def card() -> None:
    """All of it."""
    st.subheader("Tokens")
    st.html(
        '<p class="ib ib-soft">For the command line (<code>INGESTBOARD_TOKEN</code>) and for programs. A token opens '
        "what its role opens, and never more than you may yourself by then.</p>"
    )
    new()
    with st.container(border=True):
        form()
    everybodys = allowed.may(Right.REVOKE_TOKENS) and st.toggle("Those of everybody", key=ALL)
    found = tokens.tokens(connection.redis().ledger, everybodys=everybodys)
    if not found:
        st.html(markup.empty("No token yet", "Make one for a script or for the command line on your machine."))
        return
    st.html(access_markup.tokens(found, datetime.now(UTC), owners=everybodys))
    revoking({one.id: one for one in found})


def form() -> None:
    """What a new token is for, what it opens and for how long."""
    mine = connection.redis().person.role
    with st.form("make-token", border=False):
        left, middle, right = st.columns([2, 1, 1], vertical_alignment="bottom")
        left.text_input("What it is for", key=LABEL, max_chars=LONGEST_LABEL, placeholder="Nightly submissions")
        roles = [role.value for role in Role if at_least(mine, role)]
        middle.selectbox("Role", roles, key=ROLE, format_func=str.capitalize)
        right.number_input("Days", 1, DAYS_MOST, USUAL_DAYS, key=DAYS)
        st.form_submit_button("Make a token", icon=":material/key:", on_click=make)


def make() -> None:
    """Make the token of the form, and keep its words for the page to show."""
    st.session_state.pop(MADE, None)
    label, role = str(st.session_state.get(LABEL) or ""), str(st.session_state.get(ROLE) or Role.VIEWER)
    days = float(st.session_state.get(DAYS) or USUAL_DAYS)
    try:
        words, _ = tokens.make(connection.redis().ledger, label, role=Role(role), days=days)
    except IngestboardError as error:
        actions.tell("warning", str(error))
    except RedisError as error:
        actions.tell("warning", actions.silent(error))
    else:
        st.session_state[MADE] = (words, time.monotonic())
        st.session_state[LABEL] = ""


def new() -> None:
    """The words of the token that was just made, until they are put away."""
    words, at = st.session_state.get(MADE, ("", 0.0))
    if not words or time.monotonic() - at > SHOWN_FOR_S:
        st.session_state.pop(MADE, None)
        return
    with st.container(border=True, key="new-token"):
        st.markdown(":material/key: **Your new token.** Copy it now: it is shown this once and kept nowhere.")
        st.code(words, language=None)
        st.button("I have it", icon=":material/check:", on_click=lambda: st.session_state.pop(MADE, None))


def revoking(found: dict[str, Token]) -> None:
    """Choose a token and revoke it, after a question."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="revoke"):
        chosen = st.selectbox(
            "Revoke a token",
            list(found),
            index=None,
            key=CHOSEN,
            format_func=lambda one: named(found[one]) if one in found else one,
            placeholder="Choose one",
            width=420,
        )
        st.button(
            "Revoke…",
            icon=":material/block:",
            key="revoke-token",
            disabled=chosen is None,
            on_click=deciding.ask,
            args=(REVOKE, chosen or ""),
        )


def named(one: Token) -> str:
    return markup.seen(f"{one.label} · {one.owner} · {one.id}")


def open_question() -> None:
    """The question before a token is revoked, whoever's it is."""
    token_id = deciding.asked(REVOKE)
    if not token_id:
        return
    ledger = connection.redis().ledger
    known = {one.id: one for one in tokens.tokens(ledger, everybodys=True)}
    mine = {one.id for one in tokens.tokens(ledger)}
    what = named(known[token_id]) if token_id in known else token_id
    body = f"{what}: whatever uses it is refused from its next request on. It cannot be taken back."
    right = Right.MAKE_TOKENS if token_id in mine else Right.REVOKE_TOKENS
    deciding.put(
        Question("Revoke this token?", body, "Revoke", "Keep it"), partial(tokens.revoke, ledger, token_id), right=right
    )
