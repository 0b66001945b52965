"""A page that is watched: what its policy refused, what it asked of whom, what ran, and what was said in a dialog."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import Browser, Dialog, Page, Request, expect

NOTE_VIOLATIONS = """
window.ibViolations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.ibViolations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`);
});
"""


class Watched:
    """One window on an address; `done` closes it and fails for what it must not have done."""

    def __init__(self, chromium: Browser, address: str) -> None:
        self.address = address
        self.context = chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=address)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.add_init_script(NOTE_VIOLATIONS)
        self.page.on("request", self._asked)
        self.page.on("websocket", lambda socket: self._went(socket.url))
        self.page.on("dialog", self._said)
        self.page.on("pageerror", lambda error: self.troubles.append(f"error {error}"))
        self.page.on("console", lambda said: self._console(said.text))
        self.troubles: list[str] = []
        self.paths: list[str] = []

    def open(self, path: str) -> Page:
        """Go there and wait until it is drawn."""
        self.page.goto(path)
        self.drawn()
        return self.page

    def drawn(self) -> None:
        """Wait until the page is whole and no script runs any more."""
        expect(self.page.locator('[data-testid="stMain"] h1, [data-testid="stMain"] .ib').first).to_be_visible(
            timeout=20_000
        )
        expect(self.page.locator('[data-testid="stStatusWidget"], [data-testid="stSkeleton"]')).to_have_count(
            0, timeout=20_000
        )

    def violations(self) -> list[str]:
        """What the policy refused on the page as it stands; gone with the next address."""
        found: list[str] = self.page.evaluate("window.ibViolations")
        return found

    def done(self) -> None:
        self.context.close()
        assert self.troubles == []

    def _asked(self, request: Request) -> None:
        self._went(request.url)

    def _went(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("data", "blob"):
            return
        self.paths.append(parts.path)
        if parts.netloc != urlsplit(self.address).netloc:
            self.troubles.append(f"left the origin for {url}")

    def _said(self, dialog: Dialog) -> None:
        self.troubles.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _console(self, text: str) -> None:
        if "Content Security Policy" in text or "Content-Security-Policy" in text:
            self.troubles.append(text)
