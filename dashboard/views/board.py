"""The board: figures, what needs a person, the search and the live table of jobs or of failures by cause.

What is asked lives in the address; the live part is drawn once for all who ask for the same.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import connection, markup, outage
from dashboard.acting import allowed, board_asking, bulk_actions
from dashboard.cards import failures, saved_views, searching, tables
from dashboard.drawing import board_markup, failures_markup
from dashboard.lighter import Ready
from dashboard.memory.matching import Sort
from dashboard.memory.mirror import Mirror
from dashboard.memory.queueing import Line
from dashboard.pace import Outline, of, watched
from dashboard.wanted import FAILURES, Cause, Wanted
from tasks.access import Right
from tasks.ledger.failures import FailureGroup
from tasks.ledger.records import JobRow
from tasks.ledger.states import Action

OUTLINE = Outline("board")
PAGE_SIZE = 50


def pages_of(matching: int) -> int:
    return max(1, -(-matching // PAGE_SIZE))


def board(top: DeltaGenerator) -> None:
    """The live part: display only, driven by what the last full run left in the session. `top` takes the figures."""
    wanted: Wanted = st.session_state["board:wanted"]
    cause: Cause = st.session_state["board:cause"]
    number: int = st.session_state["board:page"]
    feed = connection.redis().feed
    mirror = connection.redis().board()
    idle = OUTLINE.idle_s() > connection.redis().settings.idle_minutes * 60
    OUTLINE.redraw_unless(*outline(mirror, wanted, cause, idle))
    if mirror.down:
        outage.inline(mirror.age_s)
    now = datetime.now(UTC)
    # A tick draws once for all who look; while Redis is away only the ages move on.
    tick = (mirror.read_at, int(now.timestamp()) if mirror.down else 0)
    # Once for all who see as much and are offered as much.
    offered = allowed.offered()
    whose = (*tick, mirror.hidden, offered)
    top.html(Ready(feed.shared(("top", *whose), lambda: figures(mirror, now, offered))))
    key = ("board", *whose, wanted, cause, number)
    st.html(Ready(feed.shared(key, lambda: drawn(mirror, wanted, cause, number, now, offered))))


def outline(mirror: Mirror, wanted: Wanted, cause: Cause, idle: bool) -> tuple[object, ...]:
    """What the widgets around the live part are drawn for."""
    last = pages_of(matching(mirror, wanted, cause))
    return (
        idle,
        of(mirror.moving),
        last,
        bool(mirror.total),
        bool(cause.key) and failures.group_of(mirror, cause) is None,
    )


def matching(mirror: Mirror, wanted: Wanted, cause: Cause) -> int:
    """How many rows there are to page through."""
    if cause.key:
        group = failures.group_of(mirror, cause)
        return len(group.jobs) if group else 0
    if wanted.view == FAILURES:
        return 0
    return mirror.page(wanted.query, Sort.read(wanted.sort or "-created"), 1, PAGE_SIZE).total


def figures(mirror: Mirror, now: datetime, offered: frozenset[Action]) -> str:
    return board_markup.figures(mirror.figures) + board_markup.concerns(mirror.concerns(), offered)


def drawn(mirror: Mirror, wanted: Wanted, cause: Cause, number: int, now: datetime, offered: frozenset[Action]) -> str:
    """The live table as one piece of HTML."""
    if not mirror.total and Action.RETRY not in offered:
        return markup.empty("No jobs yet", "What people submit moves here.")
    if not mirror.total:
        return markup.empty(
            "No jobs yet", "Drop some documents and watch them move here.", "documents", "Submit documents"
        )
    if cause.key:
        return of_cause(mirror, cause, number, now, offered)
    found = mirror.groups(wanted.query) if wanted.view == FAILURES else []
    tabs = board_markup.tabs(wanted, len(found))
    if wanted.view == FAILURES:
        return tabs + (
            failures_markup.groups(found, wanted, now, retry=Action.RETRY in offered)
            if found
            else nothing_failed(wanted)
        )
    sort = Sort.read(wanted.sort or "-created")
    page = mirror.page(wanted.query, sort, number, PAGE_SIZE)
    count = board_markup.covered(mirror, page.first, len(page.rows), page.total)
    if not page.rows:
        everything = Wanted(view=wanted.view).address()
        advice = "Take a word out of the search, or show all jobs."
        return tabs + count + markup.empty("No job matches this search", advice, everything, "Show all jobs")
    waits = Line(mirror).short
    return (
        tabs
        + count
        + board_markup.jobs(
            page.rows, now, sort=sort, wanted=wanted, waits=waits, reason=mirror.reason, offered=offered
        )
    )


def nothing_failed(wanted: Wanted) -> str:
    if wanted.query.empty:
        return markup.empty("Nothing failed", "No document and no job stands as failed.", "./", "Show all jobs")
    everything = Wanted(view=FAILURES).address()
    return markup.empty("No failure matches this search", "Take a word out of it.", everything, "Show all failures")


def of_cause(mirror: Mirror, cause: Cause, number: int, now: datetime, offered: frozenset[Action]) -> str:
    """One cause and its jobs."""
    group = failures.group_of(mirror, cause)
    if group is None:
        back = Wanted(view=FAILURES).address()
        return markup.empty("Nothing of this cause stands any more", "It was retried or deleted.", back, "All failures")
    rows = rows_of(mirror, group, number)
    table = board_markup.jobs(rows, now, reason=partial(mirror.reason, key=cause.key), offered=offered)
    return failures_markup.head(group, cause.within, now) + table


def rows_of(mirror: Mirror, group: FailureGroup, number: int) -> list[JobRow]:
    start = (number - 1) * PAGE_SIZE
    return [row for row in map(mirror.get, group.jobs[start : start + PAGE_SIZE]) if row is not None]


def one_cause(mirror: Mirror, cause: Cause) -> None:
    """What stands above one cause: the way back and what can be done."""
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="cause-head"
    ):
        st.html(
            markup.back(markup.safe(Wanted(cause.within, view=FAILURES).address()), "All failures"), width="content"
        )
        group = failures.group_of(mirror, cause)
        if group is not None:
            asked = st.query_params.pop("ask", "")
            if asked in failures.ASKED:
                failures.put(mirror, group, asked)
            failures.buttons(mirror, group)


def search(mirror: Mirror) -> Wanted:
    """The search with its suggestions, the order, the saved views and what can be done to all of it."""
    failed = searching.view() == FAILURES
    with st.container(horizontal=True, vertical_alignment="center", key="search"):
        with st.container(key="search-box", width="stretch"):
            typed = searching.box()
        sort = Sort.read(st.query_params.get("sort", "")) if failed else searching.order()
        views, act = st.container(width="content"), st.container(width="content")
    searching.suggestions(mirror, typed)
    wanted = searching.wanted(searching.states(), sort)
    with views:
        saved_views.menu(wanted)
    if not failed:
        with act:
            bulk_actions.menu(mirror, wanted.query, sort)
    return wanted


def foot(wanted: Wanted, cause: Cause, last: int) -> int:
    """The table as a file, and the pages, which live in the address; the page that is shown."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        if cause.key:
            tables.cause(cause.query, cause.key)
        elif wanted.view == FAILURES:
            tables.failures(wanted.query)
        else:
            tables.jobs(wanted.query, Sort.read(wanted.sort or "-created"))
        return st.pagination(last, key="page", bind="query-params") if last > 1 else 1


