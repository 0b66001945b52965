"""The panels of the history as Altair charts that read well on light and on dark, wide and narrow.

Text takes the theme's colours; lines differ in dash as well as in hue. Times are UTC, like those of the tables.
"""

from __future__ import annotations

import math
from copy import deepcopy
from datetime import datetime
from functools import lru_cache
from typing import Any

import altair as alt
import pyarrow as pa

from dashboard.drawing import panels
from dashboard.drawing.panels import Panel
from tasks.ledger.history import Series

HEIGHT = 230
# 24 hours to the day, and the date where one begins.
_TIME = "utcFormat(datum.value, utchours(datum.value) || utcminutes(datum.value) ? '%H:%M' : '%d %b')"
# Seconds on an axis: '30 s', '5 min', '2 h', '3 d'.
_SECONDS = (
    "datum.value >= 172800 ? format(datum.value / 86400, '~r') + ' d' : "
    "datum.value >= 7200 ? format(datum.value / 3600, '.3~r') + ' h' : "
    "datum.value >= 120 ? format(datum.value / 60, '.3~r') + ' min' : format(datum.value, '.3~r') + ' s'"
)
_LABELS = {"seconds": _SECONDS, "percent": "format(datum.value, '~r') + ' %'"}
_STEPS = (0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400, 432000)


def drawn(panel: Panel, series: Series, now: datetime) -> tuple[dict[str, Any], pa.Table]:
    """One panel as a chart's specification and its data: bars for parts of a whole, else lines."""
    table = _table(panel, series, now)
    values = table["to" if panel.stacked else "value"].to_pylist()
    highest = max((value for value in values if value), default=1.0)
    return deepcopy(_specification(panel, _ticks(panel, highest))), table


# Building one takes Altair 30 ms, a figure that every viewer would pay for every chart once a minute.
@lru_cache(maxsize=128)
def _specification(panel: Panel, ticks: tuple[float, ...]) -> dict[str, Any]:
    names = [line.name for line in panel.lines]
    base = alt.Chart().encode(
        x=alt.X(
            "at:T",
            title=None,
            scale=alt.Scale(type="utc"),
            axis=alt.Axis(labelOverlap=True, tickCount=6, grid=False, labelExpr=_TIME, ticks=False),
        ),
        color=alt.Color(
            "figure:N",
            scale=alt.Scale(domain=names, range=[line.colour for line in panel.lines]),
            legend=_legend(panel) if len(names) > 1 else None,
        ),
        tooltip=[
            alt.Tooltip("time:N", title="Time (UTC)"),
            alt.Tooltip("figure:N", title=panel.title),
            alt.Tooltip("said:N", title=panel.unit.capitalize()),
        ],
    )
    chart = _bars(base, panel, ticks) if panel.stacked else _lines(base, panel, ticks)
    padding = {"left": 2, "right": 6, "top": 2, "bottom": 2}
    made: dict[str, Any] = chart.properties(height=HEIGHT, padding=padding).to_dict()
    return made


def _ticks(panel: Panel, highest: float) -> tuple[float, ...]:
    """Where the axis is labelled; () leaves it to the chart. Seconds are read in steps of clocks, not of tens."""
    if panel.unit == "percent":
        top = next((one for one in (1, 2, 5, 10, 20, 50) if highest <= one), 100)
        return tuple(top * at / 4 for at in range(5))
    if panel.unit != "seconds":
        return ()
    step = next((one for one in _STEPS if highest / one <= 4.5), _STEPS[-1])
    return tuple(at * step for at in range(max(1, math.ceil(highest / step)) + 1))


def _legend(panel: Panel) -> alt.Legend:
    # A line is known by its stroke; bars by their colour.
    shape = "square" if panel.stacked else "stroke"
    return alt.Legend(orient="top", title=None, symbolType=shape, symbolSize=90, padding=0, offset=6, columnPadding=12)


def _bars(base: alt.Chart, panel: Panel, ticks: tuple[float, ...]) -> alt.Chart:
    chart: alt.Chart = base.mark_bar(cornerRadius=1).encode(x2="until:T", y=_y(panel, "from:Q", ticks), y2="to:Q")
    return chart


def _lines(base: alt.Chart, panel: Panel, ticks: tuple[float, ...]) -> alt.Chart:
    names = [line.name for line in panel.lines]
    dashes = alt.Scale(domain=names, range=[[5, 3] if line.dashed else [1, 0] for line in panel.lines])
    chart: alt.Chart = base.mark_line(point={"size": 18, "filled": True}, strokeWidth=1.8).encode(
        y=_y(panel, "value:Q", ticks), strokeDash=alt.StrokeDash("figure:N", scale=dashes, legend=None)
    )
    return chart


def _y(panel: Panel, field: str, ticks: tuple[float, ...]) -> alt.Y:
    axis: dict[str, Any] = {"tickCount": 4, "labelLimit": 60}
    scale: dict[str, Any] = {"domainMin": 0, "nice": True}
    if ticks:
        axis |= {"labelExpr": _LABELS[panel.unit], "values": list(ticks)}
        scale = {"domain": [0, ticks[-1]]}
    elif panel.unit == "jobs":
        axis["tickMinStep"] = 1
    return alt.Y(field, title=None, scale=alt.Scale(**scale), axis=alt.Axis(**axis))


def _table(panel: Panel, series: Series, now: datetime) -> pa.Table:
    """A row a figure and step. Bars carry where they begin and end, so that nothing is left to the drawing."""
    found: dict[str, list[Any]] = {
        name: [] for name in ("at", "until", "figure", "value", "from", "to", "time", "said")
    }
    # The first and the last step say the axis: Vega-Lite mistakes a domain that is given for two different ones.
    ends = (series.points[0].at, series.points[-1].at)
    # Bars leave a hair between them.
    width = int(series.step_s * 920)
    for at, figures in panels.rows(panel, series, now):
        begin, under = int(at.timestamp() * 1000), 0.0
        for line, value in zip(panel.lines, figures, strict=True):
            if panel.stacked and not value and at not in ends:
                continue
            over = under + (value or 0.0)
            row = (begin, begin + width, line.name, value, under, over, panels.utc(at), panels.said(value, panel.unit))
            for column, cell in zip(found.values(), row, strict=True):
                column.append(cell)
            under = over
    kinds = (pa.int64(), pa.int64(), pa.string(), pa.float64(), pa.float64(), pa.float64(), pa.string(), pa.string())
    return pa.table({name: pa.array(cells, kind) for (name, cells), kind in zip(found.items(), kinds, strict=True)})
