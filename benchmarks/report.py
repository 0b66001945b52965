"""Figures and how they are shown: statistics, a Markdown table, the machine, and the section of docs/benchmarks.md."""

from __future__ import annotations

import argparse
import math
import os
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

from tasks import embedded

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
NONE: Mapping[str, tuple[float, str]] = MappingProxyType({})
HEAD = """# Benchmarks

Each table comes from one run of a program in `benchmarks/`, beside a named peer on the same machine, and replaces
itself with `python -m benchmarks.NAME --write`. Read the ratios; the absolute figures are those of one machine.
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one thing, in seconds or any other unit."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        """By nearest rank: the smallest value that 95 % of the values do not exceed."""
        return sorted(self.values)[math.ceil(0.95 * len(self.values)) - 1]

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)


def milliseconds(seconds: float) -> str:
    """`12 ms` or `1,234 ms`; a tenth where there are few."""
    value = seconds * 1000
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the rest is aligned to the right."""
    marks = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, marks, *rows))


def aim(sentence: str, met: bool) -> str:
    """A line that says what was aimed at and whether it was reached."""
    return f"- Aim: {sentence}: **{'met' if met else 'not met'}**."


def machine(*packages: str) -> str:
    """Date and machine in one paragraph: no host name, no path."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    server = embedded.find_server()
    kernel = platform.release().partition("-")[0]
    libraries = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB memory, "
        f"{platform.system()} {kernel}, Python {platform.python_version()}, {server.path.name} "
        f"{'.'.join(map(str, server.version))}, {libraries}."
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return f"{found[1]} ({platform.machine()})" if found else platform.machine()


def arguments(description: str, seconds: Mapping[str, tuple[float, str]] = NONE) -> argparse.Namespace:
    """`--quick` and `--write`, which exclude each other; and lengths of time: name -> (seconds, what takes so long)."""
    parser = argparse.ArgumentParser(description=description)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--quick", action="store_true", help="few samples: shows that the program works, proves nothing")
    kind.add_argument("--write", action="store_true", help="also put the section into docs/benchmarks.md")
    for name, (usual, meaning) in seconds.items():
        parser.add_argument(f"--{name}", type=float, default=usual, metavar="SECONDS", help=f"{meaning} ({usual:g} s)")
    return parser.parse_args()


def show(name: str, title: str, parts: Sequence[str], *, quick: bool, write: bool) -> None:
    """Print a section, and put it into docs/benchmarks.md when asked to."""
    warning = ["This was a quick run: too few samples to quote."] if quick else []
    section = "\n\n".join([f"## {title}", *warning, *parts])
    print(section)
    if write:
        page = PAGE.read_text("utf-8") if PAGE.exists() else HEAD
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(replaced(page, name, section), "utf-8")


def replaced(page: str, name: str, section: str) -> str:
    """The page with the section of that name in place of the old one, or at its end."""
    first, last = f"<!-- {name} -->", f"<!-- end of {name} -->"
    block = f"{first}\n{section}\n{last}"
    pattern = re.compile(f"{re.escape(first)}.*?{re.escape(last)}", re.DOTALL)
    if pattern.search(page):
        return pattern.sub(lambda found: block, page)
    return f"{page.rstrip()}\n\n{block}\n"
