"""The small pieces of HTML that every page is built from. All text is escaped here, whatever it is.

A page's live part is one element of such HTML: a tick costs by the number of elements, not by their size.
Colours come from style.css alone, so that light and dark follow the theme.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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


def safe(text: object) -> str:
    """Text as HTML, in content and in quoted attributes alike."""
    return escape(str(text), quote=True)


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
        return f'<span class="ib-soft">{format.NOTHING}</span>'
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
    """A column: its head, and whether it holds figures (right-aligned) or a class of its own."""

    head: str
    kind: str = ""


def _cell_kind(column: Column, cell: str) -> str:
    """The classes of a cell; one that holds nothing is left out of a card."""
    return f"{column.kind} ib-none" if cell == format.NOTHING else column.kind


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, kind: str = "") -> str:
    """A table whose cells are HTML already. On a narrow screen each row becomes a card (style.css)."""
    head = "".join(f'<th scope="col" class="{one.kind}">{safe(one.head)}</th>' for one in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{_cell_kind(one, cell)}" data-label="{safe(one.head)}">{cell}</td>'
            for one, cell in zip(columns, cells, strict=True)
        )
        + "</tr>"
        for cells in rows
    )
    return (
        f'<div class="ib"><table class="ib-table {kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def empty(title: str, advice: str, link: str = "", label: str = "") -> str:
    """A place where nothing is yet, and what to do about it."""
    action = f'<a class="ib-button" href="{safe(link)}" target="_self">{safe(label)}</a>' if link else ""
    return f'<div class="ib ib-empty"><b>{safe(title)}</b><span>{safe(advice)}</span>{action}</div>'


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
