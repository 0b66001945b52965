"""Collections: which there are, a search over the current snapshot of one, its snapshots, and rolling back."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from dashboard import actions, connection, format, markup, outage, shelf_markup, who
from dashboard.search import Answer
from tasks import catalog
from tasks.errors import IngestboardError, SearchFailed
from tasks.ledger.records import Receipt
from tasks.ledger.states import State
from tasks.snapshots import SnapshotRow

HITS = 10
FOUND = "collections:found"
ROLLING = "collections:rolling"


def search(name: str, version: str) -> None:
    """The search box and what it found. The answer is kept, so that other reruns do not ask again."""
    query = st.text_input(
        "Search",
        type="search",
        key="query",
        bind="query-params",
        placeholder=f"Search {name}",
        icon=":material/search:",
        label_visibility="collapsed",
        max_chars=500,
    )
    query = (query or "").strip()
    if not query:
        return
    asked = (name, version, query)
    if st.session_state.get(FOUND, (None,))[0] != asked:
        try:
            with st.spinner("Searching…"):
                st.session_state[FOUND] = (asked, connection.answers().ask(name, query, k=HITS))
        except SearchFailed as error:
            st.error(str(error), icon=":material/error:")
            return
    answer: Answer = st.session_state[FOUND][1]
    if not answer.hits:
        st.html(markup.empty("Nothing found", "Use other words, or submit more documents to this collection."))
        return
    st.caption(
        f"{format.counted(len(answer.hits), 'passage')} from snapshot {answer.version} in {answer.took_ms:.0f} ms"
    )
    st.html(shelf_markup.hits(answer.hits, query))


def roll_back(name: str, version: str) -> Receipt:
    redis = connection.redis()
    row = catalog.roll_back(redis.ledger, name, version, by=who.me(redis.settings))
    return Receipt(
        row.job,
        "roll back",
        State.COMPLETED,
        f"{name} is at snapshot {row.version} now; searches read it from here on.",
    )


def _never_mind() -> None:
    st.session_state.pop(ROLLING, None)


def confirm(name: str, row: SnapshotRow) -> None:
    st.text(
        f"Searches of {name} will read snapshot {row.version} with {format.counted(row.documents, 'document')}. "
        "No snapshot is removed; you can move back at any time."
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Stay", key="roll-no"):
            _never_mind()
            st.rerun()
        if st.button("Roll back", type="primary", key="roll-yes"):
            _never_mind()
            actions.act(lambda: roll_back(name, row.version))
            st.rerun()


def snapshots(name: str, rows: list[SnapshotRow], now: datetime) -> None:
    st.subheader("Snapshots")
    st.html(shelf_markup.snapshots(rows, now))
    others = {row.version: row for row in rows if not row.current}
    if not others:
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="rollback"):
        version = st.selectbox("Roll back to", list(others), key=f"version-{name}", width=240)
        if st.button("Roll back…", icon=":material/history:") and version:
            st.session_state[ROLLING] = (name, version)
    rolling = st.session_state.get(ROLLING)
    if rolling and rolling[0] == name and rolling[1] in others:
        row = others[rolling[1]]
        st.dialog(f"Make snapshot {row.version} current?", on_dismiss=_never_mind)(confirm)(name, row)


st.title("Collections")
outage.banner_if_down()
actions.told()
now = datetime.now(UTC)
rows = catalog.collections(connection.redis().settings)
if not rows:
    st.html(
        markup.empty(
            "No collection yet",
            "A collection appears here when its first job has published.",
            "documents",
            "Submit documents",
        )
    )
else:
    names = [row.name for row in rows]
    asked = st.query_params.get("name", "")
    if asked and asked not in names:
        st.info(f"The collection {asked} has no published snapshot yet.".replace("`", "'"), icon=":material/info:")
    chosen = st.selectbox("Collection", names, key="name", bind="query-params") or names[0]
    try:
        found = catalog.snapshots(connection.redis().settings, chosen)
    except IngestboardError as error:
        st.error(str(error), icon=":material/error:")
        found = []
    current = next((row.version for row in found if row.current), "")
    search(chosen, current)
    if found:
        snapshots(chosen, found, now)
    st.subheader("All collections")
    st.html(shelf_markup.collections(rows, chosen, now))
