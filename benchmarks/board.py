"""A tick of the board beside rq-dashboard, which serves a page of as many rows from the same Redis in the same run.

At each size 50 jobs report, as workers report them; then both look once. Redis itself counts commands and bytes; a
round trip is one write to its socket, counted in both clients alike. Ours is the tick and a filtered, sorted page of
50 rows. Theirs is the answer to the one request that their page of jobs polls, made in the process, without the
time that HTTP takes; their pages poll two more.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import flask
import psutil
import rq_dashboard
from redis.connection import AbstractConnection
from rq import Queue
from rq_dashboard.web import setup_rq_connection

from benchmarks import report
from benchmarks.report import Figures, milliseconds
from benchmarks.stack import Stack, stack, watch
from dashboard.feed import TICK_S, Feed, Mirror
from dashboard.memory.matching import Sort
from dashboard.memory.query import parse
from tasks.ledger import Ledger, control, keys, store
from tasks.ledger.changes import Reader
from tasks.ledger.control import NewDocument
from tasks.recipe import Recipe

SIZES = (1_000, 10_000, 100_000)
QUICK_SIZES = (1_000, 10_000)
TICKS = 120
QUICK_TICKS = 20
POLLS = 12  # of rq-dashboard, which does the same each time
ROWS = 50
CHANGING = 50  # jobs that report between two ticks
LIVE = 200  # jobs that are worked on, of which those report
TICK_LENGTH_S = 1.0  # a board with one viewer who watches work
VIEWERS = 100
QUEUE = "bench"
LOOK = parse("state:running,completed -owner:ben")
ORDER = Sort("updated")

AIM_TRIPS = 2
AIM_S = 0.010
AIM_ONE = 20.0
AIM_MANY = 1_000.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one tick cost."""

    commands: int
    trips: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Side:
    """All ticks of one board at one size."""

    costs: tuple[Cost, ...]

    def mean(self, of: Callable[[Cost], float]) -> float:
        return sum(map(of, self.costs)) / len(self.costs)

    @property
    def commands(self) -> float:
        return self.mean(lambda cost: cost.commands)

    @property
    def trips(self) -> int:
        return max(cost.trips for cost in self.costs)

    @property
    def time(self) -> Figures:
        return Figures(tuple(cost.seconds for cost in self.costs))


@dataclass(frozen=True, slots=True)
class Size:
    """What was measured at one number of jobs."""

    jobs: int
    ours: Side
    theirs: Side
    many: float  # commands of our ticks in a second with a hundred viewers
    first_s: float  # until the newest page was there
    filled_s: float  # until all were
    bytes_a_job: float


class Meter:
    """Counts what Redis did between two moments, and what went over the wire."""

    def __init__(self, ledger: Ledger) -> None:
        self._redis = ledger.redis
        self._own = 0  # bytes that a reading itself moves
        self.trips = 0

    @contextmanager
    def counting_trips(self) -> Iterator[None]:
        """Every client of this process counts its writes while the block runs."""
        real: Any = AbstractConnection.send_packed_command
        meter = self

        def counted(connection: Any, command: Any, check_health: bool = True) -> None:
            meter.trips += 1
            real(connection, command, check_health)

        AbstractConnection.send_packed_command = counted  # type: ignore[method-assign]
        try:
            yield
        finally:
            AbstractConnection.send_packed_command = real  # type: ignore[method-assign]

    def cost(self, act: Callable[[], object]) -> Cost:
        commands, moved = self._read()
        trips, started = self.trips, time.perf_counter()
        act()
        seconds, trips = time.perf_counter() - started, self.trips - trips
        after, moved_after = self._read()
        # The reading itself is one command, counted once it is done, and its question and answer are bytes.
        return Cost(after - commands - 1, trips, max(0, moved_after - moved - self._own), seconds)

    def calibrate(self) -> None:
        """Learn how many bytes a reading itself moves."""
        self._own = min(self.cost(lambda: None).bytes for _ in range(5))

    def _read(self) -> tuple[int, int]:
        found: Any = self._redis.info("everything")
        commands = sum(stats["calls"] for name, stats in found.items() if name.startswith("cmdstat_"))
        return commands, found["total_net_input_bytes"] + found["total_net_output_bytes"]


