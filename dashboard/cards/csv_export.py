"""A table as a CSV file that a spreadsheet opens as text, whatever is in it.

A cell that begins as a formula does is led by a quote, so that opening the file runs nothing (OWASP, CSV
injection); plain numbers stay numbers. UTF-8 with a byte order mark, lines end as RFC 4180 has it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import streamlit as st

ROWS_MOST = 50_000
MIME = "text/csv; charset=utf-8"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def cell(value: object) -> str:
    """A value as it may stand in a cell: times ISO 8601, nothing for None, no formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    said = str(value)
    return f"'{said}" if said.startswith(_FORMULA) and not _NUMBER.fullmatch(said) else said


def encode(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """The file."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n")
    writer.writerow(map(cell, heads))
    writer.writerows([cell(one) for one in row] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def button(
    name: str, heads: Sequence[str], rows: Callable[[], Iterable[Sequence[object]]], *, key: str, label: str = "CSV"
) -> None:
    """The way to the file; it is made when it is asked for and not before."""
    st.download_button(
        label,
        data=lambda: encode(heads, rows()),
        file_name=f"{name}.csv",
        mime=MIME,
        key=key,
        on_click="ignore",
        icon=":material/download:",
        type="tertiary",
        help=f"Save this table as {name}.csv",
    )
