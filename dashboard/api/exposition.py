"""Figures in the text format of Prometheus, version 0.0.4. Pure: names, labels and numbers in, text out.

By hand, as the format is forty lines and our figures are read from elsewhere at each scrape; docs/decisions/0027.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Family:
    """One figure with all its labelled values."""

    name: str
    kind: Literal["counter", "gauge"]
    about: str
    values: tuple[tuple[Mapping[str, str], float], ...]

    def __post_init__(self) -> None:
        assert NAME.fullmatch(self.name), self.name
        assert (self.kind == "counter") == self.name.endswith("_total"), self.name


def one(name: str, kind: Literal["counter", "gauge"], about: str, value: float) -> Family:
    """A figure without labels."""
    return Family(name, kind, about, (({}, value),))


def text(families: Iterable[Family]) -> str:
    """What a scrape reads; a figure without values is left out."""
    lines: list[str] = []
    for family in families:
        if not family.values:
            continue
        about = family.about.replace("\\", "\\\\").replace("\n", "\\n")
        lines += [f"# HELP {family.name} {about}", f"# TYPE {family.name} {family.kind}"]
        lines += [f"{family.name}{_labels(labels)} {_number(value)}" for labels, value in family.values]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    told = [f'{name}="{_escaped(value)}"' for name, value in labels.items()]
    return f"{{{','.join(told)}}}" if told else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