def fill(bench: Stack, jobs: int, at: int) -> None:
    """Add finished jobs, as the ledger writes them, up to a number, and as many plain RQ jobs."""
    redis: Any = bench.ledger.redis
    sample = control.submit(
        bench.ledger, collection="contracts", documents=[document(0)], owner="ana", recipe=Recipe()
    ).job
    template = redis.hgetall(keys.job(sample))
    control.cancel(bench.ledger, sample, by="bench")
    chance, now = random.Random(f"board {jobs}"), time.time()
    revision = int(redis.get(keys.REVISION) or 0)
    for first in range(at, jobs, 1_000):
        with redis.pipeline(transaction=False) as pipe:
            for number in range(first, min(first + 1_000, jobs)):
                job_id, ended = f"b{number:011x}", now - 86_400 + number / 10
                revision += 1
                fields = template | {
                    b"id": job_id,
                    b"title": f"contract-{number}.pdf",
                    b"collection": chance.choice(("contracts", "letters", "manuals", "minutes")),
                    b"owner": chance.choice(("ana", "ben", "chris", "dora")),
                    b"state": "completed",
                    b"percent": 100,
                    b"documents_done": 1,
                    b"chunks": chance.randrange(2_000),
                    b"created_at": f"{ended - 20:.6f}",
                    b"started_at": f"{ended - 15:.6f}",
                    b"ended_at": f"{ended:.6f}",
                    b"last_updated": f"{ended:.6f}",
                    b"snapshot": f"{number:06d}",
                    b"step_description": f"Published as {number:06d}",
                    b"revision": revision,
                }
                pipe.hset(keys.job(job_id), mapping=fields)
                pipe.zadd(keys.JOBS, {job_id: f"{ended - 20:.6f}"})
                pipe.zadd(keys.FINAL, {job_id: f"{ended:.6f}"})
                pipe.zadd(keys.CHANGES, {job_id: revision})
            pipe.hincrby(keys.COUNTS, "completed", min(first + 1_000, jobs) - first)
            pipe.set(keys.REVISION, revision)
            pipe.execute()
    plain_jobs(bench, jobs, at)


def plain_jobs(bench: Stack, jobs: int, at: int) -> None:
    """RQ jobs that wait, as RQ writes them: one of its own, and copies of it under other ids."""
    redis: Any = bench.ledger.redis
    queue = Queue(QUEUE, connection=redis)
    if at == 0:
        queue.enqueue("benchmarks.peer_tasks.ingest", "bench:0", "a/path.pdf", job_id="r0")
        at = 1
    body = redis.hgetall(keys.rq_job("r0"))
    for first in range(at, jobs, 2_000):
        with redis.pipeline(transaction=False) as pipe:
            numbers = range(first, min(first + 2_000, jobs))
            for number in numbers:
                pipe.hset(keys.rq_job(f"r{number}"), mapping=body)
            pipe.rpush(keys.rq_queue(QUEUE), *(f"r{number}" for number in numbers))
            pipe.execute()


def document(number: int) -> NewDocument:
    return NewDocument(f"d{number}.txt", 1_000, sha256=f"{number:064x}")


def at_work(bench: Stack, count: int) -> list[store.Reporter]:
    """Jobs that are being worked on."""
    reporters = []
    bench.ledger.redis.zadd(keys.WORKERS, {"bench": bench.ledger.now() + 86_400})
    for number in range(count):
        job = control.submit(
            bench.ledger, collection="letters", documents=[document(number)], owner="ana", recipe=Recipe()
        ).job
        claim = store.claim(bench.ledger, job, "0", store.delivery_of(bench.ledger, job, "0"), "bench")
        assert claim is not None
        reporters.append(store.Reporter(bench.ledger, claim))
    return reporters


