"""Activity: who did what to which job, when, with which result. Filter and place in the URL; CSV of what matches."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import streamlit as st

from dashboard import connection, format, markup, outage
from dashboard.cards import csv_export
from dashboard.markup import Column, safe
from dashboard.pace import watched
from tasks.ledger import Ledger, activity
from tasks.ledger.activity import ActivityRow, Page, Wanted

ROWS = 100
EVERY_S = 10.0
WITHIN = {"1 h": 1, "24 h": 24, "7 d": 7 * 24, "30 d": 30 * 24}
REFUSED = '<span class="ib-badge ib-warn">Refused</span> '
JOB = re.compile(r"[0-9a-f]{12}")
COLUMNS = (
    Column("When"),
    Column("Who", "ib-who"),
    Column("Action"),
    Column("On"),
    Column("Result", "ib-wide ib-result"),
)
HEADS = ("time", "who", "from", "action", "on", "outcome", "result")


@st.cache_resource(ttl=60, show_spinner=False)
def known(sight: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The people and actions to choose from, for all who see as much."""
    return activity.known(connection.redis().ledger)


def choice(label: str, key: str, options: list[str]) -> str:
    """A filter of one value. A value from a shared link is offered even when nobody has it any more."""
    asked = st.query_params.get(key, "")
    if asked and asked not in options:
        options = [asked, *options]
    return (
        st.selectbox(
            label,
            options,
            index=None,
            key=key,
            bind="query-params",
            placeholder=f"Any {label.lower()}",
            label_visibility="collapsed",
            on_change=newest,
        )
        or ""
    )


def line(label: str, key: str, icon: str) -> str:
    return (
        st.text_input(
            label,
            key=key,
            bind="query-params",
            placeholder=label,
            label_visibility="collapsed",
            on_change=newest,
            icon=icon,
            max_chars=200,
        )
        or ""
    ).strip()


def asked() -> Wanted:
    """What to look for, from the widgets; each is bound to its parameter in the URL."""
    people, actions = known(connection.redis().person.sight)
    with st.container(horizontal=True, vertical_alignment="center", key="activity-filter"):
        text = line("Search results", "q", ":material/search:")
        subject = line("Job, collection or worker", "on", ":material/tag:")
        by = choice("Person", "by", people)
        action = choice("Action", "action", actions)
        within = st.segmented_control(
            "Within", list(WITHIN), key="within", bind="query-params", label_visibility="collapsed", on_change=newest
        )
        refused = st.checkbox("Refused only", key="refused", bind="query-params", on_change=newest)
    since = datetime.now(UTC) - timedelta(hours=WITHIN[within]) if within in WITHIN else None
    outcome = "refused" if refused else ""
    return Wanted(by=by, action=action, subject=subject, text=text, since=since, outcome=outcome)


def newest() -> None:
    st.query_params.pop("before", None)


def shown() -> None:
    """The live part: one page of rows."""
    wanted, before = st.session_state["activity:asked"]
    found = activity.page(connection.redis().ledger, wanted, before=before, limit=ROWS)
    now = datetime.now(UTC)
    st.html(table(found, now) if found.rows else nothing(found, wanted, before))
    pager(found, before)


def nothing(found: Page, wanted: Wanted, before: str) -> str:
    if found.looked_back_to is not None:
        return markup.empty("Nothing so far", "Look further back, or change what to look for.")
    if before or wanted != Wanted():
        return markup.empty("Nothing matches", "Remove a filter, or show everything.", "activity", "Show everything")
    return markup.empty("Nobody has done anything yet", "What people submit, cancel, retry or delete is listed here.")


def table(found: Page, now: datetime) -> str:
    collections = set(connection.redis().board().collections())
    return markup.table(COLUMNS, (cells(row, collections, now) for row in found.rows), kind="ib-activity")


def cells(row: ActivityRow, collections: set[str], now: datetime) -> tuple[str, ...]:
    return (
        markup.when(row.at, now),
        f"<b>{safe(row.by or 'someone')}</b>"
        + (f' <span class="ib-soft">{safe(row.origin)}</span>' if row.origin else ""),
        f'<span class="ib-chip">{safe(row.action)}</span>',
        subject(row, collections),
        f'{REFUSED if row.outcome == "refused" else ""}<span class="ib-name">{safe(row.result)}</span>',
    )


def subject(row: ActivityRow, collections: set[str]) -> str:
    """What it was done to, with the way there."""
    name = row.subject
    if JOB.fullmatch(name) and row.action not in activity.ON_TOKENS:
        return f'<a href="{markup.job_link(name)}" target="_self"><code>{safe(name)}</code></a>'
    if name in collections:
        return f'<a href="{markup.collection_link(name)}" target="_self">{safe(name)}</a>'
    return safe(name) or format.NOTHING


def pager(found: Page, before: str) -> None:
    """Where the page ends, and the way on."""
    said = format.counted(len(found.rows), "row")
    if found.looked_back_to is not None:
        said += f"; looked back to {format.exact(found.looked_back_to)}"
    elif not found.older:
        said += "; there is nothing older" if found.rows else ""
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        st.caption(said, width="content")
        # A click in the live part runs that alone; the place is chosen in the full run.
        if before and st.button("Newest", icon=":material/first_page:"):
            newest()
            st.rerun()
        label = "Look further back" if found.looked_back_to else "Older"
        if found.older and st.button(label, icon=":material/chevron_right:", icon_position="right"):
            st.query_params["before"] = found.older
            st.rerun()


def saved(wanted: Wanted, held: Callable[[], Ledger]) -> list[list[object]]:
    """What matches, for the file; it says so where it is cut."""
    # Made when the file is asked for, which is no run of this page.
    rows, all_of_it = activity.matching(held(), wanted, limit=csv_export.ROWS_MOST)
    found: list[list[object]] = [
        [row.at, row.by, row.origin, row.action, row.subject, row.outcome, row.result] for row in rows
    ]
    if not all_of_it:
        found.append([None, "", "", "", "", "", f"Only the newest {csv_export.ROWS_MOST:,} rows are in this file."])
    return found


head = st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute")
head.title("Activity")
outage.banner_if_down()
wanted = asked()
with head:
    rows = partial(saved, wanted, connection.later())
    csv_export.button("activity", HEADS, rows, key="csv-activity", label="CSV of what matches")
before = activity.known_id(st.query_params.get("before", ""))
st.session_state["activity:asked"] = (wanted, before)
st.fragment(watched(shown), run_every=None if before else EVERY_S)()
