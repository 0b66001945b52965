"""Our HTML: everything from outside is escaped, whatever it is."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as some

from dashboard import board_markup, job_markup, markup
from tasks.ledger.records import DocumentRow, EventRow, JobRow, StopReceipt, job_row
from tasks.ledger.states import DocumentState, State

NOW = datetime(2026, 11, 20, tzinfo=UTC)
OURS = {
    "div", "table", "thead", "tbody", "tr", "th", "td", "span", "a", "b", "i", "time", "p", "h2", "code", "ol", "li",
    "dl", "dt", "dd",
}  # fmt: skip
NASTY = some.text() | some.sampled_from(
    ["<script>x</script>", "\" onmouseover='x' ", "</td></table><img src=x onerror=x>", "javascript:x", "&lt;b&gt;"]
)


class Reader(HTMLParser):
    """Finds the tags and attributes that a browser would."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.links.update(value or "" for name, value in attrs if name == "href")


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def nasty_row(text: str, state: State) -> JobRow:
    made = replace(job_row("x", {}), state=state, percent=12, documents_total=3, total_steps=4)
    names = [one.name for one in fields(JobRow) if isinstance(getattr(made, one.name), str) and one.name != "state"]
    return replace(made, **dict.fromkeys(names, text))  # type: ignore[arg-type]


@given(NASTY, some.sampled_from(State))
def test_nothing_from_outside_ever_becomes_markup(text: str, state: State) -> None:
    row = nasty_row(text, state)
    document = DocumentRow(0, text, 1, DocumentState.FAILED, text, 0, False, text, text, 1, 1)
    stop = StopReceipt(NOW, text, False, NOW, text, 1.0)
    html = "".join(
        (
            board_markup.jobs([row], NOW),
            job_markup.head(row, NOW),
            job_markup.figures(row, NOW),
            job_markup.facts(row, NOW),
            job_markup.documents([document], state),
            job_markup.events([EventRow(NOW, text)], NOW),
            job_markup.stop_receipt(stop, row, NOW),
        )
    )
    found = read(html)
    assert found.tags <= OURS
    assert not any(name.startswith("on") for name in found.attributes)
    assert all(link.startswith(("job?job=", "collections?name=")) for link in found.links)


@given(NASTY, NASTY)
def test_marking_the_words_of_a_query_changes_no_text(text: str, query: str) -> None:
    pieces: list[str] = []
    reader = Reader()
    reader.handle_data = pieces.append  # type: ignore[method-assign, assignment]
    reader.feed(markup.marked(text, query))
    reader.close()
    assert "".join(pieces) == text.replace("\r\n", "\n").replace("\r", "\n") or "\r" in text or "\0" in text
    assert reader.tags <= {"mark"}


def test_the_words_of_a_query_are_marked_whatever_their_case() -> None:
    assert markup.marked("A Penalty & penalties", "penalty") == "A <mark>Penalty</mark> &amp; penalties"


def test_an_exact_time_stands_behind_every_relative_one() -> None:
    assert 'title="2026-11-20 00:00:00 UTC"' in markup.when(NOW, NOW)
