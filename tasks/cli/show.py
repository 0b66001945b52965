"""What the commands print: JSON for scripts, aligned columns for people.

Names come from outside: control characters, which could drive a terminal, are shown replaced.
"""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import typer

from tasks.telling import plain

COLOURS = {
    "completed": "green",
    "running": "blue",
    "partial": "yellow",
    "retrying": "yellow",
    "canceling": "yellow",
    "failed": "red",
    "canceled": "bright_black",
}


def as_json(value: Any) -> None:
    """Print a value; dataclasses become objects, times ISO 8601."""
    typer.echo(json.dumps(plain(value), ensure_ascii=False, indent=2))


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print columns, as wide as they need to be; on a terminal the widest one gives way."""
    cells = [[clean(str(cell)) for cell in row] for row in rows]
    if not cells:
        typer.echo(empty)
        return
    widths = [max(width(line[at]) for line in [list(heads), *cells]) for at in range(len(heads))]
    if sys.stdout.isatty():
        over = sum(widths) + 2 * (len(widths) - 1) - shutil.get_terminal_size().columns
        widest = widths.index(max(widths))
        widths[widest] = max(12, widths[widest] - max(0, over))
    typer.echo(_line(heads, widths))
    for row in cells:
        typer.echo(_line(row, widths))


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print names and values below each other, without the empty ones."""
    kept = [(name, clean(str(value))) for name, value in pairs if value not in ("", None)]
    size = max(len(name) for name, _ in kept)
    for name, value in kept:
        typer.echo(f"{name:<{size}}  {styled(value)}")


def clean(text: str) -> str:
    """Text that cannot drive a terminal."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in ("Cc", "Cf") else char for char in text)


def styled(text: str) -> str:
    """A state in its colour; anything else as it is. typer.echo drops colours where no terminal is."""
    colour = COLOURS.get(text.strip())
    return typer.style(text, fg=colour) if colour else text


def when(moment: datetime | None) -> str:
    """A time for a person: in the local zone, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def ago(moment: datetime | None) -> str:
    """How long ago, in one unit."""
    return f"{lasting((datetime.now(UTC) - moment).total_seconds())} ago" if moment else ""


def lasting(seconds: float | None) -> str:
    """A duration in one or two units: '0.4 s', '12 s', '3 min', '2.5 h', '4 d'."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"


def size(count: float) -> str:
    """Bytes for a person, in powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"


def width(text: str) -> int:
    """Columns of a terminal that the text takes (Unicode TR 11)."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    parts = []
    for cell, room in zip(row, widths, strict=True):
        text = cell
        if width(text) > room:
            while width(text) > room - 1:
                text = text[:-1]
            text += "…"
        parts.append(styled(text) + " " * (room - width(text)))
    return "  ".join(parts).rstrip()
