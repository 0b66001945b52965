"""Every page passes axe-core's rules for WCAG 2.1 A and AA, light and dark, on a wide screen and on a narrow one.

What Streamlit draws by itself is checked too; where one of its own parts breaks a rule, that part is named here with
the rule, and nothing else is let through.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.scratch_board import ScratchBoard
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
# Streamlit's own markup, which we cannot mend: (rule, a piece of the element).
STREAMLITS_OWN: tuple[tuple[str, str], ...] = ()
SIDEWAYS = """() => [document.documentElement, document.querySelector('[data-testid="stMain"]')]
  .some((part) => part.scrollWidth > part.clientWidth)"""
PAGES = {
    "board": "/",
    "search": "/?q=sate:failed&sort=-took&state=running",
    "failures": "/?view=failures",
    "cause": "/?view=failures&cause={cause}",
    "documents": "/documents",
    "collections": "/collections",
    "job": "/job?job={job}",
    "failed job": "/job?job={failed}",
    "no job": "/job",
    "queues": "/queues",
    "queue": "/queues?queue=letters&registry=failed",
    "rq job": "/queues?queue=letters&rq={letter}",
    "workers": "/workers",
    "history": "/history",
    "history as tables": "/history?as=Tables",
    "activity": "/activity",
    "access": "/access",
}


@pytest.fixture(scope="module")
def visited(chromium: Browser, board: ScratchBoard) -> Iterator[BrowserContext]:
    """One context for all pages: what a browser keeps, it loads once."""
    context = chromium.new_context(base_url=board.address, reduced_motion="reduce")
    yield context
    context.close()


def violations(page: Page) -> list[str]:
    """What breaks a rule, in words: rule, element and reason."""
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']}).then(result => result.violations)",
        RULES,
    )
    return [
        f"{rule['id']}: {node['html'][:300]} ({node.get('failureSummary', '')[:300]})"
        for rule in found
        for node in rule["nodes"]
        if not any(rule["id"] == known and piece in node["html"] for known, piece in STREAMLITS_OWN)
    ]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_used_by_everybody(visited: BrowserContext, board: ScratchBoard, name: str) -> None:
    page = visited.new_page()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(PAGES[name].format(job=board.running, failed=board.failed, cause=board.cause, letter=board.letter))
    page.locator(".stApp[data-test-script-state=notRunning]").wait_for(timeout=20_000)
    page.locator("h1, .ib-head h2, .ib-empty").first.wait_for()
    broken = []
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        expect(page.locator(".stApp")).to_have_css("color-scheme", theme)
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 900})
            broken += [f"{theme}, {width}: {one}" for one in violations(page)]
            # A chart takes a moment to follow.
            wait_until(lambda: not page.evaluate(SIDEWAYS), what=f"the page to fit into {width} pixels")
    page.close()
    assert broken == []
