"""From a worker's report to the pixel: a real Chromium on the board, and the moment that the report's words are in it.

Both clocks are this machine's. The board looks once a second, so half a second on average is waiting for the tick.
"""

from __future__ import annotations

import random
import shutil
import time

from playwright.sync_api import Page, sync_playwright

from benchmarks import busy, report
from benchmarks.report import Figures, milliseconds
from benchmarks.stack import Late, Stack, stack, watch
from tasks.child import python_module

SAMPLES = 120
QUICK = 5
JOBS = 50
PORT = 18_652
AIM_S = 1.2  # the tick and 200 ms
BROWSER = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Notes when words first are on the page, after the browser has painted them.
WATCH = """words => { window.seen = 0; const look = () => {
  if (document.body.innerText.includes(words)) {
    requestAnimationFrame(() => setTimeout(() => { window.seen = Date.now(); }, 0));
  } else requestAnimationFrame(look);
}; look(); }"""


def seen(page: Page, changing: busy.Changing, number: int) -> float:
    """Seconds from one report to its words on the page."""
    words = f"Report number {number:04d}"
    page.evaluate(WATCH, words)
    time.sleep(random.random())
    at = time.time()
    changing.say(words)
    page.wait_for_function("window.seen > 0", timeout=20_000)
    return float(page.evaluate("window.seen")) / 1000 - at


def measure(bench: Stack, samples: int) -> list[float]:
    jobs = busy.submit(bench.ledger, JOBS)
    changing = busy.Changing(bench.ledger, jobs[-1:], 1)
    child = bench._start("dashboard", ["env", f"PORT={PORT}", *python_module("dashboard")])
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        raise Late("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=BROWSER)
        # Playwright waits by evaluating text in the page, which the policy of the pages forbids.
        page = browser.new_page(viewport={"width": 1440, "height": 900}, bypass_csp=True)
        watch(lambda: opened(page), what=f"the board; see {child.log}", every_s=0.2)
        page.get_by_text(f"Load {JOBS - 1}").first.wait_for(timeout=30_000)
        seen(page, changing, 0)
        found = [seen(page, changing, number) for number in range(1, samples + 1)]
        browser.close()
    return found


def opened(page: Page) -> bool:
    from playwright.sync_api import Error

    try:
        page.goto(f"http://127.0.0.1:{PORT}")
    except Error:
        return False
    return True


def main() -> None:
    given = report.arguments(__doc__ or "")
    with stack() as bench:
        figures = Figures(tuple(measure(bench, QUICK if given.quick else SAMPLES)))
    report.show(
        "pixel",
        "From a report to the pixel",
        [
            f"One job of {JOBS} reports at random moments; a real Chromium has the board open, which looks once a "
            f"second. {len(figures.values)} reports, from the call that reports to the frame that shows its words.",
            report.table(
                ["", "p50", "p95", "longest"],
                [["report to pixel", *map(milliseconds, (figures.median, figures.p95, figures.high))]],
            ),
            report.aim("p95 under the tick (1 s) plus 200 ms", figures.p95 < AIM_S),
            report.machine("streamlit", "playwright"),
        ],
        quick=given.quick,
        write=given.write,
    )


if __name__ == "__main__":
    main()
