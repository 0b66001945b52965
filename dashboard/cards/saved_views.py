"""The saved views of the team on the board: open one, save what is shown, replace, delete."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st
from redis.exceptions import RedisError

from dashboard import connection, markup, outage
from dashboard.acting import actions, allowed, board_asking
from dashboard.cards import searching
from dashboard.memory.query import parse
from dashboard.wanted import Wanted, states_of
from tasks.access import Right
from tasks.errors import IngestboardError, ViewExists
from tasks.ledger import saved
from tasks.ledger.saved import SavedView

CHOSEN = "board:saved"
NAME = "board:saved_name"


@dataclass(frozen=True)
class ReplaceView:
    """Whether a view that is there may be replaced."""

    name: str
    by: str
    query: str
    sort: str
    title: str = "Replace this view?"
    right: Right = Right.SAVE_VIEWS

    @property
    def subject(self) -> str:
        return self.name

    def draw(self) -> None:
        st.text(
            f"{markup.seen(self.name)}, saved by {markup.seen(self.by)}, will stand for what the board shows you now."
        )
        board_asking.answers("Keep it", "Replace it", self.replace)

    def replace(self) -> str:
        redis = connection.redis()
        saved.save(redis.ledger, self.name, query=self.query, sort=self.sort, replace=True)
        return "The view was replaced."


@dataclass(frozen=True)
class ForgetView:
    """Whether a view may go, for the whole team."""

    name: str
    by: str
    title: str = "Delete this view?"
    right: Right = Right.SAVE_VIEWS

    @property
    def subject(self) -> str:
        return self.name

    def draw(self) -> None:
        st.text(
            f"{markup.seen(self.name)}, saved by {markup.seen(self.by)}, goes for the whole team. No job is touched."
        )
        board_asking.answers("Keep it", "Delete it", self.forget)

    def forget(self) -> str:
        redis = connection.redis()
        saved.forget(redis.ledger, self.name)
        return "The view was deleted."


def menu(wanted: Wanted) -> None:
    """The saved views behind one button."""
    with st.popover("Views", icon=":material/bookmark:", help="Searches that the team has saved"):
        try:
            known = {view.name: view for view in saved.views(connection.redis().ledger)}
        except outage.AWAY:
            known = {}  # the board says so, and shows the jobs as they were
        if known:
            _known(known)
        if not allowed.may(Right.SAVE_VIEWS):
            if not known:
                st.caption("The team has saved no search yet.")
            return
        with st.form("save-view", border=False, clear_on_submit=True):
            st.text_input("Save this search as", key=NAME, max_chars=saved.LONGEST_NAME, placeholder="A name")
            st.form_submit_button("Save", icon=":material/bookmark_add:", on_click=save, args=(wanted,))


def _known(known: dict[str, SavedView]) -> None:
    if st.session_state.get(CHOSEN) not in known:
        st.session_state.pop(CHOSEN, None)
    name = st.selectbox(
        "Saved views", list(known), index=None, key=CHOSEN, format_func=markup.seen, placeholder="Choose one"
    )
    if name is None:
        return
    view = known[name]
    said = f"Saved by {markup.safe(view.by)} {markup.when(view.at, datetime.now(UTC))}"
    asks = f"<code>{markup.safe(view.query)}</code>" if view.query else "all jobs"
    st.html(f'<p class="ib ib-soft">{said}: {asks}</p>')
    with st.container(horizontal=True):
        st.button("Open", icon=":material/open_in_browser:", type="primary", on_click=show, args=(view,))
        if allowed.may(Right.SAVE_VIEWS):
            st.button("Delete", icon=":material/delete:", on_click=board_asking.ask, args=(ForgetView(name, view.by),))


def show(view: SavedView) -> None:
    """Put a view into the address: its states where states are chosen, the rest where it is typed."""
    asked = parse(view.query)
    st.session_state["state"] = [state.value for state in states_of(asked.values("state"))]
    st.session_state["q"] = str(asked.without("state"))
    searching.sort_url(view.sort)
    st.session_state.pop(CHOSEN, None)


def save(wanted: Wanted) -> None:
    """Save what is shown under the name that was typed; another view of that name is asked about."""
    redis = connection.redis()
    name = " ".join(str(st.session_state.get(NAME) or "").split())
    query, sort = str(wanted.query), wanted.sort

    try:
        saved.save(redis.ledger, name, query=query, sort=sort)
    except ViewExists as error:
        board_asking.ask(ReplaceView(name, str(error.data["by"]), query, sort))
    except IngestboardError as error:
        actions.tell("warning", str(error))
    except RedisError as error:
        actions.tell("warning", actions.silent(error))
    else:
        actions.tell("success", "The view was saved for the team.")
