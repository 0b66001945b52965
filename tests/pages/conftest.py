"""Pages through AppTest: the whole app over a ledger of the test's own, opened at an address.

AppTest cannot sign in. A test that is about roles says who sits in front of the pages with the fixture `sits`, which
takes the place of what a provider, a proxy or the sidebar's field would say (`dashboard.gate.who.person`); everything
behind that is the product. Calling it again is a role that changed while the page was open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest
import streamlit as st
from streamlit import config
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from dashboard import connection
from dashboard.gate import who
from tasks.access import Person
from tasks.ledger import Ledger

# As the product has it: a full collection after every run of a page costs more than the page (dashboard/.streamlit).
config.set_option("runner.postScriptGC", False)
# AppTest looks through the metadata of all installed packages for components at every run: most of a test's time.
manifest_scanner.scan_component_manifests = list  # type: ignore[assignment]

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
Open = Callable[..., AppTest]
Sits = Callable[[Person], None]


@pytest.fixture
def board_ledger(fake_ledger: Ledger) -> Iterator[Ledger]:
    """The ledger that the pages of this test show."""
    st.cache_resource.clear()
    connection.use(fake_ledger, tick_s=0.0)
    yield fake_ledger
    connection.use(None)


@pytest.fixture
def open_page(board_ledger: Ledger) -> Open:
    """Open a page by its name with parameters of its address."""

    def opened(name: str, /, **parameters: str | list[str]) -> AppTest:
        page = AppTest.from_file(APP, default_timeout=20)
        if name != "board":
            page.run()
            page.switch_page(f"views/{name}.py")
        page.query_params = dict(parameters)
        page.run()
        assert not page.exception
        return page

    return opened


def html_of(page: AppTest) -> str:
    """All the HTML that the page shows of our own, styles and our script left out."""
    return "\n".join(one.value for one in page.html if not one.value.startswith(("<style", "<script>")))


def words_of(page: AppTest) -> str:
    """What a person reads in our HTML."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html_of(page))).split())


def button(page: AppTest, label: str) -> Button:
    """The button with that label."""
    return next(one for one in page.button if one.label == label)


@pytest.fixture
def sits(monkeypatch: pytest.MonkeyPatch) -> Sits:
    """Put this person in front of the pages from now on."""

    def sit(person: Person) -> None:
        monkeypatch.setattr(who, "person", lambda settings: person)

    return sit


@pytest.fixture
def paces(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """The paces at which live parts were started, in order."""
    seen: list[float | None] = []
    real = st.fragment

    def noting(func: Callable[..., object], *, run_every: float | None = None) -> Callable[..., object]:
        seen.append(run_every)
        return real(func, run_every=run_every)

    monkeypatch.setattr(st, "fragment", noting)
    return seen
