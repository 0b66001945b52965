"""Collections: which there are, a search over the current snapshot of one, its snapshots, and its upkeep."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from dashboard import connection, format, markup, outage
from dashboard.acting import actions, allowed, asking
from dashboard.cards import held_back, passages, upkeep, versions
from dashboard.drawing import shelf_markup
from tasks import catalog
from tasks.access import Right
from tasks.errors import IngestboardError
from tasks.ledger.control import COLLECTION_NAME
from tasks.settings import Settings

SNAPSHOTS, COMPARE, HELD, UPKEEP = "Snapshots", "Compare", "Held back", "Upkeep"


def search(name: str, version: str) -> None:
    """The search box and what it found."""
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
    if query := (query or "").strip():
        passages.show(name, query, version)


def waiting(settings: Settings, published: list[str]) -> list[str]:
    """Collections whose very first snapshot a gate holds: nothing else shows that they are there."""
    known = connection.redis().board().collections()
    # A job that was not written by our doors may name no collection at all, and must not cost everybody the page.
    fit = (name for name in known if name not in published and COLLECTION_NAME.fullmatch(name))
    return [name for name in fit if catalog.held(settings, connection.redis().person, name)]


def show(name: str, settings: Settings, now: datetime) -> None:
    """One collection: the search first, and below it one view at a time. Only the open one is computed."""
    found = catalog.snapshots(settings, connection.redis().person, name)
    held = catalog.held(settings, connection.redis().person, name)
    current = next((row.version for row in found if row.current), "")
    notice = st.container()
    if found:
        search(name, current)
    labels = [*([SNAPSHOTS, COMPARE] if found else []), *([HELD] if held else []), UPKEEP]
    tabs = dict(zip(labels, st.tabs(labels, key="view", bind="query-params"), strict=True))
    opened = next((label for label in labels if tabs[label].open), labels[0])
    if held and opened != HELD:
        notice.warning(
            f"A gate holds {format.counted(len(held), 'snapshot')} of {name} back: look at it under {HELD}"
            f"{', then publish or discard it' if allowed.may(Right.PUBLISH_HELD) else ''}.",
            icon=":material/front_hand:",
        )
    with tabs[opened]:
        if opened == SNAPSHOTS:
            versions.snapshots(name, found, now)
        elif opened == COMPARE:
            versions.compare(name, found)
        elif opened == HELD:
            held_back.cards(name, current, held, now)
        else:
            upkeep.cards(name, found)


st.title("Collections")
outage.banner_if_down()
actions.told()
now = datetime.now(UTC)
settings = connection.redis().settings
rows = catalog.collections(settings, connection.redis().person)
names = [row.name for row in rows]
names += waiting(settings, names)
if not names:
    asking.done("", names)
    way = ("documents", "Submit documents") if allowed.may(Right.SUBMIT) else ()
    st.html(markup.empty("No collection yet", "A collection appears here when its first job has published.", *way))
else:
    asked = st.query_params.get("name", "")
    if asked and asked not in names:
        st.info(markup.literal(f"The collection {asked} has no published snapshot yet."), icon=":material/info:")
    chosen = st.selectbox("Collection", names, key="name", bind="query-params") or names[0]
    asking.done(chosen, names)
    try:
        show(chosen, settings, now)
    except IngestboardError as error:
        st.error(markup.literal(error), icon=":material/error:")
    if rows:
        st.subheader("All collections")
        st.html(shelf_markup.collections(rows, chosen, now))
