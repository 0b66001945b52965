"""The history page: figures over time from the roll-ups, as charts and as tables, for all or one collection."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import altair as alt
import pytest

from dashboard.cards import csv_export
from dashboard.drawing import charts, panels
from dashboard.drawing.panels import PANELS, Panel
from tasks.ledger import Ledger, history, keys
from tasks.ledger.buckets import Bucket
from tasks.ledger.history import Point, Series
from tests.pages.conftest import Open, html_of, words_of

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def happened(ledger: Ledger, *, collection: str = "contracts", ago_s: float = 600, failed: int = 0) -> None:
    """A job that ran there and then."""
    at = ledger.now() - ago_s
    base: dict[str, Any] = {"collection": collection, "kind": "ingest"}
    facts: tuple[tuple[str, dict[str, Any]], ...] = (
        ("started", {"wait": "2.0"}),
        ("documents", {"ended": 10, "chunks": 40, "cached": 2, "failed": failed}),
        ("ended", {"state": "partial" if failed else "completed", "run": "30.0"}),
    )
    for what, more in facts:
        fields: dict[Any, Any] = {"what": what, **base, **more}
        ledger.redis.xadd(keys.FACTS, fields, id=f"{int(at * 1000)}-*")


def panel(key: str) -> Panel:
    return next(one for one in PANELS if one.key == key)


def series(*figures: Bucket, step_s: int = 60) -> Series:
    points = tuple(Point(NOW + timedelta(seconds=at * step_s), one) for at, one in enumerate(figures))
    return Series("", step_s, points, (), NOW)


def test_before_the_first_job_it_says_what_will_be_here(open_page: Open, board_ledger: Ledger) -> None:
    words = words_of(open_page("history"))
    assert "No history yet" in words
    assert "Submit documents" in words


def test_the_figures_of_a_day_and_a_chart_of_each(open_page: Open, board_ledger: Ledger) -> None:
    happened(board_ledger)
    happened(board_ledger, failed=5)
    history.roll_up(board_ledger)
    page = open_page("history")
    words = words_of(page)
    assert "2 jobs ended 50 % failed or partial 20 documents 80 chunks" in words
    titles = ["Jobs ended", "Failure rate", "Documents a minute", "Chunks a minute", "Run time", "Wait", "Queue age"]
    assert [title for title in titles if title in words] == titles
    assert len(page.get("vega_lite_chart")) == len(titles) - 1
    assert words.count("Nothing in this time.") == 1, "nothing has waited in the queue"
    assert len(page.get("download_button")) == len(titles)


def test_one_collection_alone(open_page: Open, board_ledger: Ledger) -> None:
    happened(board_ledger)
    happened(board_ledger, collection="mails")
    history.roll_up(board_ledger)
    page = open_page("history", collection="mails")
    assert "1 jobs ended" in words_of(page)
    assert "Queue age" not in words_of(page), "it is known for all together only"
    [choice] = page.selectbox
    assert choice.options == ["contracts", "mails", "Other collections", "Jobs without documents"]


def test_the_tables_say_what_the_charts_show(open_page: Open, board_ledger: Ledger) -> None:
    happened(board_ledger, failed=1)
    history.roll_up(board_ledger)
    page = open_page("history", **{"as": "Tables", "range": "1 h"})
    assert not page.get("vega_lite_chart")
    words = words_of(page)
    assert "Time (UTC) Completed Partial Failed Canceled" in words
    assert "0 1 0 0" in words
    assert "100 % 10 %" in words


def test_a_time_without_anything_says_so(open_page: Open, board_ledger: Ledger) -> None:
    happened(board_ledger, ago_s=7_000)
    history.roll_up(board_ledger)
    assert "Nothing happened in this time" in words_of(open_page("history", range="1 h"))


def test_a_time_of_ones_own_is_in_the_address(open_page: Open, board_ledger: Ledger) -> None:
    happened(board_ledger)
    history.roll_up(board_ledger)
    day = datetime.now(UTC).date()
    page = open_page(
        "history", range="Custom", **{"from": (day - timedelta(days=2)).isoformat(), "to": day.isoformat()}
    )
    assert [one.label for one in page.date_input] == ["From", "To"]
    assert "1 jobs ended" in words_of(page)


def test_a_pool_that_is_missing_is_said(open_page: Open, board_ledger: Ledger) -> None:
    happened(board_ledger)
    history.roll_up(board_ledger)
    happened(board_ledger, ago_s=0)
    board_ledger.redis.hset(keys.HISTORY, "cursor", f"{int((board_ledger.now() - 900) * 1000)}-0")
    page = open_page("history")
    assert "The newest figures are missing" in page.info[0].value


def test_it_draws_again_once_a_minute(open_page: Open, board_ledger: Ledger, paces: list[float | None]) -> None:
    open_page("history")
    assert paces[-1] == 60.0


def test_names_from_outside_are_escaped(open_page: Open, board_ledger: Ledger) -> None:
    happened(board_ledger, collection="<b>x</b>")
    history.roll_up(board_ledger)
    assert "<b>x" not in html_of(open_page("history", collection="<b>x</b>", **{"as": "Tables"}))


def test_the_newest_step_is_measured_by_what_has_passed_of_it() -> None:
    found = series(Bucket(documents=60), Bucket(documents=30), step_s=3600)
    now = NOW + timedelta(minutes=90)
    rates = [figures[0] for _, figures in panels.rows(panel("documents"), found, now)]
    assert rates == [1.0, 1.0]


@pytest.mark.parametrize(("failed", "top"), [(0, 1), (3, 5), (100, 100)])
def test_a_share_is_drawn_on_a_scale_that_shows_it(failed: int, top: float) -> None:
    specification, _ = charts.drawn(panel("failed"), series(Bucket(documents=100, documents_failed=failed)), NOW)
    assert specification["encoding"]["y"]["scale"]["domain"] == [0, top]


@pytest.mark.parametrize("one", PANELS, ids=lambda one: one.key)
def test_every_panel_draws_something_from_nothing_and_from_much(one: Panel) -> None:
    busy = Bucket(started=1, documents=10, chunks=5, documents_failed=1, oldest_s=4000)
    busy.ended.update(completed=3, failed=1)
    busy.wait.note(5)
    busy.run.note(50_000)
    for found in (series(Bucket(), Bucket()), series(busy, Bucket(), busy)):
        specification, data = charts.drawn(one, found, NOW + timedelta(hours=1))
        alt.Chart.from_dict({**specification, "data": {"values": []}})  # raises when it is no chart
        fields = {part["field"] for part in specification["encoding"].values() if "field" in part}
        assert {"at", "figure"} <= fields <= set(data.column_names)
        assert {data["at"][0].as_py(), data["at"][-1].as_py()} == {
            int(at.timestamp() * 1000) for at in (found.points[0].at, found.points[-1].at)
        }
        assert panels.spoken(one, found, NOW).startswith(one.title)
    assert "Nothing in this time" not in panels.spoken(one, series(busy), NOW + timedelta(hours=1))


def test_a_csv_holds_no_formula_and_keeps_numbers_and_letters() -> None:
    rows = [["=1+1", "-cmd", -5, "-5.5", "@x", "\tx", 'a,b\n"c"', "Zürich", None, NOW, 0.1]]
    raw = csv_export.encode(["+head", *"abcdefghij"], rows)
    assert raw.startswith(b"\xef\xbb\xbf")
    [head, row] = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""))
    assert head[0] == "'+head"
    assert row[:6] == ["'=1+1", "'-cmd", "-5", "-5.5", "'@x", "'\tx"]
    assert row[6:] == ['a,b\n"c"', "Zürich", "", "2026-05-04T12:00:00+00:00", "0.1"]


@pytest.mark.parametrize(
    ("days", "wanted"), [(1 / 24, 60), (1, 900), (2, 3600), (7, 7200), (30, 21_600), (90, 86_400), (729, 7 * 86_400)]
)
def test_a_time_of_ones_own_has_about_a_hundred_steps(days: float, wanted: int) -> None:
    assert panels.step_for(timedelta(days=days)) == wanted
