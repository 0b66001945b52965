"""Many people on one board: viewers that speak Streamlit's protocol and tick each second, 1 to 300 of them.

The dashboard has one core to itself; the viewers, Redis and what changes the board have the other. The peer is
rq-dashboard's way, a page that asks Redis anew for every viewer: its reads are counted in `benchmarks.board`.
"""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
import socket
import statistics
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Event

import psutil
import redis

from benchmarks import busy, report
from benchmarks.report import Figures, milliseconds
from benchmarks.stack import Stack, stack, watch
from benchmarks.streamlit_viewer import Viewer
from tasks.access import PROGRAM
from tasks.child import Child, python_module
from tasks.ledger import Ledger

JOBS = 1_000
CHANGES = 50  # a second
NUMBERS = (1, 50, 100, 200, 300)
QUICK_NUMBERS = (1, 10)
EACH_S = 30.0
QUICK_S = 8.0
LONG_S = 600.0
SETTLE_S = 5.0  # of each measurement, after the last viewer has opened its page
OPENED_WITHIN_S = 0.05  # between two viewers that arrive
WEIGHED = 20  # times that the memory is read during a run
AIM_P99_S = 0.25
AIM_MISSED = 0.01  # of the ticks, of which a slow answer hides those behind it
AIM_GROWTH = 0.05
AIM_BYTES = 2 * 2**20
PORT = 18_651
MEBI = 2**20


