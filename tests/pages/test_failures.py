"""Failures by cause on the board: the table, one cause, its note and the retry of the group."""

from __future__ import annotations

import re
from html import unescape

import pytest

from dashboard import connection
from dashboard.cards.failures import group_of
from dashboard.wanted import Cause
from tasks import bulk
from tasks.kinds import BULK
from tasks.ledger import Ledger, failures, monitor
from tests.factories import submitted
from tests.pages.conftest import Open, button, html_of, words_of
from tests.pages.stub_worker import StubWorker


def failed(ledger: Ledger, error: str, **changes: object) -> str:
    """A job whose one document failed."""
    job = submitted(ledger, 1, **changes)
    worker = StubWorker(ledger, job)
    worker.start()
    worker.finish(error=error)
    worker.settle()
    return job


def key_of(cause: str) -> str:
    """The key of the group that stands for a cause."""
    groups = connection.shared().feed.look().groups()
    return next(group.key for group in groups if cause in group.cause)


@pytest.fixture
def jobs(board_ledger: Ledger) -> list[str]:
    """Two jobs that failed of one cause, and one of another."""
    return [
        failed(board_ledger, "Page 17 of scan-1.pdf cannot be read.", collection="minutes"),
        failed(board_ledger, "Page 4 of scan-22.pdf cannot be read."),
        failed(board_ledger, "The file is encrypted; save it without a password."),
    ]


def test_failures_are_grouped_by_their_cause(open_page: Open, jobs: list[str]) -> None:
    page = open_page("board", view="failures")
    words = words_of(page)
    assert "2 causes in 3 jobs." in words
    assert words.count("cannot be read.") == 1
    assert "not acknowledged" in words
    assert "1 failure in the last 24 hours" in html_of(page)
    assert 'aria-current="page">Failures by cause (2)' in html_of(page)
    assert not page.menu_button


def test_the_search_narrows_the_causes(open_page: Open, jobs: list[str]) -> None:
    assert "1 cause in 1 job." in words_of(open_page("board", view="failures", q="collection:minutes"))
    assert "No failure matches this search" in words_of(open_page("board", view="failures", q="owner:nobody"))


def test_a_board_on_which_nothing_failed_says_so(open_page: Open, board_ledger: Ledger) -> None:
    submitted(board_ledger)
    assert "Nothing failed" in words_of(open_page("board", view="failures"))


def test_a_cause_shows_its_jobs(open_page: Open, jobs: list[str]) -> None:
    html = html_of(open_page("board", view="failures", cause=key_of("cannot be read")))
    assert [f"job?job={job}" in unescape(html) for job in jobs] == [True, True, False]


def test_the_group_is_retried_with_the_count_first(open_page: Open, board_ledger: Ledger, jobs: list[str]) -> None:
    page = open_page("board", view="failures", cause=key_of("cannot be read"))
    button(page, "Retry the group").click().run()
    assert "2 of 2 can be retried" in words_of(page)
    page.button(key="board-yes").click().run()
    (job,) = [row.id for row in monitor.page(board_ledger)[0] if row.kind == BULK.name]
    assert sorted(bulk.ids(board_ledger, job)) == sorted(jobs[:2])


def test_only_those_that_the_search_shows_are_retried(open_page: Open, board_ledger: Ledger, jobs: list[str]) -> None:
    key = key_of("cannot be read")
    assert f"cause={key}&amp;within=collection%3Aminutes" in html_of(
        open_page("board", view="failures", q="collection:minutes")
    )
    page = open_page("board", view="failures", cause=key, within="collection:minutes")
    assert "Among the jobs that match collection:minutes" in words_of(page)
    button(page, "Retry the group").click().run()
    page.button(key="board-yes").click().run()
    (job,) = [row.id for row in monitor.page(board_ledger)[0] if row.kind == BULK.name]
    assert bulk.ids(board_ledger, job) == jobs[:1]


def test_a_link_of_the_table_asks_before_it_retries(open_page: Open, jobs: list[str]) -> None:
    key = key_of("cannot be read")
    assert f"cause={key}&amp;ask=retry" in html_of(open_page("board", view="failures"))
    page = open_page("board", view="failures", cause=key, ask="retry")
    assert "2 of 2 can be retried" in words_of(page)
    assert "ask" not in page.query_params


def test_a_cause_is_acknowledged_with_a_note_and_a_name(open_page: Open, board_ledger: Ledger, jobs: list[str]) -> None:
    key = key_of("encrypted")
    page = open_page("board", view="failures", cause=key)
    button(page, "Acknowledge").click().run()
    page.text_area(key="cause-note").set_value("Asked <b>ben</b> for the password.").run()
    page.button(key="board-yes").click().run()
    assert failures.acknowledged(board_ledger)[key].note == "Asked <b>ben</b> for the password."
    page = open_page("board", view="failures")
    said = r"acknowledged by local (now|\d+ s ago) : Asked <b>ben</b> for the password\."
    assert re.search(said, words_of(page))
    assert "<b>ben" not in html_of(page)
    page = open_page("board", view="failures", cause=key)
    button(page, "Withdraw").click().run()
    assert failures.acknowledged(board_ledger) == {}


def test_a_cause_of_which_nothing_stands_any_more_is_no_error(open_page: Open, jobs: list[str]) -> None:
    page = open_page("board", view="failures", cause="0123456789abcdef")
    assert "Nothing of this cause stands any more" in words_of(page)
    assert group_of(connection.shared().feed.look(), Cause("x")) is None
