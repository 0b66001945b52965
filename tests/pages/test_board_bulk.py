"""Acting on everything that the search shows: the count first, a typed number above 25, then a bulk job."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import connection
from dashboard.acting import bulk_actions
from tasks import bulk
from tasks.kinds import BULK
from tasks.ledger import Ledger, control, monitor
from tests.factories import submitted
from tests.pages.conftest import Open, words_of
from tests.pages.stub_worker import StubWorker


def choose(page: AppTest, label: str) -> AppTest:
    page.menu_button(key="bulk").click(label).run()
    assert not page.exception
    return page


def bulk_jobs(ledger: Ledger) -> list[str]:
    rows, _ = monitor.page(ledger)
    return [row.id for row in rows if row.kind == BULK.name]


def test_what_is_shown_is_what_is_acted_on(open_page: Open, board_ledger: Ledger) -> None:
    shown = [submitted(board_ledger, collection="minutes") for _ in range(3)]
    submitted(board_ledger, collection="contracts")
    control.cancel(board_ledger, shown[0], by="ana")
    page = choose(open_page("board", q="collection:minutes"), "Cancel")
    words = words_of(page)
    assert "2 of 3 can be canceled, of those that match collection:minutes ." in words
    assert "The others stay as they are: 1 canceled." in words
    later = submitted(board_ledger, collection="minutes")
    page.button(key="board-yes").click().run()
    (job,) = bulk_jobs(board_ledger)
    assert sorted(bulk.ids(board_ledger, job)) == sorted(shown[1:])
    assert later not in bulk.ids(board_ledger, job)
    assert f"[Watch it](job?job={job})" in page.toast[0].value


def test_above_25_jobs_the_number_is_typed(
    open_page: Open, board_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "TYPED_ABOVE", 1)
    for _ in range(2):
        submitted(board_ledger)
    page = choose(open_page("board"), "Cancel")
    assert page.button(key="board-yes").disabled
    page.text_input(key="bulk-typed").set_value("3").run()
    assert page.button(key="board-yes").disabled
    page.text_input(key="bulk-typed").set_value("2").run()
    page.button(key="board-yes").click().run()
    (job,) = bulk_jobs(board_ledger)
    assert len(bulk.ids(board_ledger, job)) == 2


def test_the_question_can_be_left_without_doing_anything(open_page: Open, board_ledger: Ledger) -> None:
    submitted(board_ledger)
    page = choose(open_page("board"), "Cancel")
    page.button(key="board-no").click().run()
    assert not page.get("dialog")
    assert bulk_jobs(board_ledger) == []


def test_an_action_that_no_job_takes_cannot_be_started(open_page: Open, board_ledger: Ledger) -> None:
    submitted(board_ledger)
    page = choose(open_page("board"), "Delete")
    assert "0 of 1 can be deleted" in words_of(page)
    assert page.button(key="board-yes").disabled


def test_only_what_failed_is_retried_and_completed_jobs_are_left(open_page: Open, board_ledger: Ledger) -> None:
    failed = submitted(board_ledger)
    StubWorker(board_ledger, failed).work_through(failing=[0])
    done = StubWorker(board_ledger, submitted(board_ledger))
    done.work_through()
    done.publish()
    page = choose(open_page("board"), "Retry what failed")
    assert "1 of 2 can be retried" in words_of(page)
    page.button(key="board-yes").click().run()
    (job,) = bulk_jobs(board_ledger)
    assert bulk.ids(board_ledger, job) == [failed]
    assert '"failed_only":true' in monitor.job(board_ledger, job).arguments.replace(" ", "")


def test_a_priority_is_chosen_in_the_question(open_page: Open, board_ledger: Ledger) -> None:
    waiting = submitted(board_ledger)
    page = choose(open_page("board"), "Change the priority")
    page.selectbox(key="bulk-priority").select("low").run()
    page.button(key="board-yes").click().run()
    (job,) = bulk_jobs(board_ledger)
    assert bulk.ids(board_ledger, job) == [waiting]
    assert '"low"' in monitor.job(board_ledger, job).arguments


def test_more_jobs_than_one_bulk_action_takes_are_said(
    open_page: Open, board_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST", 2)
    for _ in range(3):
        submitted(board_ledger)
    page = choose(open_page("board"), "Cancel")
    words = words_of(page)
    assert "3 of 3 can be canceled, of all jobs." in words
    assert "One bulk action takes 2 jobs at most: the first 2 in the order of the table. Ask again for the" in words
    assert "other 1." in words


@pytest.mark.parametrize(("sort", "first"), [("", [2, 1]), ("created", [0, 1]), ("-title", [0, 2])])
def test_of_too_many_jobs_those_on_top_of_the_table_are_acted_on(
    open_page: Open, board_ledger: Ledger, monkeypatch: pytest.MonkeyPatch, sort: str, first: list[int]
) -> None:
    monkeypatch.setattr(bulk, "MOST", 2)
    jobs = [submitted(board_ledger, title=title) for title in ("cedar", "alder", "birch")]
    page = choose(open_page("board", sort=sort), "Cancel")
    page.button(key="board-yes").click().run()
    (job,) = bulk_jobs(board_ledger)
    assert bulk.ids(board_ledger, job) == [jobs[at] for at in first]


def test_an_action_whose_own_queue_is_paused_says_so_before_and_after(open_page: Open, board_ledger: Ledger) -> None:
    submitted(board_ledger)
    control.pause(board_ledger, "high", by="ben*")
    page = choose(open_page("board"), "Cancel")
    assert page.warning[0].value == (
        "The queue high, from which it is worked on, is paused by ben\\*: it waits for a resume."
    )
    page.button(key="board-yes").click().run()
    assert "is paused by ben" in page.toast[0].value
    control.resume(board_ledger, "high", by="ben")
    connection.shared().feed.hurry()
    assert not choose(open_page("board"), "Cancel").warning
