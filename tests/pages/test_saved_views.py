"""Saved views on the board: saved for the team, opened into the address, replaced and deleted with a question."""

from __future__ import annotations

import pytest
from redis.exceptions import ConnectionError as RedisAway
from streamlit.testing.v1 import AppTest

from dashboard.cards import saved_views
from tasks.ledger import Ledger, saved
from tests.factories import submitted
from tests.pages.conftest import Open, words_of


@pytest.fixture(autouse=True)
def _jobs(board_ledger: Ledger) -> None:
    submitted(board_ledger, title="spring", owner="ana")
    submitted(board_ledger, title="winter", owner="ben")


def save(page: AppTest, name: str) -> None:
    page.text_input(key=saved_views.NAME).set_value(name)
    next(one for one in page.button if one.label == "Save").click().run()
    assert not page.exception


def choose(page: AppTest, name: str, label: str) -> None:
    page.selectbox(key=saved_views.CHOSEN).select(name).run()
    next(one for one in page.button if one.label == label).click().run()
    assert not page.exception


def test_what_the_board_shows_is_saved_and_opened_again(open_page: Open, board_ledger: Ledger) -> None:
    save(open_page("board", q="owner:ben", state=["queued"], sort="title"), "Bens queue")
    (view,) = saved.views(board_ledger)
    assert (view.query, view.sort) == ("state:queued owner:ben", "title")
    assert view.by == "local", "where nobody signs in, nobody is believed"
    page = open_page("board")
    choose(page, "Bens queue", "Open")
    assert page.text_input(key="q").value == "owner:ben"
    assert page.query_params["state"] == ["queued"] or page.query_params["state"] == "queued"
    assert page.query_params["sort"] == "title"
    assert "1 to 1 of 1 of 2 jobs" in words_of(page)


def test_a_view_of_that_name_is_replaced_after_a_question(open_page: Open, board_ledger: Ledger) -> None:
    saved.save(board_ledger, "mine", query="owner:ana", by="ana")
    page = open_page("board", q="owner:ben")
    save(page, "mine")
    assert "saved by ana" in page.text[0].value
    assert saved.views(board_ledger)[0].query == "owner:ana"
    page.button(key="board-yes").click().run()
    assert saved.views(board_ledger)[0].query == "owner:ben"


def test_a_view_is_deleted_after_a_question(open_page: Open, board_ledger: Ledger) -> None:
    saved.save(board_ledger, "mine", query="owner:ana", by="ana")
    page = open_page("board")
    choose(page, "mine", "Delete")
    page.button(key="board-no").click().run()
    assert saved.views(board_ledger)
    choose(page, "mine", "Delete")
    page.button(key="board-yes").click().run()
    assert saved.views(board_ledger) == []


def test_a_name_that_cannot_be_used_is_a_sentence(open_page: Open, board_ledger: Ledger) -> None:
    page = open_page("board")
    save(page, "   ")
    assert "The view was not saved" in page.warning[0].value
    assert saved.views(board_ledger) == []


def test_what_a_view_says_is_escaped(open_page: Open, board_ledger: Ledger) -> None:
    saved.save(board_ledger, "bad", query='"<img src=x onerror=alert(1)>"', by="<b>ana</b>")
    page = open_page("board")
    page.selectbox(key=saved_views.CHOSEN).select("bad").run()
    assert not [one.value for one in page.html if "<img" in one.value or "<b>ana" in one.value]


def test_a_board_without_redis_still_shows_its_jobs(
    open_page: Open, board_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page("board")

    def away(ledger: Ledger) -> list[saved.SavedView]:
        raise RedisAway("connection refused")

    monkeypatch.setattr(saved, "views", away)
    page.run()
    assert "1 to 2 of 2 jobs" in words_of(page)
