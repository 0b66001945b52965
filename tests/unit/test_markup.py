"""Our HTML: everything from outside is escaped, whatever it is."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dashboard import format, markup
from dashboard.drawing import board_markup, job_markup
from tasks.ledger.records import DocumentRow, EventRow, JobRow, Receipt, StopReceipt, job_row
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


@given(NASTY, some.sampled_from(State), some.sampled_from([0.0, 60.0]))
def test_nothing_from_outside_ever_becomes_markup(text: str, state: State, limit: float) -> None:
    row = nasty_row(text, state)
    document = DocumentRow(0, text, 1, DocumentState.FAILED, text, 0, False, text, text, 1, 1)
    stop = StopReceipt(NOW, text, False, NOW, text, 1.0)
    receipt = Receipt(text, text, state, text, NOW, NOW, text, text, text)
    html = "".join(
        (
            board_markup.jobs([row], NOW),
            job_markup.head(row, NOW),
            job_markup.figures(row, NOW),
            job_markup.facts(row, NOW),
            job_markup.documents([document], row),
            job_markup.events([EventRow(NOW, text)], NOW),
            job_markup.stop_receipt(receipt, replace(row, stop=stop, time_limit_s=limit), NOW),
        )
    )
    found = read(html)
    assert found.tags <= OURS
    assert not any(name.startswith("on") for name in found.attributes)
    assert all(link.startswith(("job?job=", "collections?name=")) for link in found.links)


UNSEEN = re.compile("[^\t\n\r -~\u00a0-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\U0010ffff]")


@given(NASTY, NASTY)
def test_marking_the_words_of_a_query_changes_no_text(text: str, query: str) -> None:
    pieces: list[str] = []
    reader = Reader()
    reader.handle_data = pieces.append  # type: ignore[method-assign, assignment]
    reader.feed(markup.marked(text, query))
    reader.close()
    assert "".join(pieces) == UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)
    assert reader.tags <= {"mark"}


def test_the_words_of_a_query_are_marked_whatever_their_case() -> None:
    assert markup.marked("A Penalty & penalties", "penalty") == "A <mark>Penalty</mark> &amp; penalties"


def test_an_exact_time_stands_behind_every_relative_one() -> None:
    assert 'title="2026-11-20 00:00:00 UTC"' in markup.when(NOW, NOW)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b\x1bc", "a\ufffdb\ufffdc"),
        ("fdp.\u202eexe.", "fdp.\ufffdexe."),
        ("half \ud800 a pair", "half \ufffd a pair"),
        (
            "\u05e9\u05dc\u05d5\u05dd\u200f, \u200eline\r\nline\ttab",
            "\u05e9\u05dc\u05d5\u05dd\u200f, \u200eline\r\nline\ttab",
        ),
    ],
)
def test_what_is_not_seen_is_shown_as_a_mark_and_writing_from_the_right_is_left(text: str, shown: str) -> None:
    assert markup.seen(text) == shown
    assert markup.safe(text) == shown


@pytest.mark.parametrize(
    "sentence",
    [
        "Job 7f3 is running; only a failed, partial or canceled job can be retried.",
        "The search did not answer within 20 seconds; search again.",
        "Nothing (0 of 3) was changed: try 10:30, or 50 percent.",
    ],
)
def test_an_ordinary_sentence_is_the_same_as_markdown(sentence: str) -> None:
    assert markup.literal(sentence) == sentence.replace("10:30", "10\\:30")


def test_what_markdown_would_take_for_more_is_escaped_or_kept_apart() -> None:
    shown = markup.literal(
        "# ![x](http://e.example/y) **b** :red[z] $a$ `c` <b> &lt; a@e.example www.e.example\n\n- one"
    )
    assert shown == (
        "\\# \\!\\[x\\](http\\://\u2060e.example/y) \\*\\*b\\*\\* \\:red\\[z\\] \\$a\\$ \\`c\\` \\<b\\> \\&lt; "
        "a\\@\u2060e.example www\u2060.e.example - one"
    )


def test_a_card_leaves_out_what_holds_nothing() -> None:
    columns = (markup.Column("Started"), markup.Column("Took"), markup.Column("Size"))
    table = markup.table(columns, [(markup.when(None, datetime.now(UTC)), format.NOTHING, "1 B")])
    assert re.findall(r'<td class="([^"]*)"', table) == [" ib-none", " ib-none", ""]
