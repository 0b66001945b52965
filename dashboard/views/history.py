"""History: throughput, waits, runs and failures over time, by collection; each chart with its table and CSV."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import streamlit as st

from dashboard import connection, markup, outage
from dashboard.acting import allowed
from dashboard.cards import csv_export
from dashboard.drawing import charts, panels
from dashboard.drawing.panels import CUSTOM, PANELS, RANGES, Panel
from dashboard.markup import Column, Figure, safe
from dashboard.pace import watched
from tasks.access import Right
from tasks.ledger import history
from tasks.ledger.buckets import OTHER, UPKEEP
from tasks.ledger.history import Series

EVERY_S = 60.0
LATE_S = 120.0
CHARTS, TABLES = "Charts", "Tables"
NAMES = {OTHER: "Other collections", UPKEEP: "Jobs without documents"}


@st.cache_resource(ttl=20, max_entries=64, show_spinner=False)
def series_of(collection: str, since: datetime, until: datetime, step_s: int, sight: tuple[str, ...] = ()) -> Series:
    """The figures, read once for all viewers who look at the same time and see as much."""
    return history.series(connection.redis().ledger, collection, since, until, step_s)


def asked_time() -> tuple[timedelta | None, datetime, datetime, int]:
    """The chosen time: how far back, or from when to when; and the step."""
    label = st.segmented_control(
        "Time",
        [*(one.label for one in RANGES), CUSTOM],
        default=RANGES[2].label,
        required=True,
        key="range",
        bind="query-params",
        label_visibility="collapsed",
    )
    now = datetime.now(UTC)
    chosen = next((one for one in RANGES if one.label == label), None)
    if chosen is not None:
        return chosen.back, now - chosen.back, now, chosen.step_s
    today = now.date()
    first, last = st.columns(2)
    oldest = today - timedelta(days=729)
    since = first.date_input(
        "From", today - timedelta(days=6), min_value=oldest, max_value=today, key="from", bind="query-params"
    )
    until = last.date_input("To", today, min_value=oldest, max_value=today, key="to", bind="query-params")
    begin, end = sorted((since, until))
    start = datetime.combine(begin, time.min, UTC)
    stop = min(now, datetime.combine(end, time.max, UTC))
    return None, start, stop, panels.step_for(stop - start)


def asked_collection(known: tuple[str, ...]) -> str:
    """The collection to show; '' for all of them."""
    # What mixes the figures of collections is for those who see all of them.
    options = [*known] if connection.redis().person.limited else [*known, OTHER, UPKEEP]
    asked = st.query_params.get("collection", "")
    if asked and asked not in options and not connection.redis().person.limited:
        options = [asked, *options]
    return (
        st.selectbox(
            "Collection",
            options,
            index=None,
            format_func=lambda one: NAMES.get(one, one),
            key="collection",
            bind="query-params",
            placeholder="All collections",
            label_visibility="collapsed",
        )
        or ""
    )


def shown() -> None:
    """The live part, once a minute: the figures, and the charts or the tables."""
    back, since, until, step_s, collection, view = st.session_state["history:asked"]
    now = datetime.now(UTC)
    if back is not None:
        # To the minute, so that viewers share what is read.
        until = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        since = until - back
    series = series_of(collection, since, until, step_s, connection.redis().person.sight)
    late(series, now)
    total = series.total()
    if not (total.started or total.ended or total.documents or total.oldest_s):
        nothing(series)
        return
    st.html(markup.figures(Figure(label, value) for label, value in panels.summary(series)))
    wanted = [panel for panel in PANELS if not (panel.overall and collection)]
    if view == TABLES:
        for panel in wanted:
            card(panel, series, now, table=True)
        return
    if len(wanted) % 2:
        card(wanted.pop(0), series, now, table=False)
    for at in range(0, len(wanted), 2):
        for place, panel in zip(st.columns(2), wanted[at : at + 2], strict=False):
            with place:
                card(panel, series, now, table=False)


def card(panel: Panel, series: Series, now: datetime, *, table: bool) -> None:
    """One panel: its head with the way to its CSV, and its chart or table."""
    with st.container(border=True, key=f"history-{panel.key}"):
        with st.container(
            horizontal=True,
            horizontal_alignment="distribute",
            vertical_alignment="center",
            key=f"panel-head-{panel.key}",
        ):
            st.html(
                f'<h2 class="ib-panel">{safe(panel.title)}</h2><p class="ib ib-soft ib-about">{safe(panel.about)}.</p>'
            )
            csv_export.button(
                f"{panel.key}-{series.collection.strip('()') or 'all'}-{panels.step_words(series.step_s)}".replace(
                    " ", "-"
                ),
                panels.csv_heads(panel),
                lambda: panels.csv_rows(panel, series, now),
                key=f"csv-{panel.key}",
            )
        if not any(panels.told(panel, figures) for _, figures in panels.rows(panel, series, now)):
            st.html('<p class="ib ib-soft">Nothing in this time.</p>')
        elif table:
            st.html(rows(panel, series, now))
        else:
            specification, data = charts.drawn(panel, series, now)
            st.vega_lite_chart(data, specification, width="stretch", alt=panels.spoken(panel, series, now))


def rows(panel: Panel, series: Series, now: datetime) -> str:
    """The figures of a panel as a table, newest first; steps without any are left out."""
    found = [
        (safe(panels.utc(at)), *(safe(panels.said(one, panel.unit)) for one in figures))
        for at, figures in panels.rows(panel, series, now)
        if panels.told(panel, figures)
    ]
    columns = [Column(head, "ib-num" if at else "ib-wide") for at, head in enumerate(panels.heads(panel))]
    return f'<div class="ib-scroll" tabindex="0">{markup.table(columns, reversed(found), kind="ib-history")}</div>'


def late(series: Series, now: datetime) -> None:
    """Say so when what happened is not in the figures yet."""
    age = (now - series.rolled_up_at).total_seconds() if series.rolled_up_at else LATE_S + 1
    if series.waiting and age > LATE_S:
        st.info(
            "The newest figures are missing: they are added up by a worker pool, and none runs at the moment.",
            icon=":material/hourglass_empty:",
        )


def nothing(series: Series) -> None:
    if series.rolled_up_at is None:
        way = ("documents", "Submit documents") if allowed.may(Right.SUBMIT) else ()
        advice = "Figures appear here with the first job that runs, and stay when jobs leave the board."
        st.html(markup.empty("No history yet", advice, *way))
    else:
        st.html(markup.empty("Nothing happened in this time", "Choose a longer time or another collection.", "history"))


st.title("History")
outage.banner_if_down()
back, since, until, step_s = asked_time()
minute = datetime.now(UTC).replace(second=0, microsecond=0)
known = series_of("", minute, minute, 60, connection.redis().person.sight).collections
filters = st.container(horizontal=True, vertical_alignment="center")
with filters:
    collection = asked_collection(known)
    view = st.segmented_control(
        "Show as",
        [CHARTS, TABLES],
        default=CHARTS,
        required=True,
        key="as",
        bind="query-params",
        label_visibility="collapsed",
    )
st.session_state["history:asked"] = (back, since, until, step_s, collection, view)
st.fragment(watched(shown), run_every=EVERY_S)()
st.html(
    f'<p class="ib ib-soft ib-count">One point {panels.step_words(step_s)}, times in UTC. Jobs without documents, such '
    f"as exports, are counted apart.</p>"
)
