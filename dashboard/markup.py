"""The small pieces of HTML that every page is built from. All text is escaped here, whatever it is.

A page's live part is one element of such HTML: a tick costs by the number of elements, not by their size.
Colours come from style.css alone, so that light and dark follow the theme.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from urllib.parse import quote

from dashboard import format
from dashboard.format import BADGES, DOCUMENT_BADGES, Badge
from tasks.ledger.records import JobRow
from tasks.ledger.states import DocumentState, State

STYLE = f"<style>{(Path(__file__).parent / 'style.css').read_text('utf-8')}</style>"

NO_TIME = f'<span class="ib-soft">{format.NOTHING}</span>'

# What is not seen and yet changes what is: control characters, halves of surrogate pairs (no page takes them), and
# marks that turn the direction of everything behind them. Letters of right-to-left scripts need none of these.
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# What Streamlit's Markdown could take for more than itself: CommonMark, directives, icons, emoji, LaTeX.
_MARKDOWN = re.compile(r"[\\`*_\[\]<>$~|#!@]|:(?=\S)|&(?=[#\w])|^[-+=](?=\s)|(?<=^\d)[.)]")
# GFM makes links of addresses after its escapes are gone. A word joiner, which nobody sees, keeps them apart
# (the patterns of mdast-util-gfm-autolink-literal).
_ADDRESS = re.compile(r"(?<=://)|(?<=www)(?=\.)|(?<=@)", re.IGNORECASE)


def seen(text: object) -> str:
    """Text with nothing unseen in it: for `st.text` and the options of widgets, which show any text as it is."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", str(text))


def safe(text: object) -> str:
    """Text as HTML, in content and in quoted attributes alike."""
    return escape(seen(text), quote=True)


def literal(text: object) -> str:
    """Text as Markdown that shows it letter by letter, in one paragraph: for Streamlit's notes, toasts and titles."""
    plain = " ".join(seen(text).split())
    return _MARKDOWN.sub(r"\\\g<0>", _ADDRESS.sub("\N{WORD JOINER}", plain))


def job_link(job_id: str, *, ask: str = "") -> str:
    """The address of a job's page, relative to any page of ours; `ask` opens a question there."""
    return f"job?job={quote(job_id, safe='')}" + (f"&amp;ask={quote(ask, safe='')}" if ask else "")


def collection_link(name: str) -> str:
    return f"collections?name={quote(name, safe='')}"


def badge(state: State | DocumentState) -> str:
    shown: Badge = BADGES[state] if isinstance(state, State) else DOCUMENT_BADGES[state]
    return f'<span class="ib-badge ib-{shown.tone}">{safe(shown.label)}</span>'


def when(at: datetime | None, now: datetime) -> str:
    """A relative time with the exact one on hover."""
    if at is None:
        return NO_TIME
    return f'<time datetime="{at.isoformat()}" title="{safe(format.exact(at))}">{safe(format.ago(at, now))}</time>'


def bar(percent: float, state: State, label: str = "Progress") -> str:
    width = min(100.0, max(0.0, percent))
    return (
        f'<span class="ib-bar ib-{BADGES[state].tone}" role="progressbar" aria-label="{safe(label)}" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{width:.0f}">'
        f'<i style="width:{width:.1f}%"></i></span>'
    )


def progress(row: JobRow) -> str:
    """Stage, bar, percent and 'step x of y' of a job."""
    step = format.step(row.current_step, row.total_steps)
    if row.state is State.QUEUED and row.percent <= 0:
        waiting = f"waiting · {format.counted(row.documents_total, 'document')}" if row.documents_total else "waiting"
        return f'<span class="ib-soft">{waiting}</span>'
    # "load · step 3 of 12": while it runs; afterwards the stage says nothing any more.
    words = " · ".join(part for part in ("" if row.final else row.stage, step) if part)
    return (
        f'<span class="ib-progress" title="{safe(row.step_description)}">{bar(row.percent, row.state)}'
        f'<b class="ib-num">{format.percent(row.percent)}</b></span>'
        f'<span class="ib-soft ib-step">{safe(words)}</span>'
    )


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a line: label, value, and whether it asks for attention."""

    label: str
    value: str
    tone: str = ""
    hint: str = ""


def figures(items: Iterable[Figure]) -> str:
    """A line of figures."""
    cells = "".join(
        f'<div class="ib-figure{f" ib-{item.tone}" if item.tone else ""}"'
        f"{f' title={chr(34)}{safe(item.hint)}{chr(34)}' if item.hint else ''}>"
        f"<b>{safe(item.value)}</b><span>{safe(item.label)}</span></div>"
        for item in items
    )
    return f'<div class="ib ib-figures">{cells}</div>'


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its head, a class of its own (`ib-num` holds figures), what a click on its head sorts by, and
    whether the head is for those alone who have the page read to them."""

    head: str
    kind: str = ""
    sort: str = ""
    unseen: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """How a table is sorted, and the link that sorts it by another column ('title', '-title')."""

    column: str
    descending: bool
    link: Callable[[str], str]


