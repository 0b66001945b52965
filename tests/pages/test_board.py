"""The board, one test for each state that a person can see."""

from __future__ import annotations

import pytest

from dashboard.feed import PAGE_SIZE
from dashboard.pace import MOVING_S, STILL_S
from tasks.ledger import Ledger, control
from tests.factories import submitted
from tests.pages.conftest import Open, html_of, words_of
from tests.pages.stub_worker import StubWorker


def test_an_empty_board_says_what_to_do(open_page: Open) -> None:
    page = open_page("board")
    assert "No jobs yet" in words_of(page)
    assert 'href="documents"' in html_of(page)
    assert not page.selectbox


def test_a_running_job_shows_its_progress(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger, 4, title="Contracts of spring")
    worker = StubWorker(board_ledger, job)
    worker.appear()
    worker.start()
    worker.finish()
    worker.start()
    worker.enter("embed", fraction=0.5)
    page = open_page("board")
    words = words_of(page)
    assert "0 queued 1 running 0 done today 0 failed today 1 workers alive" in words
    assert "Running Contracts of spring" in words
    assert "embed · step 1 of 5" in words
    assert 'role="progressbar"' in html_of(page)
    assert f'href="job?job={job}"' in html_of(page)


def test_what_came_from_outside_is_escaped(open_page: Open, board_ledger: Ledger) -> None:
    submitted(board_ledger, title="<script>alert('x')</script>", owner='"><img src=x onerror=alert(1)>')
    html = html_of(open_page("board"))
    assert "<script>" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in html


def test_a_live_job_can_be_canceled_in_two_clicks(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    assert f'href="job?job={job}&amp;ask=cancel"' in html_of(open_page("board"))


def test_a_failed_job_shows_why(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger, 2)
    StubWorker(board_ledger, job).work_through(failing=[0, 1])
    words = words_of(open_page("board"))
    assert "1 failed today" in words
    assert "Every document failed" in words


@pytest.mark.parametrize(
    ("parameters", "shown"),
    [
        ({"q": "SPRING"}, ["spring"]),
        ({"owner": "ben"}, ["winter"]),
        ({"collection": "minutes"}, ["winter"]),
        ({"state": ["canceled"]}, ["spring"]),
        ({"q": "nothing like it"}, []),
    ],
)
def test_the_address_filters_the_board(
    open_page: Open, board_ledger: Ledger, parameters: dict[str, str | list[str]], shown: list[str]
) -> None:
    control.cancel(board_ledger, submitted(board_ledger, title="spring"), by="ana")
    submitted(board_ledger, title="winter", owner="ben", collection="minutes")
    words = words_of(open_page("board", **parameters))
    assert [title for title in ("spring", "winter") if f" {title} " in words] == shown
    assert ("No job matches these filters" in words) == (not shown)


def test_a_filter_can_be_chosen(open_page: Open, board_ledger: Ledger) -> None:
    submitted(board_ledger, title="spring")
    submitted(board_ledger, title="winter", owner="ben")
    page = open_page("board")
    page.selectbox(key="owner").select("ben").run()
    assert "spring" not in words_of(page)


def test_an_owner_of_a_shared_address_is_kept_though_no_job_has_it(open_page: Open, board_ledger: Ledger) -> None:
    submitted(board_ledger)
    page = open_page("board", owner="gone")
    assert page.selectbox(key="owner").value == "gone"
    assert "No job matches" in words_of(page)


def test_many_jobs_are_paged_and_the_page_is_in_the_address(open_page: Open, board_ledger: Ledger) -> None:
    for at in range(PAGE_SIZE + 2):
        submitted(board_ledger, title=f"job number {at}")
    page = open_page("board")
    assert f"1 to {PAGE_SIZE} of {PAGE_SIZE + 2} jobs" in words_of(page)
    older = next(one for one in page.button if one.label == "Older")
    older.click().run()
    assert f"{PAGE_SIZE + 1} to {PAGE_SIZE + 2} of {PAGE_SIZE + 2} jobs" in words_of(page)
    assert page.query_params["page"] == "2"
    assert "job number 0 " in words_of(page)


@pytest.mark.parametrize("page", ["0", "-1", "x", "99999999999", "7"])
def test_a_page_that_there_is_not_is_no_error(open_page: Open, board_ledger: Ledger, page: str) -> None:
    submitted(board_ledger)
    assert "1 to 1 of 1 job" in words_of(open_page("board", page=page))


def test_the_board_looks_every_second_while_something_moves(
    open_page: Open, board_ledger: Ledger, paces: list[float | None]
) -> None:
    job = submitted(board_ledger)
    open_page("board")
    assert set(paces) == {STILL_S}, "a job that waits without any worker does not move"
    StubWorker(board_ledger, job).start()
    paces.clear()
    open_page("board")
    assert paces[-1] == MOVING_S


def test_an_idle_board_stops_and_says_so(
    open_page: Open, board_ledger: Ledger, paces: list[float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(board_ledger)
    page = open_page("board")
    monkeypatch.setattr("dashboard.pace.Outline.idle_s", lambda self: 10_000.0)
    page.run()
    assert "Paused" in page.info[0].value
    assert paces[-1] is None
    monkeypatch.undo()
    next(one for one in page.button if one.label == "Resume").click().run()
    assert not page.info
