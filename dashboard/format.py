"""Pure words and figures for people: ages, durations, bytes, percents and the badge of each state.

Nothing here knows HTML, Streamlit or Redis. Whoever shows the result on a page escapes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tasks.ledger.states import DocumentState, State

Tone = Literal["quiet", "move", "warn", "good", "bad"]
NOTHING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Badge:
    """How a state is shown: its label, and the tone that its colour comes from."""

    label: str
    tone: Tone


BADGES: dict[State, Badge] = {
    State.QUEUED: Badge("Queued", "quiet"),
    State.RUNNING: Badge("Running", "move"),
    State.RETRYING: Badge("Retrying", "warn"),
    State.CANCELING: Badge("Canceling", "warn"),
    State.CANCELED: Badge("Canceled", "quiet"),
    State.COMPLETED: Badge("Completed", "good"),
    State.PARTIAL: Badge("Partial", "warn"),
    State.FAILED: Badge("Failed", "bad"),
}

DOCUMENT_BADGES: dict[DocumentState, Badge] = {
    DocumentState.QUEUED: Badge("Queued", "quiet"),
    DocumentState.RUNNING: Badge("Running", "move"),
    DocumentState.COMPLETED: Badge("Done", "good"),
    DocumentState.FAILED: Badge("Failed", "bad"),
    DocumentState.CANCELED: Badge("Canceled", "quiet"),
}


def duration(seconds: float | None) -> str:
    """A length of time in its two leading units: '45 ms', '0.4 s', '12 s', '3 min 05 s', '2 h 04 min', '3 d 4 h'."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    seconds = max(0.0, seconds)
    if 0 < seconds < 0.0995:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < 0.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def coarse(seconds: float | None) -> str:
    """A length of time in one unit, as an estimate or an age is best read: '12 s', '3 min', '2 h', '5 d'."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    seconds = max(0.0, seconds)
    if seconds < 59.5:
        return f"{round(seconds)} s"
    if seconds < 3570:
        return f"{round(seconds / 60)} min"
    if seconds < 84_600:
        return f"{round(seconds / 3600)} h"
    return f"{round(seconds / 86_400)} d"


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago, in one unit; a clock that runs a little ahead reads 'now'."""
    if at is None:
        return NOTHING
    seconds = (now - at).total_seconds()
    return "now" if seconds < 1 else f"{coarse(seconds)} ago"


def exact(at: datetime | None) -> str:
    """The moment itself, in UTC, for the hover of a relative time."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def size(count: int) -> str:
    """Bytes in decimal units with at most three figures: '812 B', '1.2 kB', '48 MB'."""
    value = float(max(0, count))
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            return f"{value:.1f} {unit}" if unit != "B" and value < 9.95 else f"{value:.0f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def number(count: int) -> str:
    """A count with its thousands apart: '12,345'."""
    return f"{count:,}"


def counted(count: int, noun: str) -> str:
    """A count with its noun: '1 document', '12,345 documents'."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def percent(value: float) -> str:
    """Whole percent, rounded down: 100 % is shown only when all of it is done."""
    return f"{math.floor(min(100.0, max(0.0, value)))} %"


def step(current: int, total: int) -> str:
    """'step 3 of 12', or nothing while the number of steps is unknown."""
    return f"step {number(min(current, total))} of {number(total)}" if total > 0 else ""


def sentence(text: str) -> str:
    """Text that begins with a capital and ends with a stop, as everything said to a person does."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")
