"""The board in a real browser: search, act on all that is shown, retry a cause, keys, and a tab that nobody sees."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from io import BytesIO

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.pace import MOVING_S
from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.ledger import Ledger, connect, monitor
from tasks.submitting import submit_files
from tests.browser.conftest import Frames
from tests.browser.scratch_board import ScratchBoard
from tests.programs import Up
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

SEARCH = ".st-key-q input"


@pytest.fixture
def view(chromium: Browser, board: ScratchBoard) -> Iterator[Page]:
    """A fresh window on the scratch board; every error on its console fails the test."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=board.address)
    found = context.new_page()
    found.set_default_timeout(20_000)
    errors: list[str] = []
    found.on("pageerror", lambda error: errors.append(str(error)))
    yield found
    context.close()
    assert errors == []


def titles(page: Page) -> list[str]:
    """The jobs that the table shows."""
    return page.locator(".ib-board tbody td.ib-title > a").all_inner_texts()


def test_a_search_is_typed_with_suggestions_and_lives_in_the_address(view: Page) -> None:
    view.goto("/")
    expect(view.locator(".ib-board")).to_contain_text("Handbook")
    view.locator(SEARCH).press_sequentially("owner:ben state:fai")
    view.get_by_role("radio", name="state:failed").click()
    expect(view.locator(".ib-board tbody tr")).to_have_count(2)
    assert sorted(titles(view)) == ["Scans of June", "Scans of May"]
    expect(view).to_have_url(re.compile("q=owner"))
    expect(view.locator(SEARCH)).to_be_focused()
    view.reload()
    expect(view.locator(".ib-board tbody tr")).to_have_count(2)
    expect(view.locator(SEARCH)).to_have_value(re.compile("owner:ben state:failed"))


def test_a_head_sorts_without_loading_the_page_and_back_undoes_it(view: Page) -> None:
    view.goto("/?q=collection:offers")
    expect(view.locator(".ib-board tbody tr")).to_have_count(4)
    view.evaluate("window.loadedOnce = true")
    view.locator(".ib-board").get_by_role("link", name="Job", exact=True).click()
    expect(view.locator("th[aria-sort=ascending]")).to_have_text("Job")
    assert titles(view) == ["Offer 0", "Offer 1", "Offer 2", "Offer 3"]
    expect(view.locator(SEARCH)).to_have_value("collection:offers")
    view.go_back()
    expect(view.locator("th[aria-sort]")).to_have_count(0)
    assert titles(view) == ["Offer 3", "Offer 2", "Offer 1", "Offer 0"]
    assert view.evaluate("window.loadedOnce")


def test_the_keys_go_through_the_rows_and_outlive_a_refresh(view: Page, board: ScratchBoard) -> None:
    view.goto("/?sort=title")
    expect(view.locator(".ib-board tbody tr").first).to_be_visible()
    shown = titles(view)
    view.keyboard.press("j")
    view.keyboard.press("j")
    view.keyboard.press("k")
    view.keyboard.press("j")
    expect(view.locator(".ib-board a:focus")).to_have_text(shown[1])
    # The row's element goes with each refresh; the focus is on the new one.
    view.evaluate("window.oldRow = document.activeElement")
    wait_until(lambda: not view.evaluate("window.oldRow.isConnected"), what="a refresh of the table")
    expect(view.locator(".ib-board a:focus")).to_have_text(shown[1])

    # One that stands on top as well, because it is lost, keeps it in its row.
    view.locator(".ib-board").get_by_role("link", name="Left behind", exact=True).focus()
    view.evaluate("window.oldRow = document.activeElement")
    wait_until(lambda: not view.evaluate("window.oldRow.isConnected"), what="a refresh of the table")
    expect(view.locator(".ib-board a:focus")).to_have_text("Left behind")

    view.keyboard.press("/")
    expect(view.locator(SEARCH)).to_be_focused()
    view.keyboard.type("jk?")
    expect(view.locator(SEARCH)).to_have_value("jk?")
    expect(view.get_by_role("dialog", name="Keys")).to_have_count(0)
    view.keyboard.press("Escape")
    view.locator(SEARCH).fill("")
    view.keyboard.press("Escape")
    expect(view.locator(SEARCH)).not_to_be_focused()

    view.keyboard.press("?")
    expect(view.get_by_role("dialog", name="Keys")).to_contain_text("Next row")
    view.keyboard.press("Escape")
    expect(view.get_by_role("dialog", name="Keys")).to_have_count(0)

    expect(view.locator(".ib-board tbody tr").first).to_be_visible()
    view.keyboard.press("j")
    opened = view.locator(".ib-board a:focus").inner_text()
    view.keyboard.press("Enter")
    expect(view.locator(".ib-head h2")).to_have_text(opened)
    expect(view).to_have_url(re.compile(r"/job\?job=\w+"))


