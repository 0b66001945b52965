"""Submit to first progress: our pool, idle, beside an idle plain `rq worker` that runs the same task.

The clock starts before the call that submits (ours also saves and syncs the bytes in it) and stops when a
reader of Redis sees the worker's first word, that the job runs; and then that its document is embedded.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from io import BytesIO

from rq import Queue
from rq.job import Job

from benchmarks import corpus, report
from benchmarks.report import Figures, milliseconds
from benchmarks.stack import Stack, stack, watch
from tasks.ledger import keys
from tasks.ledger.records import text
from tasks.submitting import submit_files

SAMPLES = 30
QUICK = 3
SIZE = 5_000  # characters of the document
QUEUE = "peer"
AIM_S = 0.1
AIM_RATIO = 20.0

Moments = tuple[float, float]  # seconds until the job runs, and until its document is embedded


def ours(bench: Stack, number: int) -> Moments:
    """One small document through our pool."""
    body = document(number)
    watch(bench.idle, what="an idle pool")
    started = time.perf_counter()
    job = submit_files(bench.ledger, [(f"d{number}.md", BytesIO(body))], collection="pickup", owner="bench").job
    moments = seen(bench, keys.job(job), started, ("documents_done", "1"))
    bench.completed(job)
    return moments


def plain(bench: Stack, queue: Queue, number: int) -> Moments:
    """The same document through the plain worker."""
    path = bench.documents / f"d{number}.md"
    path.write_bytes(document(number))
    key = f"bench:{number}"
    watch(lambda: bench.idle(plain=True), what="an idle RQ worker")
    started = time.perf_counter()
    job: Job = queue.enqueue("benchmarks.peer_tasks.ingest", key, str(path))
    moments = seen(bench, key, started, ("state", "completed"))
    watch(lambda: job.get_status() == "finished", what="the end of the plain task", every_s=0.005)
    return moments


def document(number: int) -> bytes:
    chance = random.Random(f"pickup {number}")
    return corpus.markdown(chance, SIZE).encode()


def seen(bench: Stack, key: str, started: float, done: tuple[str, str]) -> Moments:
    """When the hash said that the job runs, and when it said that its document is done: a field and its value."""

    def field(name: str, accepted: Callable[[str], bool]) -> float:
        watch(lambda: accepted(text(bench.ledger.redis.hget(key, name))), what=f"{name} of {key}")
        return time.perf_counter() - started

    return field("state", lambda value: value not in ("", "queued")), field(done[0], done[1].__eq__)


def measure(samples: int) -> tuple[list[Moments], list[Moments]]:
    """Samples of both, taken in turn."""
    with stack() as bench:
        bench.start_pool(1)
        bench.start_plain_worker(QUEUE)
        queue = Queue(QUEUE, connection=bench.ledger.redis)
        ours(bench, -1)  # files in the page cache, scripts in Redis
        plain(bench, queue, -1)
        pairs = [(ours(bench, number), plain(bench, queue, number)) for number in range(samples)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def main() -> None:
    given = report.arguments(__doc__ or "")
    samples = QUICK if given.quick else SAMPLES
    mine, peers = measure(samples)
    rows = []
    ratios = []
    for at, moment in enumerate(("the job runs", "the document is embedded")):
        our, their = Figures(tuple(one[at] for one in mine)), Figures(tuple(one[at] for one in peers))
        ratios.append(their.median / our.median)
        for who, figures, ratio in (("Ingestboard", our, f"{ratios[-1]:.1f}x"), ("`rq worker`", their, "1x")):
            rows.append(
                [
                    f"{who}: {moment}",
                    milliseconds(figures.median),
                    milliseconds(figures.p95),
                    f"{milliseconds(figures.low)} .. {milliseconds(figures.high)}",
                    ratio,
                ]
            )
    median = Figures(tuple(one[0] for one in mine)).median
    report.show(
        "pickup",
        "Submit to first progress",
        [
            f"One Markdown document of {SIZE:,} characters, submitted to an idle worker; {samples} samples each, taken "
            "in turn on one Redis. The peer is `rq worker` as it comes (a fork a job, nothing preloaded), whose task "
            "imports what ours imports, reports, and then loads, splits and embeds the document. Ours includes saving "
            "and syncing the uploaded bytes, and in its second moment storing the artifact.",
            report.table(["Seen in Redis", "median", "p95", "min .. max", "times faster"], rows),
            report.aim("our median under 100 ms", median < AIM_S)
            + "\n"
            + report.aim("20 times faster than a plain RQ worker, by both moments", min(ratios) >= AIM_RATIO),
            report.machine("rq", "redis", "llama-index-core", "lancedb", "wordllama"),
        ],
        quick=given.quick,
        write=given.write,
    )


if __name__ == "__main__":
    main()