@dataclass(frozen=True, slots=True)
class Run:
    """What so many viewers saw and cost: seconds, share of a core, Redis commands a second, bytes of memory."""

    viewers: int
    ticks: Figures
    p99_s: float
    late: int  # ticks missed against one a second
    core: float
    commands: float
    memory: int
    weighed: tuple[int, ...]  # the memory over the run, from first to last
    failed: int

    @property
    def missed(self) -> float:
        """The share of its ticks that never came."""
        return self.late / max(1, self.late + len(self.ticks.values))

    @property
    def growth(self) -> float:
        """How much more the last quarter of the run takes than the first, as a share of it."""
        quarter = max(1, len(self.weighed) // 4)
        first, last = (statistics.median(part) for part in (self.weighed[:quarter], self.weighed[-quarter:]))
        return last / first - 1


def changes(address: str, settings: object, jobs: list[str], over: Event) -> None:
    """The process that changes the board until it is over."""
    client = redis.Redis.from_url(address)
    changing = busy.Changing(Ledger(client, settings, PROGRAM), jobs, CHANGES)  # type: ignore[arg-type]
    changing.start()
    over.wait()
    changing.stop()


def commands(bench: Stack) -> int:
    """How many commands Redis has run, those inside of scripts too."""
    found = bench.ledger.redis.info("commandstats")
    return sum(int(one["calls"]) for one in found.values())


async def look(count: int, seconds: float, dashboard: psutil.Process, bench: Stack, idle: float) -> Run:
    """So many viewers for so long, once all have opened the page."""
    viewers = [Viewer(f"127.0.0.1:{PORT}") for _ in range(count)]
    opened = [asyncio.Event() for _ in viewers]
    looking = [
        asyncio.create_task(viewer.look(math.inf, event, after_s=at * OPENED_WITHIN_S))
        for at, (viewer, event) in enumerate(zip(viewers, opened, strict=True))
    ]
    for event in opened:
        await event.wait()
    await asyncio.sleep(SETTLE_S)
    since, cpu, before = time.monotonic(), sum(dashboard.cpu_times()[:2]), commands(bench)
    memory = dashboard.memory_info().rss
    weighed = []
    for at in range(1, WEIGHED + 1):
        await asyncio.sleep(since + at * seconds / WEIGHED - time.monotonic())
        weighed.append(dashboard.memory_info().rss)
    until, spent, ran = time.monotonic(), sum(dashboard.cpu_times()[:2]) - cpu, commands(bench) - before
    for task in looking:
        task.cancel()
    await asyncio.gather(*looking, return_exceptions=True)
    ticks = sorted(took for viewer in viewers for at, took in viewer.ticks if since <= at < until)
    expected = int(count * (until - since))
    return Run(
        count,
        Figures(tuple(ticks)),
        ticks[int(0.99 * (len(ticks) - 1))],
        max(0, expected - len(ticks)),
        spent / (until - since),
        ran / (until - since) - idle,
        memory,
        tuple(weighed),
        sum(1 for viewer in viewers if viewer.failed),
    )


def start(bench: Stack) -> tuple[Child, psutil.Process]:
    """The dashboard on a core of its own, once it answers."""
    command = ["taskset", "-c", "0", "env", f"PORT={PORT}", *python_module("dashboard")]
    child = bench._start("dashboard", command)
    pid = child.pid

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", PORT)) == 0

    watch(listens, what=f"the dashboard; see {child.log}", every_s=0.05)
    return child, psutil.Process(pid)


def rest(dashboard: psutil.Process, bench: Stack, idle: float) -> tuple[float, float]:
    """The share of a core and the Redis commands a second once everybody has left."""
    time.sleep(SETTLE_S)
    since, cpu, before = time.monotonic(), sum(dashboard.cpu_times()[:2]), commands(bench)
    time.sleep(10)
    passed = time.monotonic() - since
    return (sum(dashboard.cpu_times()[:2]) - cpu) / passed, (commands(bench) - before) / passed - idle


def measure(numbers: tuple[int, ...], seconds: float, long_s: float) -> tuple[list[Run], tuple[float, float]]:
    """A run for each number, the last of them for long; and what the dashboard costs afterwards."""
    os.sched_setaffinity(0, {1})  # inherited by Redis and by what changes the board
    with stack() as bench:
        jobs = busy.submit(bench.ledger, JOBS)
        context = multiprocessing.get_context("spawn")
        over = context.Event()
        changing = context.Process(target=changes, args=(bench.address, bench.settings, jobs[:100], over))
        changing.start()
        try:
            time.sleep(SETTLE_S)
            before, since = commands(bench), time.monotonic()
            time.sleep(5)
            idle = (commands(bench) - before) / (time.monotonic() - since)
            _, dashboard = start(bench)
            runs = []
            for count in numbers:
                last = count == numbers[-1]
                runs.append(asyncio.run(look(count, long_s if last else seconds, dashboard, bench, idle)))
            after = rest(dashboard, bench, idle)
        finally:
            over.set()
            changing.join(20)
    return runs, after


def main() -> None:
    lengths = {"each": (EACH_S, "for each number of viewers"), "long": (LONG_S, "for the last of them")}
    given = report.arguments(__doc__ or "", lengths)
    numbers = QUICK_NUMBERS if given.quick else NUMBERS
    each_s, long_s = (QUICK_S, QUICK_S) if given.quick else (given.each, given.long)
    runs, after = measure(numbers, each_s, long_s)
    alone = runs[0].memory
    rows = [
        [
            f"{run.viewers} viewers" if run.viewers > 1 else "1 viewer",
            milliseconds(run.ticks.median),
            milliseconds(run.p99_s),
            f"{run.core:.0%}",
            f"{run.commands:,.0f}",
            f"{run.memory / MEBI:,.0f} MiB",
            f"{(run.memory - alone) / MEBI / max(1, run.viewers - 1):.2f} MiB" if run.viewers > 1 else "",
        ]
        for run in runs
    ]
    last = runs[-1]
    tenths = ", ".join(f"{one / MEBI:,.0f}" for one in last.weighed[1::2])
    each = (last.memory - alone) / max(1, last.viewers - 1)
    # One viewer makes the mirror look once a second; many make it look at its own pace, twice a second.
    steady = max(run.commands for run in runs) <= 2.2 * max(1.0, runs[0].commands) + 5
    report.show(
        "viewers",
        "Viewers of one board",
        [
            f"{JOBS:,} jobs of which {CHANGES} change each second; every viewer has the board open and asks for it "
            f"once a second, as its browser would. The dashboard is one process held to one core. {each_s:g} s each, "
            f"{long_s / 60:.2g} minutes for the last. A tick is from the request to the end of its last answer.",
            report.table(
                ["", "tick p50", "tick p99", "of one core", "Redis commands a second", "memory", "a viewer"], rows
            ),
            f"Over the last run the memory began at {last.memory / MEBI:,.0f} MiB and was, a tenth of the run apart, "
            f"{tenths} MiB. {last.late:,} of {last.late + len(last.ticks.values):,} ticks were missed and "
            f"{last.failed} viewers lost their connection. Once everybody had left, the dashboard took {after[0]:.1%} "
            f"of its core and {max(0.0, after[1]):.0f} Redis commands a second.",
            report.aim(
                f"{last.viewers} viewers at one tick a second on one core, p99 under 250 ms, under 1 percent missed",
                last.p99_s < AIM_P99_S and last.missed < AIM_MISSED and not last.failed,
            )
            + "\n"
            + report.aim("reads of Redis do not grow with the viewers", steady)
            + "\n"
            + report.aim("memory under 2 MB a viewer", each < AIM_BYTES)
            + "\n"
            + report.aim(f"and flat over {long_s / 60:.2g} minutes (within 5 percent)", last.growth < AIM_GROWTH)
            + "\n"
            + report.aim("a viewer that has left costs nothing (under 1 percent of the core)", after[0] < 0.01),
            report.machine("streamlit", "redis"),
        ],
        quick=given.quick,
        write=given.write,
    )


if __name__ == "__main__":
    main()
