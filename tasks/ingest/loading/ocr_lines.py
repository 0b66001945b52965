"""Lines of recognised text: where a long one is cut before it is recognised, and in which order people read them.

Pure geometry over pixels and boxes; nothing here knows the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_SHORT, _LONG = 3.0, 8.0  # heights of a line that a cut piece is wide, at least and at most
_GAP = 0.1  # heights that a gap between words is wide, at least
_INK = 40  # shades by which ink differs from the paper
_COLUMN_LINES = 4  # lines on each side of a gap that make it a gap between columns


@dataclass(frozen=True, slots=True)
class Line:
    """A recognised stretch of text and the box around it, in pixels."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


def pieces(line: Pixels) -> Iterator[Pixels]:
    """A picture of one line cut at its widest gaps into pieces of a few words.

    The models lose letters and the blanks between words in long lines, and a cut is a blank for sure.
    """
    height, width = line.shape[:2]
    grey = line.mean(axis=2)
    empty = ~(np.abs(grey - np.median(grey)) > _INK).any(axis=0)
    start = 0
    while width - start > _LONG * height:
        cut = _widest(empty, start + int(_SHORT * height), start + int(_LONG * height), _GAP * height)
        if cut is None:
            break
        yield line[:, start:cut]
        start = cut
    yield line[:, start:]


def _widest(empty: npt.NDArray[np.bool_], first: int, last: int, least: float) -> int | None:
    """The middle of the widest run of empty columns in a stretch; None when each is narrower than `least`."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], empty[first:last].astype(np.int8), [0]))))
    begins, ends = edges[0::2], edges[1::2]
    if len(begins) == 0:
        return None
    widest = int(np.argmax(ends - begins))
    if ends[widest] - begins[widest] < least:
        return None
    return first + int(begins[widest] + ends[widest]) // 2


def arranged(lines: Sequence[Line]) -> list[str]:
    """The lines in the order in which a person reads them: columns one after the other, stretches of a row joined."""
    if not lines:
        return []
    gap = _gutter(lines)
    if gap is not None:
        above, left, right, below = _around(lines, gap)
        return [text for part in (above, left, right, below) for text in arranged(part)]
    return _rows(lines)


def _rows(lines: Sequence[Line]) -> list[str]:
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.middle):
        row = rows[-1] if rows else None
        if row and line.middle - row[-1].middle < 0.5 * min(line.height, row[-1].height):
            row.append(line)
        else:
            rows.append([line])
    return [" ".join(line.text for line in sorted(row, key=lambda line: line.left)) for row in rows]


def _gutter(lines: Sequence[Line]) -> float | None:
    """Where two columns of prose part; None for one column and for a table, whose stretches are short."""
    if len(lines) < 2 * _COLUMN_LINES:
        return None
    first, last = min(line.left for line in lines), max(line.right for line in lines)
    best: tuple[int, float] | None = None
    for place in np.linspace(first + 0.25 * (last - first), first + 0.75 * (last - first), 41):
        left = [line for line in lines if line.right <= place]
        right = [line for line in lines if line.left >= place]
        crossing = len(lines) - len(left) - len(right)
        if min(len(left), len(right)) < _COLUMN_LINES or crossing > 0.25 * len(lines):
            continue
        wide = 0.6 * min(place - first, last - place)
        if min(median(line.right - line.left for line in side) for side in (left, right)) < wide:
            continue
        if best is None or crossing < best[0]:
            best = (crossing, float(place))
    return best[1] if best else None


def _around(lines: Sequence[Line], gap: float) -> tuple[list[Line], list[Line], list[Line], list[Line]]:
    """What lies above, left, right and below of a gap between columns; a line across it is above or below."""
    left = [line for line in lines if line.right <= gap]
    right = [line for line in lines if line.left >= gap]
    across = [line for line in lines if line.left < gap < line.right]
    centre = median(line.middle for line in (*left, *right))
    return [one for one in across if one.middle < centre], left, right, [one for one in across if one.middle >= centre]
