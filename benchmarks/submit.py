"""Ten thousand one-document jobs at once: our `submit_many`, beside RQ's own `Queue.enqueue_many` of as many calls.

Ours writes for each job its hash, documents, shards, indexes, counters, first event, fact, audit row and change, and
then its delivery through RQ; the peer writes the delivery alone. Both are timed around that one call.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rq import Queue

from benchmarks import report
from benchmarks.report import Figures
from benchmarks.stack import Late, Stack, stack
from tasks.ledger import control, keys
from tasks.ledger.control import NewDocument, Submission
from tasks.recipe import Recipe

JOBS, QUICK_JOBS = 10_000, 500
ROUNDS, QUICK_ROUNDS = 5, 2
SINGLE = 500  # of those that are submitted one by one
AIM = 0.5
QUEUE = "peer"


def submissions(count: int) -> list[Submission]:
    recipe = Recipe()
    return [
        Submission(
            collection="submit",
            documents=[NewDocument(f"paper-{at}.md", 5_000, sha256=f"{at:064x}")],
            owner="bench",
            recipe=recipe,
        )
        for at in range(count)
    ]


def timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def ours(bench: Stack, count: int) -> float:
    asked = submissions(count)
    seconds = timed(lambda: control.submit_many(bench.ledger, asked))
    if bench.ledger.redis.zcard(keys.LIVE) != count:
        raise Late("not every job is on the board")
    bench.ledger.redis.flushdb()
    return seconds


def raw(bench: Stack, count: int) -> float:
    queue = Queue(QUEUE, connection=bench.ledger.redis)
    calls = [
        Queue.prepare_data("benchmarks.peer_tasks.ingest", (f"bench:{at}", f"paper-{at}.md")) for at in range(count)
    ]
    seconds = timed(lambda: queue.enqueue_many(calls))
    if queue.count != count:
        raise Late("RQ's queue does not hold every call")
    bench.ledger.redis.flushdb()
    return seconds


def ours_singly(bench: Stack, count: int) -> float:
    def each() -> None:
        for asked in submissions(count):
            control.submit(
                bench.ledger,
                collection=asked.collection,
                documents=asked.documents,
                owner=asked.owner,
                recipe=asked.recipe,
            )

    seconds = timed(each)
    bench.ledger.redis.flushdb()
    return seconds


def raw_singly(bench: Stack, count: int) -> float:
    queue = Queue(QUEUE, connection=bench.ledger.redis)

    def each() -> None:
        for at in range(count):
            queue.enqueue("benchmarks.peer_tasks.ingest", f"bench:{at}", f"paper-{at}.md")

    seconds = timed(each)
    bench.ledger.redis.flushdb()
    return seconds


def row(name: str, count: int, figures: Figures, peer: Figures) -> list[str]:
    return [
        name,
        f"{count:,}",
        f"{figures.median:.2f} s",
        f"{figures.low:.2f} .. {figures.high:.2f} s",
        f"{count / figures.median:,.0f}",
        f"{peer.median / figures.median:.2f}x",
    ]


def main() -> None:
    given = report.arguments(__doc__ or "")
    jobs, rounds = (QUICK_JOBS, QUICK_ROUNDS) if given.quick else (JOBS, ROUNDS)
    with stack() as bench:
        for warm in (ours, raw, ours_singly, raw_singly):
            warm(bench, 50)
        taken = [[way(bench, jobs) for way in (ours, raw)] for _ in range(rounds)]
        singly = [[way(bench, SINGLE) for way in (ours_singly, raw_singly)] for _ in range(rounds)]
    mine, peers = (Figures(tuple(one[at] for one in taken)) for at in range(2))
    my_single, their_single = (Figures(tuple(one[at] for one in singly)) for at in range(2))
    ratio = peers.median / mine.median
    report.show(
        "submit",
        "Submitting many jobs",
        [
            f"{jobs:,} jobs of one document in one call, on the embedded Redis with its log on disk; {rounds} rounds "
            "of each, taken in turn on an empty server, with what they submit prepared beforehand. The peer is RQ's "
            "`Queue.enqueue_many`, which writes a delivery and nothing else; a job of ours is a delivery and all that "
            "the board, the history and the audit need.",
            report.table(
                ["Submit", "jobs", "median", "min .. max", "jobs a second", "speed, peer = 1x"],
                [
                    row("`control.submit_many`", jobs, mine, peers),
                    row("RQ's `Queue.enqueue_many`", jobs, peers, peers),
                    row("`control.submit`, one by one", SINGLE, my_single, their_single),
                    row("RQ's `Queue.enqueue`, one by one", SINGLE, their_single, their_single),
                ],
            ),
            report.aim(f"{jobs:,} jobs at least at {AIM:g} of the speed of `Queue.enqueue_many`", ratio >= AIM),
            report.machine("rq", "redis"),
        ],
        quick=given.quick,
        write=given.write,
    )


if __name__ == "__main__":
    main()
