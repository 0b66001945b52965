"""The board, one test for each state that a person can see."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from dashboard import connection
from dashboard.drawing import board_markup
from dashboard.memory.mirror import Mirror
from dashboard.pace import MOVING_S, STILL_S
from tasks.ledger import Ledger, control, keys
from tests.factories import submitted
from tests.pages.conftest import Open, html_of, words_of
from tests.pages.stub_worker import StubWorker

PAGE_SIZE = 50


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
    single = submitted(board_ledger, title="single")
    StubWorker(board_ledger, single).work_through(failing=[0])
    words = words_of(open_page("board"))
    assert "2 failed today" in words
    assert "2 of 2 documents failed: The file is damaged; save it again and upload it." in words
    assert "single The file is damaged; save it again and upload it." in words


def test_a_partial_job_shows_how_many_failed_and_why(open_page: Open, board_ledger: Ledger) -> None:
    worker = StubWorker(board_ledger, submitted(board_ledger, 3))
    worker.work_through(failing=[1])
    worker.publish()
    assert "1 of 3 documents failed: The file is damaged;" in words_of(open_page("board"))


def test_a_job_is_found_by_what_was_said_of_its_documents(open_page: Open, board_ledger: Ledger) -> None:
    for title, error in (("Salaries", "The file is encrypted; save it without a password."), ("Scans", "It is empty.")):
        worker = StubWorker(board_ledger, submitted(board_ledger, title=title))
        worker.start()
        worker.finish(error=error)
        worker.settle()
    for text in ('error:"encrypted"', "encrypted"):
        words = words_of(open_page("board", q=text))
        assert "1 to 1 of 1 of 2 jobs" in words
        assert "Salaries" in words
    assert "none of 2 jobs" in words_of(open_page("board", q="error:nothing"))


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
    assert ("No job matches this search" in words) == (not shown)


def test_an_older_address_is_read_as_a_search(open_page: Open, board_ledger: Ledger) -> None:
    submitted(board_ledger)
    page = open_page("board", owner="ben of sales", q="spring")
    assert page.text_input(key="q").value == 'spring owner:"ben of sales"'
    assert "No job matches this search" in words_of(page)


def test_a_suggestion_is_taken_into_the_search(open_page: Open, board_ledger: Ledger) -> None:
    submitted(board_ledger, title="spring", owner="ana")
    submitted(board_ledger, title="winter", owner="ben")
    page = open_page("board", q="winter own")
    assert page.pills(key="suggestions").options == ["owner:"]
    page.pills(key="suggestions").select("winter owner:").run()
    assert page.text_input(key="q").value == "winter owner:"
    assert page.pills(key="suggestions").options == ["owner:ana", "owner:ben"]
    page.pills(key="suggestions").select("winter owner:ben").run()
    assert page.text_input(key="q").value == "winter owner:ben "
    assert "1 to 1 of 1 of 2 jobs" in words_of(page)
    assert page.query_params["q"] == "winter owner:ben "


def test_what_cannot_be_used_of_a_search_is_said_and_nothing_is_done_to_all(
    open_page: Open, board_ledger: Ledger
) -> None:
    submitted(board_ledger)
    page = open_page("board", q="sate:failed")
    assert "'sate' is no qualifier; did you mean 'state'?" in words_of(page)
    assert page.menu_button(key="bulk").proto.disabled
    # It is said while the next word is being typed as well: until then the board shows nothing, or too much.
    page = open_page("board", q="sate:failed own")
    assert page.pills(key="suggestions").options == ["owner:"]
    assert "'sate' is no qualifier; did you mean 'state'?" in words_of(page)
    page = open_page("board", q="state:")
    assert "needs a value" not in words_of(page)


def test_chosen_states_and_typed_ones_are_alternatives(open_page: Open, board_ledger: Ledger) -> None:
    control.cancel(board_ledger, submitted(board_ledger, title="spring"), by="ana")
    submitted(board_ledger, title="winter")
    assert "1 to 2 of 2 jobs" in words_of(open_page("board", q="state:queued", state=["canceled"]))


def test_a_head_of_the_table_sorts_by_its_column(open_page: Open, board_ledger: Ledger) -> None:
    for title in ("cedar", "alder", "birch"):
        submitted(board_ledger, title=title)
    page = open_page("board", q="collection:contracts", sort="title")
    words = words_of(page)
    assert words.index(" alder ") < words.index(" birch ") < words.index(" cedar ")
    html = html_of(page)
    assert 'aria-sort="ascending"><a class="ib-sort" href="./?q=collection%3Acontracts&amp;sort=-title"' in html
    assert 'href="./?q=collection%3Acontracts&amp;sort=-updated"' in html


def test_the_order_is_chosen_without_a_table_head_too(open_page: Open, board_ledger: Ledger) -> None:
    for title in ("cedar", "alder"):
        submitted(board_ledger, title=title)
    page = open_page("board")
    page.selectbox(key="board:order").select("title").run()
    assert page.query_params["sort"] == "title"
    words = words_of(page)
    assert words.index(" alder ") < words.index(" cedar ")
    page.selectbox(key="board:order").select("-created").run()
    assert "sort" not in page.query_params


@pytest.mark.parametrize("sort", ["nonsense", "-", "-nonsense", ""])
def test_an_order_that_there_is_not_is_newest_first(open_page: Open, board_ledger: Ledger, sort: str) -> None:
    for title in ("older", "newer"):
        submitted(board_ledger, title=title)
    words = words_of(open_page("board", sort=sort))
    assert words.index(" newer ") < words.index(" older ")


def test_what_the_window_covers_is_always_said() -> None:
    mirror = Mirror(total=100_000, loaded=80_000, complete=False, read_at=time.monotonic() - 0.4)
    assert board_markup.covered(mirror, 1, 50, 1_234).startswith(
        '<p class="ib ib-soft ib-count">1 to 50 of 1,234 of 100,000 jobs; still reading 20,000 older ones; 0.4 s old'
    )
    behind = replace(mirror, loaded=100_000)
    assert "; catching up with many changes; " in board_markup.covered(behind, 1, 50, 1_234)
    assert "20,000 older ones are not held here" in board_markup.covered(replace(mirror, complete=True), 1, 50, 80_000)


def test_many_jobs_are_paged_and_the_page_is_in_the_address(open_page: Open, board_ledger: Ledger) -> None:
    for at in range(PAGE_SIZE + 2):
        submitted(board_ledger, title=f"job number {at}")
    page = open_page("board")
    assert f"1 to {PAGE_SIZE} of {PAGE_SIZE + 2} jobs" in words_of(page)
    page = open_page("board", page="2")
    assert page.pagination(key="page").value == 2
    assert f"{PAGE_SIZE + 1} to {PAGE_SIZE + 2} of {PAGE_SIZE + 2} jobs" in words_of(page)
    assert "job number 0 " in words_of(page)
    page.text_input(key="q").set_value("job").run()
    assert f"1 to {PAGE_SIZE} of" in words_of(page), "another question begins at its first page"


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


def test_a_queued_row_says_what_it_waits_for(open_page: Open, board_ledger: Ledger) -> None:
    first = submitted(board_ledger)
    assert "no worker is alive" in words_of(open_page("board"))
    submitted(board_ledger)
    StubWorker(board_ledger, first).appear()
    words = words_of(open_page("board"))
    assert "next in line" in words
    assert "1 job ahead of it" in words
    control.pause(board_ledger, "default", by="ben")
    connection.shared().feed.hurry()
    assert words_of(open_page("board")).count("its queue is paused by ben") == 2


def test_jobs_of_more_urgent_queues_are_ahead_of_a_queued_row(open_page: Open, board_ledger: Ledger) -> None:
    low = submitted(board_ledger, title="patient", priority="low")
    for _ in range(2):
        submitted(board_ledger, priority="high")
    submitted(board_ledger)
    StubWorker(board_ledger, low).appear()
    assert "patient 3 jobs ahead of it" in words_of(open_page("board"))
    control.pause(board_ledger, "high", by="ben")
    connection.shared().feed.hurry()
    assert "patient 1 job ahead of it" in words_of(open_page("board"))


def test_a_job_whose_worker_is_gone_stands_on_top_with_its_remedy(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger, title="left behind")
    StubWorker(board_ledger, job, name="gone@there").start()
    board_ledger.redis.hset(keys.job(job), "last_updated", board_ledger.now() - 60)
    StubWorker(board_ledger, job, name="alive@here").appear()
    page = open_page("board")
    words = words_of(page)
    assert "1 job needs you Lost left behind Its worker gone@there is gone." in words
    assert f'href="job?job={job}&amp;ask=write off"' in html_of(page).replace("%20", " ")
    assert "1 to 1 of 1 job" in words_of(open_page("board", q="mark:lost"))


def test_what_is_wrong_with_several_jobs_is_said_once(open_page: Open, board_ledger: Ledger) -> None:
    jobs = [submitted(board_ledger, title=title) for title in ("first", "second")]
    for job in jobs:
        StubWorker(board_ledger, job).start()
        board_ledger.redis.hset(keys.job(job), "progressed_at", board_ledger.now() - 3600)
    StubWorker(board_ledger, jobs[0]).appear()
    words = words_of(open_page("board"))
    assert "2 jobs need you Stalled first Its worker is alive, but nothing of the job has moved" in words
    assert "Force stop Stalled second Force stop" in words


def test_nothing_stands_on_top_while_all_is_well(open_page: Open, board_ledger: Ledger) -> None:
    worker = StubWorker(board_ledger, submitted(board_ledger))
    worker.appear()
    worker.start()
    assert "need you" not in words_of(open_page("board"))
