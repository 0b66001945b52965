"""Collections: the list, snapshots, searching one and rolling it back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dashboard import connection
from dashboard.search import Answer, Hit
from tasks import catalog
from tasks.access import Person
from tasks.errors import SearchFailed
from tasks.ledger import Ledger
from tasks.settings import Settings
from tasks.snapshots import CollectionRow, SnapshotRow
from tests.pages.conftest import Open, html_of, words_of
from tests.pages.test_job import click

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Library:
    """A stand-in for the snapshots on disk, and for the process that searches them."""

    def __init__(self) -> None:
        self.current = "000002"
        self.asked: list[str] = []
        self.fails = ""

    def collections(self, settings: Settings, person: Person) -> list[CollectionRow]:
        return [
            CollectionRow(
                name=name,
                current=self.current,
                versions=2,
                documents=2,
                chunks=9,
                size_bytes=12_000,
                updated_at=NOW,
            )
            for name in ("contracts", "minutes")
        ]

    def snapshots(self, settings: Settings, person: Person, name: str) -> list[SnapshotRow]:
        return [
            SnapshotRow(
                collection=name,
                version=version,
                created_at=NOW,
                owner="ana",
                job=f"job{version}",
                documents=int(version),
                chunks=9,
                size_bytes=12_000,
                current=version == self.current,
                recipe="r",
                embedder="e",
                base="",
            )
            for version in ("000002", "000001")
        ]

    def roll_back(self, ledger: Ledger, name: str, version: str) -> SnapshotRow:
        self.current = version
        self.asked.append(f"{ledger.person.name}: {name} to {version}")
        return self.snapshots(ledger.settings, ledger.person, name)[1]

    def ask(
        self,
        person: Person,
        collection: str,
        query: str,
        *,
        k: int = 10,
        version: str | None = None,
        held: str | None = None,
    ) -> Answer:
        self.asked.append(f"{collection}: {query}")
        if self.fails:
            raise SearchFailed(reason=self.fails)
        hit = Hit(document="<i>a.pdf</i>", score=0.87, text="A penalty <b>each</b> week", chunk=0, page=3)
        return Answer(hits=(hit,), version=self.current, took_ms=12.3)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    """Two collections of two snapshots each."""
    made = Library()
    for name in ("collections", "snapshots", "roll_back"):
        monkeypatch.setattr(catalog, name, getattr(made, name))
    monkeypatch.setattr(connection, "answers", lambda: made)
    return made


def test_without_a_collection_the_page_says_how_one_appears(open_page: Open) -> None:
    assert "No collection yet" in words_of(open_page("collections"))


def test_snapshots_are_listed_with_the_current_one_marked(open_page: Open, library: Library) -> None:
    words = words_of(open_page("collections", name="minutes"))
    assert "000002 Current 2 9 12 kB ana job000002" in words
    assert "000001 1 9 12 kB ana job000001" in words
    assert 'href="job?job=job000002"' in html_of(open_page("collections"))


def test_a_search_shows_passages_with_score_document_and_page(open_page: Open, library: Library) -> None:
    page = open_page("collections", name="contracts", query="penalty week")
    assert library.asked == ["contracts: penalty week"]
    assert "0.87 <i>a.pdf</i> page 3" in words_of(page)
    assert "1 passage from snapshot 000002 in 12 ms" in page.main.caption[-1].value
    html = html_of(page)
    assert "<mark>penalty</mark> &lt;b&gt;each&lt;/b&gt; <mark>week</mark>" in html
    page.run()
    assert len(library.asked) == 1, "a rerun does not search again"


def test_a_search_that_fails_is_a_sentence(open_page: Open, library: Library) -> None:
    library.fails = "The search did not answer within 20 seconds; search again."
    page = open_page("collections", query="penalty")
    assert page.error[0].value == library.fails


def test_rolling_back_asks_first_and_records_who(open_page: Open, library: Library) -> None:
    page = open_page("collections", name="contracts")
    click(page, "Roll back…")
    assert library.current == "000002"
    page.button(key="asked-yes").click().run()
    assert library.asked == ["local: contracts to 000001"]
    assert "is at snapshot 000001 now" in page.text[0].value
    assert "000001 Current" in words_of(page)


def test_a_question_that_is_declined_changes_nothing(open_page: Open, library: Library) -> None:
    page = open_page("collections", name="contracts")
    click(page, "Roll back…")
    click(page, "Stay")
    assert library.asked == []
    assert "Stay" not in [one.label for one in page.button]


def test_a_collection_that_has_published_nothing_yet_is_said(open_page: Open, library: Library) -> None:
    page = open_page("collections", name="fresh")
    assert page.info[0].value == "The collection fresh has no published snapshot yet."
