"""The board: figures, filters and the live table of jobs. Filters and page live in the URL."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import board_markup, connection, format, markup, outage
from dashboard.feed import PAGE_SIZE, Filter, Mirror
from dashboard.pace import Outline, of
from tasks.ledger.states import State

OUTLINE = Outline("board")
FULL = 10_000  # what the feed holds at most at its start; older jobs are on their own pages


def pages_of(matching: int) -> int:
    return max(1, -(-matching // PAGE_SIZE))


def board(top: DeltaGenerator) -> None:
    """The live part: display only, driven by what the last full run left in the session. `top` takes the figures."""
    wanted: Filter = st.session_state["board:filter"]
    number: int = st.session_state["board:page"]
    feed = connection.redis().feed
    mirror = feed.look()
    idle = OUTLINE.idle_s() > connection.redis().settings.idle_minutes * 60
    matching = mirror.matching(wanted)
    OUTLINE.redraw_unless(idle, of(mirror.moving), pages_of(len(matching)), bool(mirror.rows))
    if mirror.down:
        outage.inline(mirror.age_s)
    now = datetime.now(UTC)
    key = (mirror.revision, int(now.timestamp()), wanted, number)
    top.html(board_markup.figures(mirror.figures))
    st.html(feed.shared(key, lambda: drawn(mirror, wanted, number, now)))


def drawn(mirror: Mirror, wanted: Filter, number: int, now: datetime) -> str:
    """One page of the table as one piece of HTML."""
    if not mirror.rows:
        return markup.empty(
            "No jobs yet", "Drop some documents and watch them move here.", "documents", "Submit documents"
        )
    matching = mirror.matching(wanted)
    if not matching:
        return markup.empty(
            "No job matches these filters", "Remove one of them, or show all jobs.", "./", "Show all jobs"
        )
    start = (min(number, pages_of(len(matching))) - 1) * PAGE_SIZE
    shown = matching[start : start + PAGE_SIZE]
    span = f"{format.number(start + 1)} to {format.number(start + len(shown))}"
    count = f"{span} of {format.counted(len(matching), 'job')}"
    limit = f" among the newest {format.number(FULL)}" if len(mirror.rows) >= FULL else ""
    return f'{board_markup.jobs(shown, now)}<p class="ib ib-soft ib-count">{count}{limit}</p>'


def filters(mirror: Mirror) -> Filter:
    """The widgets of the filter; each is bound to its parameter in the URL."""
    states = st.pills(
        "State",
        [state.value for state in State],
        selection_mode="multi",
        key="state",
        bind="query-params",
        label_visibility="collapsed",
        on_change=first_page,
    )
    text, collection, owner = st.columns([2, 1, 1])
    return Filter(
        states=tuple(State(value) for value in states),
        collection=choice(collection, "Collection", "collection", mirror.collections()),
        owner=choice(owner, "Owner", "owner", mirror.owners()),
        text=text.text_input(
            "Search",
            type="search",
            key="q",
            bind="query-params",
            placeholder="Title, id, error, collection or owner",
            label_visibility="collapsed",
            on_change=first_page,
            icon=":material/search:",
        )
        or "",
    )


def choice(place: DeltaGenerator, label: str, key: str, known: list[str]) -> str:
    """A filter of one value. A value from a shared link is offered even when no job has it any more."""
    asked = st.query_params.get(key, "")
    options = known if not asked or asked in known else sorted([*known, asked])
    return (
        place.selectbox(
            label,
            options,
            index=None,
            key=key,
            bind="query-params",
            placeholder=f"Any {label.lower()}",
            label_visibility="collapsed",
            on_change=first_page,
        )
        or ""
    )


def first_page() -> None:
    st.query_params.pop("page", None)


def turn(to: int) -> None:
    if to > 1:
        st.query_params["page"] = str(to)
    else:
        first_page()


def asked_page(last: int) -> int:
    """The page that the URL asks for, held to those there are."""
    asked = st.query_params.get("page", "1")
    return min(max(1, int(asked)), last) if asked.isdecimal() and len(asked) < 9 else 1


def pager(number: int, last: int) -> None:
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        st.caption(f"Page {format.number(number)} of {format.number(last)}", width="content")
        st.button("Newer", icon=":material/chevron_left:", disabled=number <= 1, on_click=turn, args=(number - 1,))
        st.button(
            "Older",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=number >= last,
            on_click=turn,
            args=(number + 1,),
        )


with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
    st.title("Board")
    st.page_link("views/documents.py", label="Submit documents", icon=":material/upload_file:")

OUTLINE.touched()
top = st.container()
mirror = connection.redis().feed.look()
wanted = filters(mirror) if mirror.rows else Filter()
last = pages_of(len(mirror.matching(wanted)))
number = asked_page(last)
idle = OUTLINE.idle_s() > connection.redis().settings.idle_minutes * 60
pace = of(mirror.moving)
st.session_state["board:filter"] = wanted
st.session_state["board:page"] = number
OUTLINE.drawn(idle, pace, last, bool(mirror.rows))

if idle:
    with st.container(horizontal=True, vertical_alignment="center", key="paused"):
        st.info(
            "Paused because nobody has used this page for a while; it shows the jobs as they were.",
            icon=":material/pause_circle:",
        )
        st.button("Resume", type="primary", icon=":material/play_arrow:")
st.fragment(board, run_every=None if idle else pace)(top)
if last > 1:
    pager(number, last)