def test_a_hidden_tab_sends_nothing_and_catches_up_at_once(view: Page, board: ScratchBoard) -> None:
    frames = Frames(view)
    view.goto("/?q=state:running")
    expect(view.locator(".ib-board")).to_contain_text("Handbook")
    wait_for_frames(view, frames, 3)
    hide(view, True)
    view.wait_for_timeout(500)  # what was on its way when it was hidden
    before = (frames.sent, frames.received)
    board.worker.enter("embed", "Embedding chapter-2.md", 0.9)
    view.wait_for_timeout(4_000)  # what is proved is that nothing happens, so it takes its time
    assert (frames.sent, frames.received) == before
    shown_at = time.monotonic()
    hide(view, False)
    wait_for_frames(view, frames, before[0])
    # One at once for all that was held back, and the next by the pace: a busy machine may be slow to count them.
    assert frames.sent <= before[0] + 1 + (time.monotonic() - shown_at) / MOVING_S
    wait_for_frames(view, frames, before[0] + 2)


def wait_for_frames(page: Page, frames: Frames, number: int) -> None:
    """Until the page has sent more than that many; Playwright tells of them while it waits, and not otherwise."""

    def sent() -> bool:
        page.wait_for_timeout(50)
        return frames.sent > number

    wait_until(sent, what=f"more than {number} frames")


def hide(page: Page, hidden: bool) -> None:
    """What a browser tells a page when its tab is hidden or shown again: headless Chromium hides none by itself."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
            const state = hidden ? "hidden" : "visible";
            Object.defineProperty(document, "visibilityState", {configurable: true, get: () => state});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_two_people_on_one_job_see_each_other(chromium: Browser, board: ScratchBoard) -> None:
    pages = []
    for name in ("ana", "ben"):
        context = chromium.new_context(base_url=board.address)
        context.add_cookies([{"name": "ingestboard_name", "value": name, "url": board.address}])
        page = context.new_page()
        page.goto(f"/job?job={board.lost}")
        expect(page.locator(".ib-head h2")).to_have_text("Left behind")
        pages.append(page)
    expect(pages[1].get_by_text("ana is looking at this job.")).to_be_visible()
    expect(pages[0].get_by_text("ben is looking at this job.")).to_be_visible(timeout=15_000)
    for page in pages:
        page.context.close()


def failing(ledger: Ledger, collection: str) -> str:
    """A job whose one document no worker can read; its id, once it failed."""
    broken = [("scan.pdf", BytesIO(b"%PDF-1.7 and then nothing of " + collection.encode()))]
    job = submit_files(ledger, broken, collection=collection, owner="ana").job
    wait_until(lambda: monitor.job(ledger, job).final, timeout_s=30, what="the job to fail")
    return job


def attempts(ledger: Ledger, jobs: list[str]) -> list[int]:
    return [monitor.job(ledger, job).attempt for job in jobs]


@pytest.fixture(scope="module")
def product_ledger(product: Up) -> Iterator[Ledger]:
    ledger = connect(settings_of.read(data=product.data), PROGRAM)
    yield ledger
    ledger.close()


def test_what_the_filter_shows_is_what_is_retried(page: Page, product_ledger: Ledger) -> None:
    jobs = [failing(product_ledger, name) for name in ("filtered", "filtered", "elsewhere")]
    page.goto("/?q=collection:filtered&state=failed")
    expect(page.locator(".ib-board tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Act on all").click()
    page.get_by_role("menuitem", name="Retry what failed").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 of 2 can be retried")
    dialog.get_by_role("button", name="Retry what failed: 2 jobs").click()
    page.get_by_role("link", name="Watch it").click()
    expect(page.locator(".ib-head h2")).to_contain_text("Retry")
    expect(page).to_have_url(re.compile(r"/job\?job=\w+"))
    wait_until(lambda: attempts(product_ledger, jobs) == [2, 2, 1], what="the two to be retried, and no other")


def test_a_cause_is_retried_as_a_group(page: Page, product_ledger: Ledger) -> None:
    jobs = [failing(product_ledger, "grouped") for _ in range(2)]
    other = failing(product_ledger, "apart")
    page.goto("/?view=failures&q=collection:grouped")
    expect(page.locator(".ib-causes tbody tr")).to_have_count(1, timeout=15_000)  # failures are read every 5 s
    page.locator(".ib-causes").get_by_role("link", name="Retry").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 of 2 can be retried")
    dialog.get_by_role("button", name="Retry what failed: 2 jobs").click()
    wait_until(lambda: attempts(product_ledger, [*jobs, other]) == [2, 2, 1], what="the group to be retried")
