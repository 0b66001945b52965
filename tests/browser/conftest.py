"""A real Chromium over the whole product, started once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, WebSocket

from tests.browser.scratch_board import ScratchBoard
from tests.programs import Up


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """`ingestboard up`, for all browser tests."""
    up = Up(tmp_path_factory.mktemp("product") / "data")
    up.ready()
    yield up
    up.kill()


@pytest.fixture(scope="module")
def board(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScratchBoard]:
    """A dashboard over a ledger with a job in every state, for one file of tests."""
    scratch = ScratchBoard(redis_url, tmp_path_factory.mktemp("board"))
    yield scratch
    scratch.stop()


class Frames:
    """What a page's WebSockets carried, by direction."""

    def __init__(self, page: Page) -> None:
        self.sent = 0
        self.received = 0
        page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framesent", lambda _: self._count(sent=1))
        socket.on("framereceived", lambda _: self._count(received=1))

    def _count(self, sent: int = 0, received: int = 0) -> None:
        self.sent += sent
        self.received += received


@pytest.fixture
def page(chromium: Browser, product: Up) -> Iterator[Page]:
    """A fresh browser window on the product; every error on its console fails the test."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=product.address)
    found = context.new_page()
    found.set_default_timeout(20_000)
    errors: list[str] = []
    found.on("pageerror", lambda error: errors.append(str(error)))
    yield found
    context.close()
    assert errors == []


def corpus(path: Path, words: int) -> Path:
    """A large text of many different words, so that embedding it takes a while."""
    with path.open("w") as out:
        for at in range(words):
            out.write(f"item{at % 7919} ledger{(at * 31) % 6007} " + ("\n\n" if at % 40 == 39 else ""))
    return path