with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
    st.title("Board")
    if allowed.may(Right.SUBMIT):
        st.page_link("views/documents.py", label="Submit documents", icon=":material/upload_file:")

OUTLINE.touched()
board_asking.told()
top = st.container()
mirror = connection.redis().board()
cause = Cause(st.query_params.get("cause", ""), st.query_params.get("within", "")) if searching.view() else Cause()
wanted = Wanted(view=FAILURES)
if cause.key:
    one_cause(mirror, cause)
elif mirror.total:
    wanted = search(mirror)
else:
    wanted = Wanted()
idle = OUTLINE.idle_s() > connection.redis().settings.idle_minutes * 60
pace = of(mirror.moving)
live = st.container()
last = pages_of(matching(mirror, wanted, cause))
st.session_state["board:wanted"] = wanted
st.session_state["board:cause"] = cause
st.session_state["board:page"] = foot(wanted, cause, last) if mirror.total else 1
OUTLINE.drawn(*outline(mirror, wanted, cause, idle))
with live:
    if idle:
        with st.container(horizontal=True, vertical_alignment="center", key="paused"):
            st.info(
                "Paused because nobody has used this page for a while; it shows the jobs as they were.",
                icon=":material/pause_circle:",
            )
            st.button("Resume", type="primary", icon=":material/play_arrow:")
    st.fragment(watched(board), run_every=None if idle else pace)(top)
board_asking.open_asked()
