"""Every page under its content security policy: nothing is refused, nothing leaves the origin, no script is inline."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, FilePayload, expect

from tasks.ledger import rolling
from tests.browser.scratch_board import ScratchBoard
from tests.browser.watched import Watched

pytestmark = pytest.mark.browser


@pytest.fixture
def watched(chromium: Browser, board: ScratchBoard) -> Iterator[Watched]:
    rolling.roll_up(board.ledger)  # before a page has looked, for it keeps what it read
    found = Watched(chromium, board.address)
    yield found
    found.done()


def test_every_page_keeps_to_the_policy_and_to_its_origin(watched: Watched, board: ScratchBoard) -> None:
    paths = (
        "/",
        "/?view=failures",
        f"/?view=failures&cause={board.cause}",
        "/documents",
        "/collections",
        "/workers",
        "/queues",
        "/queues?queue=default",
        "/history",
        "/activity",
        f"/job?job={board.failed}",
        f"/job?job={board.running}",
        f"/job?job={board.running}&ask=cancel",
    )
    for path in paths:
        page = watched.open(path)
        assert watched.violations() == [], path
        assert page.locator('[data-testid="stException"]').count() == 0, path


def test_charts_are_drawn_without_eval(watched: Watched) -> None:
    page = watched.open("/history")
    expect(
        page.locator('[data-testid="stVegaLiteChart"] canvas, [data-testid="stVegaLiteChart"] svg').first
    ).to_be_visible(timeout=20_000)
    assert watched.violations() == []


def test_files_can_be_chosen_and_their_chunks_looked_at(watched: Watched) -> None:
    page = watched.open("/documents")
    page.locator("input[type=file]").first.set_input_files(
        FilePayload(name="note.txt", mimeType="text/plain", buffer=b"The notice period is three months.")
    )
    expect(page.get_by_text(re.compile("1 document,"))).to_be_visible()
    assert watched.violations() == []


def test_the_name_is_kept_in_a_cookie_without_an_inline_script(watched: Watched) -> None:
    page = watched.open("/workers")
    field = page.get_by_role("textbox", name="Your name")
    field.fill("Ana <b>\u00d6z</b>; x=1")
    field.press("Enter")
    expect(page.locator(".ib-remember")).to_have_count(1)
    page.wait_for_function("document.cookie.includes('ingestboard_name=')")
    (cookie,) = [one for one in watched.context.cookies() if one["name"] == "ingestboard_name"]
    assert cookie["sameSite"] == "Strict"
    page.reload()
    expect(page.get_by_role("textbox", name="Your name")).to_have_value("Ana <b>\u00d6z</b>; x=1")
    assert watched.violations() == []


def test_a_script_that_got_into_the_page_would_not_run(watched: Watched) -> None:
    """The second line of defence by itself: what the test brings in is what an escape that was forgotten would."""
    page = watched.open("/workers")
    page.evaluate(
        """() => {
            const place = document.createElement("div");
            place.innerHTML = '<img src="ib-nothing" onerror="window.ibHacked = 1">';
            const script = document.createElement("script");
            script.textContent = "window.ibHacked = 1";
            place.append(script);
            document.body.append(place);
        }"""
    )
    page.wait_for_function("window.ibViolations.length >= 2")
    assert page.evaluate("window.ibHacked") is None
    watched.troubles.clear()  # the refusals that were meant to be seen
