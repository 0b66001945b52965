"""The main job in a real browser: drop files, watch them move, cancel one, search what the other published."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Frames, corpus
from tests.programs import Up
from tests.waiting import wait_until

pytestmark = pytest.mark.browser


def fill(page: Page, files: list[Path], collection: str) -> None:
    """Within the Documents page: add files and name the collection."""
    page.goto("/documents")
    page.locator("input[type=file]").first.set_input_files([str(path) for path in files])
    expect(page.get_by_text(re.compile(rf"{len(files)} documents?,"))).to_be_visible()
    field = page.get_by_role("combobox", name=re.compile("Collection"))
    field.fill(collection)
    field.press("Enter")


def submit(page: Page, files: list[Path], collection: str) -> None:
    """Fill the form, submit, and see that it was."""
    fill(page, files, collection)
    page.get_by_role("button", name="Submit", exact=False).click()
    expect(page.get_by_text("was submitted")).to_be_visible()


def open_job(page: Page) -> str:
    """From the receipt to the job's page; the job's id."""
    page.get_by_role("link", name="Watch the job").click()
    expect(page).to_have_url(re.compile(r"job\?job=\w+"))
    return page.url.rpartition("=")[2]


def test_two_files_are_dropped_one_is_canceled_the_other_is_searched(page: Page, product: Up, tmp_path: Path) -> None:
    lease = tmp_path / "lease.md"
    lease.write_text("# Lease\n\nThe notice period for the warehouse is three months.\n\n# Menu\n\nPumpkin soup.")
    submit(page, [lease], "leases")
    open_job(page)
    expect(page.locator(".ib").get_by_text("Completed", exact=True).first).to_be_visible()

    submit(page, [corpus(tmp_path / "big.txt", 1_500_000)], "archive")
    job_id = open_job(page)
    shares: list[float] = []

    def share() -> float:
        found = re.findall(r"(\d+(?:\.\d+)?) ?%", page.locator(".ib").first.inner_text())
        shares.append(float(found[0]) if found else 0.0)
        return shares[-1]

    wait_until(lambda: share() > 0, what="the bar to move")
    first = shares[-1]
    wait_until(lambda: share() > first, what="the bar to move on")
    assert shares == sorted(shares)
    page.get_by_role("button", name="Cancel").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=re.compile("Cancel")).last.click()
    expect(page.locator(".ib").get_by_text("Canceled", exact=True).first).to_be_visible()
    expect(page.get_by_text(re.compile("checkpoint")).first).to_be_visible()

    # Its staging is gone and nothing of it was published.
    assert not (product.data / "collections" / "archive" / "CURRENT").exists()
    assert list(product.data.glob("collections/archive/_tmp-*")) == []
    assert job_id in page.url

    page.goto("/collections?name=leases")
    box = page.get_by_placeholder("Search leases")
    box.fill("how long is the notice period")
    box.press("Enter")
    expect(page.get_by_text("three months").first).to_be_visible()
    expect(page.get_by_text("lease.md").first).to_be_visible()


def test_polling_ends_when_the_job_does(page: Page, tmp_path: Path) -> None:
    frames = Frames(page)
    note = tmp_path / "note.txt"
    note.write_text("A short note about polling.")
    submit(page, [note], "polling")
    open_job(page)
    expect(page.locator(".ib").get_by_text("Completed", exact=True).first).to_be_visible()
    page.wait_for_timeout(2_000)  # the run that takes the timer away
    before = (frames.sent, frames.received)
    page.wait_for_timeout(6_000)  # what is proved is that nothing happens, so it takes its time
    assert (frames.sent, frames.received) == before


def test_a_board_that_nobody_uses_stops_polling_and_resumes(chromium: Browser, tmp_path: Path) -> None:
    product = Up(tmp_path / "data", INGESTBOARD_IDLE_MINUTES="0.05")
    try:
        product.ready()
        page = chromium.new_page(base_url=product.address)
        frames = Frames(page)
        page.goto("/")
        expect(page.get_by_text("Paused because nobody has used this page")).to_be_visible(timeout=30_000)
        page.wait_for_timeout(2_000)  # the run that takes the timer away
        before = (frames.sent, frames.received)
        page.wait_for_timeout(6_000)  # longer than the slowest pace
        assert (frames.sent, frames.received) == before
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_text("Paused because nobody has used this page")).to_have_count(0)
        assert frames.received > before[1]
        page.close()
    finally:
        product.kill()


def test_a_job_page_can_be_opened_by_its_link_alone(page: Page, chromium: Browser, tmp_path: Path) -> None:
    note = tmp_path / "linked.txt"
    note.write_text("A short note about links.")
    submit(page, [note], "links")
    open_job(page)
    other = chromium.new_context()
    second = other.new_page()
    second.goto(page.url)
    expect(second.get_by_text("linked.txt").first).to_be_visible()
    other.close()


def test_filters_live_in_the_url(page: Page, tmp_path: Path) -> None:
    note = tmp_path / "findable.txt"
    note.write_text("A short note about filters.")
    submit(page, [note], "filters")
    page.goto("/?q=findable")
    expect(page.get_by_text("findable.txt").first).to_be_visible()
    page.get_by_role("button", name="Failed").click()
    expect(page.get_by_text("No job matches this search")).to_be_visible()
    expect(page).to_have_url(re.compile("state=failed", re.IGNORECASE))
    page.reload()
    expect(page.get_by_text("No job matches this search")).to_be_visible()


def test_two_clicks_submit_once(page: Page, product: Up, tmp_path: Path) -> None:
    note = tmp_path / "twice.txt"
    note.write_text("Clicked twice.")
    fill(page, [note], "clicks")
    page.get_by_role("button", name="Submit", exact=False).dblclick()
    expect(page.get_by_text("was submitted")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Documents")).to_be_visible()
    jobs = product.run("jobs", "--collection", "clicks", "--json").stdout
    assert jobs.count('"id"') == 1


def test_markup_in_names_is_shown_and_never_run(page: Page, tmp_path: Path) -> None:
    nasty = tmp_path / "<img src=x onerror=window.hacked=1>.txt"
    nasty.write_text("<script>window.hacked=1</script> The phrase is brontosaurus.")
    submit(page, [nasty], "markup")
    open_job(page)
    expect(page.get_by_text("<img src=x onerror=window.hacked=1>.txt").first).to_be_visible()
    page.goto("/")
    expect(page.get_by_text("<img src=x").first).to_be_visible()
    page.goto("/collections?name=markup&query=brontosaurus")
    expect(page.get_by_text("brontosaurus").first).to_be_visible()
    assert page.evaluate("window.hacked") is None


def test_a_name_that_cannot_be_a_collection_is_said_beside_it(page: Page) -> None:
    page.goto("/documents")
    field = page.get_by_role("combobox", name=re.compile("Collection"))
    field.fill("../etc")
    field.press("Enter")
    expect(page.get_by_text("cannot name a collection")).to_be_visible()
    expect(page.get_by_role("button", name="Submit", exact=False)).to_be_disabled()


def test_a_collection_is_rolled_back_with_a_confirmation(page: Page, tmp_path: Path) -> None:
    for text in ("first edition", "second edition"):
        (tmp_path / "book.txt").write_text(f"This is the {text} of the book.")
        submit(page, [tmp_path / "book.txt"], "books")
        open_job(page)
        expect(page.locator(".ib").get_by_text("Completed", exact=True).first).to_be_visible()
    page.goto("/collections?name=books")
    page.get_by_role("button", name=re.compile("Roll back…")).click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(page.get_by_text("books is at snapshot 000001 now")).to_be_visible()
    page.goto("/collections?name=books&query=edition")
    expect(page.get_by_text("first edition").first).to_be_visible()
    expect(page.get_by_text("second edition")).to_have_count(0)


def test_redis_away_is_a_banner_and_the_page_recovers_by_itself(page: Page, product: Up) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", name="Board")).to_be_visible()
    (server,) = [process for process in product.family() if "redis-server" in process.name()]
    server.suspend()
    try:
        expect(page.get_by_text("Redis does not answer").first).to_be_visible(timeout=30_000)
        expect(page.get_by_text("Traceback")).to_have_count(0)
    finally:
        server.resume()
    expect(page.get_by_text("Redis does not answer")).to_have_count(0, timeout=30_000)
    expect(page.get_by_role("heading", name="Board")).to_be_visible()
