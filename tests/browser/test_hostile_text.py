"""Markup in every field that a person, a document or another program can set: shown on every page, and only shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.hostile_board import HOSTILE, NAMED, HostileBoard
from tests.browser.watched import Watched

pytestmark = pytest.mark.browser
ASKED = quote(HOSTILE.replace("\0", ""), safe="")


@pytest.fixture(scope="module")
def board(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileBoard]:
    scratch = HostileBoard(redis_url, tmp_path_factory.mktemp("hostile"))
    yield scratch
    scratch.stop()


@pytest.fixture
def watched(chromium: Browser, board: HostileBoard) -> Iterator[Watched]:
    found = Watched(chromium, board.address)
    yield found
    assert [path for path in found.paths if "ib-asked" in path] == []
    found.done()


# Elements that are there only where a text was taken for more than itself; the fields of a form hold any text.
TAKEN = (
    ".ib-got-in",
    "[onerror], [onload], [onmouseover]",
    "a[href^='javascript:'], a[href^='http://ib-elsewhere'], img[src^='http:'], img[src*='ib-asked']",
    "strong:has-text('ib-strong'), em:has-text('ib-soft'), a:text-is('ib-link')",
    "span:text-is('ib-red')",
    ".katex",
)


def harmless(watched: Watched, where: str, *, shown: bool = True) -> None:
    """Nothing on the page ran, was taken for markup, turned the direction of others or burst the layout."""
    page = watched.page
    assert page.evaluate("window.ibHacked") is None, where
    assert watched.violations() == [], where
    for selector in TAKEN:
        assert page.locator(selector).count() == 0, f"{where}: {selector}"
    assert page.locator('[data-testid="stException"]').count() == 0, where
    text: str = page.evaluate("document.body.innerText")
    assert not set(text) & set("\N{RIGHT-TO-LEFT OVERRIDE}\x00\x07\x1b"), where
    assert "unexpected error" not in text, where
    if shown:
        assert "hostile <script>window.ibHacked=1</script>" in " ".join(text.split()), where
    wide: int = page.evaluate(
        """Math.max(...[document.documentElement, document.querySelector('[data-testid="stMain"]')]
            .map((one) => one.scrollWidth - one.clientWidth))"""
    )
    assert wide <= 0, f"{where}: {wide} pixels too wide"


def test_the_board_shows_it_and_no_more(watched: Watched, board: HostileBoard) -> None:
    watched.open("/")
    harmless(watched, "board")
    watched.open("/?view=failures")
    harmless(watched, "failures")
    watched.page.locator(".ib-causes a").first.click()
    expect(watched.page.locator(".ib-cause h2")).to_be_visible()
    watched.drawn()
    harmless(watched, "cause")
    watched.page.get_by_role("button", name="Change the note").or_(
        watched.page.get_by_role("button", name="Acknowledge")
    ).first.click()
    expect(watched.page.get_by_role("dialog")).to_be_visible()
    harmless(watched, "note")


def test_saved_views_and_suggestions_show_it_and_no_more(watched: Watched) -> None:
    page = watched.open("/")
    page.get_by_role("button", name="Views").click()
    page.get_by_role("combobox", name="Saved views").click()
    page.get_by_role("option").first.click()
    expect(page.get_by_text("Saved by")).to_be_visible()
    harmless(watched, "view")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog", name="Delete this view?")).to_be_visible()
    harmless(watched, "deletion of a view")


def test_every_job_shows_it_and_no_more(watched: Watched, board: HostileBoard) -> None:
    for job in board.jobs:
        watched.open(f"/job?job={quote(job, safe='')}")
        harmless(watched, f"job {job}")
    watched.open(f"/job?job={board.running}&ask=cancel")
    expect(watched.page.get_by_role("dialog")).to_be_visible()
    harmless(watched, "question")


def test_a_refusal_that_quotes_it_shows_it_and_no_more(watched: Watched, board: HostileBoard) -> None:
    """What a note or a toast says is Markdown to Streamlit."""
    page = watched.open(f"/job?job={board.failed}")
    page.get_by_role("button", name="Retry all").click()
    expect(page.locator('[data-testid="stAlert"], [data-testid="stToast"]').first).to_be_visible()
    harmless(watched, "refusal")


@pytest.mark.parametrize("path", ["/workers", "/workers?show=Hosts", "/queues", "/history", "/activity", "/documents"])
def test_the_page_shows_it_and_no_more(watched: Watched, path: str) -> None:
    watched.open(path)
    harmless(watched, path, shown=path not in ("/history", "/documents"))


def test_a_foreign_queue_and_its_job_show_it_and_no_more(watched: Watched, board: HostileBoard) -> None:
    queue = quote(board.queue, safe="")
    for path in (f"/queues?queue={queue}&registry=failed", f"/queues?queue={queue}&registry=failed&rq={board.foreign}"):
        watched.open(path)
        harmless(watched, path[:40])


def test_a_collection_and_what_a_search_finds_show_it_and_no_more(watched: Watched) -> None:
    page = watched.open(f"/collections?name={NAMED}&query=hostile")
    expect(page.locator(".ib-passage").first).to_be_visible(timeout=20_000)
    harmless(watched, "passages")
    watched.open(f"/collections?name={NAMED}&view=Compare")
    harmless(watched, "compare", shown=False)


ADDRESSES: tuple[Callable[[str], str], ...] = (
    lambda text: f"/?q={text}&sort={text}&state={text}",
    lambda text: f"/?view={text}&cause={text}&within={text}&ask={text}",
    lambda text: f"/?view=failures&cause={text}&within={text}&ask=retry",
    lambda text: f"/job?job={text}&ask={text}&document={text}",
    lambda text: f"/collections?name={text}&query={text}&view={text}",
    lambda text: f"/queues?queue={text}&registry={text}&rq={text}",
    lambda text: f"/workers?show={text}&q={text}&scale={text}",
    lambda text: f"/history?span={text}&collection={text}",
    lambda text: f"/activity?q={text}&before={text}&action={text}",
    lambda text: f"/documents?collection={text}",
)


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda one: one("").partition("=")[0])
def test_an_address_that_carries_it_shows_it_and_no_more(watched: Watched, address: Callable[[str], str]) -> None:
    watched.open(address(ASKED))
    harmless(watched, address("…"), shown=False)
