"""What the history shows: each panel says its figures once, and its chart, table and CSV follow from that. Pure.

Nothing here knows Streamlit or Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from dashboard import format
from tasks.ledger.buckets import Bucket
from tasks.ledger.history import Point, Series

# As in style.css: hues of middle lightness, which read well on light and on dark.
BLUE, GREEN, AMBER, RED, GRAY = "#2f7de1", "#1f9d57", "#c98308", "#d8433f", "#7c8898"

Unit = Literal["jobs", "seconds", "percent", "documents a minute", "chunks a minute"]
# The figures of a bucket that lasted so many minutes; None where there is nothing to say.
Figure = Callable[[Bucket, float], float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One figure over time: its name, its colour and how it is got."""

    name: str
    colour: str
    of: Figure
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart and its table. `stacked` figures are parts of a whole and drawn as bars."""

    key: str
    title: str
    about: str
    unit: Unit
    lines: tuple[Line, ...]
    stacked: bool = False
    overall: bool = False  # known for all collections together only


def _ended(state: str) -> Figure:
    return lambda bucket, _: float(bucket.ended[state])


def _share(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole else None


PANELS = (
    Panel(
        "ended",
        "Jobs ended",
        "How many jobs ended, by how they ended",
        "jobs",
        (
            Line("Completed", GREEN, _ended("completed")),
            Line("Partial", AMBER, _ended("partial")),
            Line("Failed", RED, _ended("failed")),
            Line("Canceled", GRAY, _ended("canceled")),
        ),
        stacked=True,
    ),
    Panel(
        "failed",
        "Failure rate",
        "The share of the jobs that failed or were partial, and of the documents that failed",
        "percent",
        (
            Line(
                "Jobs",
                BLUE,
                lambda one, _: _share(one.ended["failed"] + one.ended["partial"], sum(one.ended.values())),
            ),
            Line("Documents", RED, lambda one, _: _share(one.documents_failed, one.documents), dashed=True),
        ),
    ),
    Panel(
        "documents",
        "Documents a minute",
        "Documents that were ingested, taken from the cache, or failed",
        "documents a minute",
        (
            Line("Ingested", BLUE, lambda one, m: (one.documents - one.cached - one.documents_failed) / m),
            Line("From cache", GRAY, lambda one, m: one.cached / m),
            Line("Failed", RED, lambda one, m: one.documents_failed / m),
        ),
        stacked=True,
    ),
    Panel(
        "chunks",
        "Chunks a minute",
        "Chunks of the documents that were ingested or taken from the cache",
        "chunks a minute",
        (Line("Chunks", BLUE, lambda one, m: one.chunks / m),),
        stacked=True,
    ),
    Panel(
        "run",
        "Run time",
        "From the start of a job to its end, of the jobs that published; within 10 percent",
        "seconds",
        (
            Line("Half of them (p50)", BLUE, lambda one, _: one.run.percentile(0.5)),
            Line("Nearly all (p95)", AMBER, lambda one, _: one.run.percentile(0.95), dashed=True),
        ),
    ),
    Panel(
        "wait",
        "Wait",
        "From the submission of a job to its start; within 10 percent",
        "seconds",
        (
            Line("Half of them (p50)", BLUE, lambda one, _: one.wait.percentile(0.5)),
            Line("Nearly all (p95)", AMBER, lambda one, _: one.wait.percentile(0.95), dashed=True),
        ),
    ),
    Panel(
        "queue",
        "Queue age",
        "How long the oldest job in the queue had waited, at its worst; looked at every 10 s",
        "seconds",
        (Line("Oldest", BLUE, lambda one, _: one.oldest_s),),
        stacked=True,
        overall=True,
    ),
)


def minutes(point: Point, step_s: int, now: datetime) -> float:
    """How long a step has lasted: the newest one is not over yet."""
    return max(1.0, min(float(step_s), (now - point.at).total_seconds())) / 60


def heads(panel: Panel) -> list[str]:
    return ["Time (UTC)", *(line.name for line in panel.lines)]


def rows(panel: Panel, series: Series, now: datetime) -> Iterator[tuple[datetime, list[float | None]]]:
    """The figures of a panel, oldest first."""
    for point in series.points:
        lasted = minutes(point, series.step_s, now)
        yield point.at, [line.of(point.figures, lasted) for line in panel.lines]


def told(panel: Panel, figures: Sequence[float | None]) -> bool:
    """Whether these figures say anything: of parts of a whole those that are not zero, of others any."""
    return any(one if panel.stacked else one is not None for one in figures)


def csv_rows(panel: Panel, series: Series, now: datetime) -> list[list[object]]:
    return [[at, *figures] for at, figures in rows(panel, series, now)]


def csv_heads(panel: Panel) -> list[str]:
    return ["time", *(f"{line.name} ({panel.unit})" for line in panel.lines)]


def said(value: float | None, unit: Unit) -> str:
    """A figure as a table shows it."""
    if value is None:
        return format.NOTHING
    if unit == "seconds":
        return format.duration(value) if value else "0 s"
    if unit == "percent":
        return f"{value:.3g} %"
    return format.number(round(value)) if unit == "jobs" or value >= 100 else f"{value:.3g}"


def spoken(panel: Panel, series: Series, now: datetime) -> str:
    """What the chart shows, in a sentence, for who does not see it."""
    parts = []
    for at, line in enumerate(panel.lines):
        known = [figures[at] for _, figures in rows(panel, series, now)]
        values = [value for value in known if value is not None]
        if values:
            parts.append(f"{line.name} {said(min(values), panel.unit)} to {said(max(values), panel.unit)}")
    return f"{panel.title}. {panel.about}. {'; '.join(parts) or 'Nothing in this time'}."


@dataclass(frozen=True, slots=True)
class Range:
    """A choice of time: how far back it goes and in which steps it is shown."""

    label: str
    back: timedelta
    step_s: int


RANGES = (
    Range("1 h", timedelta(hours=1), 60),
    Range("6 h", timedelta(hours=6), 300),
    Range("24 h", timedelta(hours=24), 900),
    Range("7 d", timedelta(days=7), 7_200),
    Range("30 d", timedelta(days=30), 21_600),
)
CUSTOM = "Custom"
STEPS = (60, 300, 900, 3_600, 7_200, 21_600, 86_400, 7 * 86_400)


def step_for(span: timedelta, points: int = 120) -> int:
    """The step that cuts a span of one's own into about so many points."""
    return next((step for step in STEPS if span.total_seconds() / step <= points), STEPS[-1])


def step_words(step_s: int) -> str:
    """'every minute', 'every 15 minutes', 'every 2 hours', 'every day'."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if step_s % size == 0:
            count = step_s // size
            return f"every {unit}" if count == 1 else f"every {count} {unit}s"
    return f"every {step_s} seconds"


def summary(series: Series) -> Sequence[tuple[str, str]]:
    """The line of figures above the charts: label and value."""
    total = series.total()
    ended = sum(total.ended.values())
    bad = _share(total.ended["failed"] + total.ended["partial"], ended)
    return (
        ("jobs ended", format.number(ended)),
        ("failed or partial", said(bad, "percent")),
        ("documents", format.number(total.documents)),
        ("chunks", format.number(total.chunks)),
        ("wait, p95", said(total.wait.percentile(0.95), "seconds")),
        ("run, p95", said(total.run.percentile(0.95), "seconds")),
    )


def utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"
