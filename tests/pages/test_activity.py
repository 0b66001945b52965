"""The activity page: who did what to which job, found by person, action, subject, text and time."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.access import Person, Role
from tasks.ledger import Ledger, activity, control, keys, tokens
from tasks.ledger.activity import Wanted
from tests.factories import submitted
from tests.pages.conftest import Open, html_of, words_of
from tests.pages.test_job import click


def noted(ledger: Ledger, count: int, *, by: str = "ana", action: str = "cancel", ago_s: float = 0) -> None:
    """Audit rows, a second apart, the newest so long ago."""
    now = ledger.now() - ago_s
    for at in range(count):
        fields: dict[Any, Any] = {"by": by, "action": action, "subject": f"{at:012x}", "result": f"Row {at} of {by}."}
        ledger.redis.xadd(keys.AUDIT, fields, id=f"{int((now - count + at) * 1000)}-*")


def test_before_anybody_did_anything(open_page: Open, board_ledger: Ledger) -> None:
    assert "Nobody has done anything yet" in words_of(open_page("activity"))


def test_what_a_person_did_is_a_row_with_the_way_to_the_job(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger, owner="<i>ana</i>")
    control.cancel(board_ledger, job, by="bo")
    page = open_page("activity")
    words = words_of(page)
    assert f"bo cancel {job} Job {job} was canceled; nobody was working on it." in words
    assert "<i>ana</i> submit" in words
    assert "<i>ana" not in html_of(page)
    assert f'href="job?job={job}"' in html_of(page)


@pytest.mark.parametrize(
    ("parameters", "shown"),
    [
        ({"by": "bo"}, {"bo retry"}),
        ({"action": "cancel"}, {"ana cancel"}),
        ({"q": "row 0 OF"}, {"ana cancel", "bo retry"}),
        ({"on": "000000000001", "by": "bo"}, {"bo retry"}),
        ({"within": "1 h"}, {"ana cancel"}),
        ({"by": "nobody"}, set()),
    ],
)
def test_each_filter_is_in_the_address(
    open_page: Open, board_ledger: Ledger, parameters: dict[str, str], shown: set[str]
) -> None:
    noted(board_ledger, 2, by="bo", action="retry", ago_s=7_200)
    noted(board_ledger, 2)
    words = words_of(open_page("activity", **parameters))
    assert {one for one in ("ana cancel", "bo retry") if one in words} == shown
    assert ("Nothing matches" in words) is (not shown)


def test_older_rows_are_a_page_away_and_back(open_page: Open, board_ledger: Ledger) -> None:
    noted(board_ledger, 150)
    page = open_page("activity")
    assert "Row 149" in words_of(page)
    assert "Row 49 " not in words_of(page)
    click(page, "Older")
    assert "Row 49 " in words_of(page)
    assert "Row 149" not in words_of(page)
    assert page.query_params["before"]
    click(page, "Newest")
    assert "Row 149" in words_of(page)


def test_an_old_page_is_not_read_again(open_page: Open, board_ledger: Ledger, paces: list[float | None]) -> None:
    noted(board_ledger, 1)
    open_page("activity")
    assert paces[-1] == 10.0
    open_page("activity", before="1700000000000-0")
    assert paces[-1] is None


def test_a_place_that_is_none_is_left_out(open_page: Open, board_ledger: Ledger) -> None:
    noted(board_ledger, 1)
    assert "Row 0" in words_of(open_page("activity", before="x'; DROP"))


def test_a_search_that_matches_little_says_how_far_it_looked(
    open_page: Open, board_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "BATCH", 20)
    monkeypatch.setattr(activity, "LOOKED_THROUGH", 40)
    noted(board_ledger, 1, by="bo", ago_s=7_200)
    noted(board_ledger, 60)
    page = open_page("activity", by="bo")
    assert "Nothing so far" in words_of(page)
    click(page, "Look further back")
    assert "Row 0 of bo." in words_of(page)


def test_a_file_holds_all_that_matches_up_to_a_bound(board_ledger: Ledger) -> None:
    noted(board_ledger, 30, ago_s=60)
    noted(board_ledger, 5, by="bo")
    assert len(activity.matching(board_ledger, Wanted(by="ana"), limit=100)[0]) == 30
    rows, all_of_it = activity.matching(board_ledger, Wanted(by="ana"), limit=10)
    assert (len(rows), all_of_it) == (10, False)
    assert activity.matching(board_ledger, Wanted(by="bo"), limit=5)[1] is True


def test_no_row_is_lost_or_doubled_between_pages(board_ledger: Ledger) -> None:
    noted(board_ledger, 95)
    found: list[str] = []
    before = ""
    while True:
        page = activity.page(board_ledger, Wanted(action="cancel"), before=before, limit=10)
        found += [row.id for row in page.rows]
        before = page.older
        if not before:
            break
    assert len(found) == len(set(found)) == 95
    assert found == sorted(found, reverse=True)


def test_what_was_refused_is_marked_and_found(open_page: Open, board_ledger: Ledger) -> None:
    noted(board_ledger, 1)
    control.record(board_ledger, "delete", "papers", by="<b>bo</b>", result="No.", outcome="refused", origin="<i>x")
    words = words_of(open_page("activity"))
    assert "<b>bo</b> <i>x delete papers Refused No." in words
    assert "ana" in words
    page = open_page("activity", refused="true")
    assert "Refused No." in words_of(page)
    assert "ana" not in words_of(page)
    assert "<i>x" not in html_of(page)


def test_a_token_on_the_record_is_no_job(open_page: Open, board_ledger: Ledger) -> None:
    eve = Person("eve", Role.VIEWER, hidden=("hr-*",))
    _, made = tokens.make(board_ledger.held_by(eve), "ci", role=Role.VIEWER, days=1)
    page = open_page("activity")
    assert f"eve make token {made.id}" in words_of(page)
    assert "job?job=" not in html_of(page)
    assert len(activity.page(board_ledger.held_by(eve)).rows) == 1


def test_a_page_says_from_where_it_is_looked_at(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    page = open_page("job", job=job)
    click(page, "Cancel")
    click(page, "Cancel the job")
    (newest, *_) = activity.page(board_ledger).rows
    assert (newest.action, newest.origin) == ("cancel", "page")