class Clock:
    """Time that passes when we say so: ticks follow each other without a wait."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def measure(bench: Stack, jobs: int, ticks: int, reporters: list[store.Reporter]) -> Size:
    """Both boards at one size."""
    meter, clock, chance = Meter(bench.ledger), Clock(), random.Random(f"ticks {jobs}")
    feed = Feed(Reader(bench.ledger), clock=clock)
    before, started = resident(), time.perf_counter()
    mirror = feed.look()
    mirror.page(LOOK, ORDER)
    first_s = time.perf_counter() - started
    watch(lambda: feed.mirror.complete, what="the whole board", every_s=0.005)
    filled_s = time.perf_counter() - started
    bytes_a_job = (resident() - before) / jobs

    def look() -> Mirror:
        clock.now += TICK_LENGTH_S
        found = feed.look()
        found.page(LOOK, ORDER)
        return found

    def changed() -> None:
        for reporter in chance.sample(reporters, CHANGING):
            reporter.progress(chance.random() * 0.9)
            reporter.check(now=True)

    with meter.counting_trips():
        meter.calibrate()
        for _ in range(3):
            changed()
            look()
        ours = []
        for _ in range(ticks):
            changed()
            ours.append(meter.cost(look))
        # A second with a hundred viewers: all of them look, and the feed ticks as often as it may.
        many = 0
        for _ in range(round(1 / TICK_S)):
            changed()
            clock.now += TICK_S
            many += meter.cost(lambda: [feed.look().page(LOOK, ORDER) for _ in range(VIEWERS)]).commands
        poll = peer(bench)
        poll()
        theirs = [meter.cost(poll) for _ in range(POLLS)]
    return Size(jobs, Side(tuple(ours)), Side(tuple(theirs)), many, first_s, filled_s, bytes_a_job)


def peer(bench: Stack) -> Callable[[], None]:
    """rq-dashboard, as its own command line makes it."""
    app = flask.Flask("peer")
    app.config.from_object(rq_dashboard.default_settings)
    app.config["RQ_DASHBOARD_REDIS_URL"] = bench.address
    setup_rq_connection(app)
    app.register_blueprint(rq_dashboard.blueprint)
    client = app.test_client()

    def poll() -> None:
        answer = client.get(f"/0/data/jobs/{QUEUE}/queued/{ROWS}/asc/1.json")
        assert len(answer.get_json()["jobs"]) == ROWS, answer.data[:200]

    return poll


def resident() -> int:
    """Bytes of memory of this process."""
    return int(psutil.Process().memory_info().rss)


def main() -> None:
    given = report.arguments(__doc__ or "")
    sizes = QUICK_SIZES if given.quick else SIZES
    found, held = [], 0
    with stack() as bench:
        reporters = at_work(bench, LIVE)
        for jobs in sizes:
            fill(bench, jobs, held)
            held = jobs
            found.append(measure(bench, jobs, QUICK_TICKS if given.quick else TICKS, reporters))
    show(found, quick=given.quick, write=given.write)


def show(found: list[Size], *, quick: bool, write: bool) -> None:
    head = ["Jobs", "board", "commands", "round trips", "kB", "median", "p95", "fewer commands", "with 100 viewers"]
    rows = []
    for size in found:
        for name, side in (("ours", size.ours), ("rq-dashboard", size.theirs)):
            ours = name == "ours"
            rows.append(
                [
                    f"{size.jobs:,}",
                    name,
                    f"{side.commands:,.1f}",
                    f"{side.trips:,}",
                    f"{side.mean(lambda cost: cost.bytes) / 1000:,.1f}",
                    milliseconds(side.time.median),
                    milliseconds(side.time.p95),
                    f"{one(size):,.0f} times" if ours else "",
                    f"{hundred(size):,.0f} times" if ours else "",
                ]
            )
    starts = [
        [
            f"{size.jobs:,}",
            milliseconds(size.first_s),
            milliseconds(size.filled_s),
            f"{size.bytes_a_job:,.0f} bytes",
        ]
        for size in found
    ]
    report.show(
        "board",
        f"The board: a tick with {CHANGING} jobs changed, beside rq-dashboard",
        [
            f"A tick of ours reads what changed and answers `{LOOK}`, sorted by when it changed, with {ROWS} rows of "
            f"{found[-1].jobs:,} jobs and fewer. rq-dashboard answers the request behind its page of {ROWS} waiting "
            "jobs; it is called in the process, so that no HTTP is in its time. Commands and bytes are those that "
            "Redis counted, for one refresh of one viewer. With 100 viewers, in one second, theirs polls 100 times "
            "and ours ticks twice.",
            report.table(head, rows),
            "A cold start shows the newest page, then reads the rest behind it. Memory is what the process grew by, "
            "with one order of the board in it.",
            report.table(["Jobs", "newest page", "all in memory", "a job"], starts),
            report.aim("a tick is at most 2 round trips", all(size.ours.trips <= AIM_TRIPS for size in found))
            + "\n"
            + report.aim("p95 of a tick under 10 ms at every size", all(size.ours.time.p95 < AIM_S for size in found))
            + "\n"
            + report.aim("20 times fewer commands for one viewer", all(one(size) >= AIM_ONE for size in found))
            + "\n"
            + report.aim("1,000 times fewer for 100 viewers", all(hundred(size) >= AIM_MANY for size in found)),
            report.machine("redis", "hiredis", "rq", "rq-dashboard", "flask"),
        ],
        quick=quick,
        write=write,
    )


def one(size: Size) -> float:
    """How many times fewer commands a tick takes than a poll of theirs."""
    return size.theirs.commands / size.ours.commands


def hundred(size: Size) -> float:
    """The same for a second in which a hundred viewers look."""
    return VIEWERS * size.theirs.commands / size.many


if __name__ == "__main__":
    main()