def _cell_kind(column: Column, cell: str) -> str:
    """The classes of a cell; one that holds nothing is left out of a card."""
    return f"{column.kind} ib-none" if cell in (format.NOTHING, NO_TIME) else column.kind


def _head(column: Column, order: Order | None) -> str:
    """The head of a column; a second click on the one that sorts turns the order round."""
    if column.unseen:
        return f'<th scope="col" class="{column.kind}"><span class="ib-unseen">{safe(column.head)}</span></th>'
    if order is None or not column.sort:
        return f'<th scope="col" class="{column.kind}">{safe(column.head)}</th>'
    key, first_descending = column.sort.removeprefix("-"), column.sort.startswith("-")
    sorts = order.column == key
    turned = not order.descending if sorts else first_descending
    said = f' aria-sort="{"descending" if order.descending else "ascending"}"' if sorts else ""
    link = order.link(f"-{key}" if turned else key)
    return (
        f'<th scope="col" class="{column.kind}"{said}>'
        f'<a class="ib-sort" href="{safe(link)}" target="_self">{safe(column.head)}</a></th>'
    )


def table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    *,
    kind: str = "",
    label: str = "",
    order: Order | None = None,
) -> str:
    """A table whose cells are HTML already. On a narrow screen each row becomes a card (style.css)."""
    head = "".join(_head(one, order) for one in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{_cell_kind(one, cell)}" data-label="{"" if one.unseen else safe(one.head)}">{cell}</td>'
            for one, cell in zip(columns, cells, strict=True)
        )
        + "</tr>"
        for cells in rows
    )
    named = f' aria-label="{safe(label)}"' if label else ""
    return (
        f'<div class="ib"><table class="ib-table {kind}"{named}><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def spark(counts: Sequence[int], label: str) -> str:
    """Counts over time as small bars. Drawn by style alone: DOMPurify takes SVG out of our HTML."""
    most = max(counts, default=0) or 1
    bars = "".join(f'<i style="height:{round(100 * count / most)}%"></i>' for count in counts)
    return f'<span class="ib-spark" role="img" aria-label="{safe(label)}" title="{safe(label)}">{bars}</span>'


def empty(title: str, advice: str, link: str = "", label: str = "") -> str:
    """A place where nothing is yet, and what to do about it."""
    action = f'<a class="ib-button" href="{safe(link)}" target="_self">{safe(label)}</a>' if link else ""
    return f'<div class="ib ib-empty"><b>{safe(title)}</b><span>{safe(advice)}</span>{action}</div>'


def back(link: str, label: str) -> str:
    """The way up. A link of ours, because Streamlit's leaves the address as it was when the page stays the same."""
    arrow = '<span aria-hidden="true">\N{LEFTWARDS ARROW}</span>'
    return (
        f'<p class="ib ib-up"><a class="ib-quiet-button ib-back" href="{link}" target="_self">'
        f"{arrow} {safe(label)}</a></p>"
    )


def marked(text: str, query: str) -> str:
    """Escaped text with the words of the query marked."""
    words = sorted(set(re.findall(r"\w{2,}", query)), key=len, reverse=True)
    if not words:
        return safe(text)
    pattern = re.compile("|".join(re.escape(word) for word in words), re.IGNORECASE)
    pieces, end = [], 0
    for found in pattern.finditer(text):
        pieces += [safe(text[end : found.start()]), f"<mark>{safe(found.group())}</mark>"]
        end = found.end()
    return "".join((*pieces, safe(text[end:])))
