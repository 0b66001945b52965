"""Cancel to canceled: from the call that a click makes until a reader sees the job canceled, with real work in hand.

All four ways: a job that is queued, at a checkpoint (at random moments of loading, splitting and embedding), by force,
and killed after the grace. RQ's own ways stand beside them: `Job.cancel` of what is queued, and its stop command,
which kills the work horse at once, on a plain worker with the same document and for the time alone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from rq import Queue
from rq.command import send_stop_job_command
from rq.job import Job

from benchmarks import corpus, report
from benchmarks.report import Figures, milliseconds
from benchmarks.stack import Late, Stack, stack, watch
from tasks.errors import ActionRefused, TooLateToCancel
from tasks.ledger import control
from tasks.ledger.states import State
from tasks.submitting import submit_files, submit_folder

QUEUE = "peer"
WORKERS = 2
AIM_S = 1.0  # at a checkpoint, and beyond the grace
AIM_QUEUED_S = 0.1
COLLECTION = "cancel"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. `each`: samples of each kind of work."""

    each: int = 20
    queued: int = 100
    forced: int = 20
    killed: int = 10
    stopped: int = 10
    grace_s: float = 10.0
    characters: int = 40_000_000
    pages: int = 4_000
    small: int = 800


QUICK = Sizes(each=3, queued=5, forced=2, killed=1, stopped=2, grace_s=1.0, characters=4_000_000, pages=200, small=60)


@dataclass(frozen=True, slots=True)
class Work:
    """A folder of documents that keeps workers busy, and for how long."""

    name: str
    folder: Path
    seconds: float


def start(bench: Stack, folder: Path) -> str:
    """Submit the folder to idle workers and see it run; the job's id."""
    watch(bench.idle, what="idle workers", every_s=0.01)
    job = submit_folder(bench.ledger, folder, collection=COLLECTION, owner="bench").job
    bench.running(job)
    return job


def canceled(bench: Stack, job: str, *, force: bool = False) -> float:
    """Cancel, and wait until a reader sees it canceled; seconds."""
    started = time.perf_counter()
    control.cancel(bench.ledger, job, by="bench", force=force)
    row = bench.ended(job, every_s=0.001)
    seconds = time.perf_counter() - started
    if row.state is not State.CANCELED:
        raise Late(f"job {job} ended as {row.state.value}")
    return seconds


def prepare(bench: Stack, sizes: Sizes) -> list[Work]:
    """The documents; each kind is run once to its end, to learn how long that takes."""
    book, scan, small = (bench.documents / name for name in ("book", "report", "small"))
    book.mkdir()
    text = corpus.markdown(random.Random("book"), sizes.characters)
    (book / "book.md").write_text(text, "utf-8")
    scan.mkdir()
    corpus.write_pdf(scan / "report.pdf", random.Random("report"), sizes.pages)
    corpus.write_markdown(small, sizes.small)
    works = []
    for name, folder in (
        (f"one Markdown document of {sizes.characters // 1_000_000} MB", book),
        (f"one PDF of {sizes.pages:,} pages", scan),
        (f"{sizes.small} small Markdown documents on {WORKERS} workers", small),
    ):
        begun = time.perf_counter()
        bench.completed(start(bench, folder))
        works.append(Work(name, folder, time.perf_counter() - begun))
        bench.forget_documents()
    return works


def at_checkpoints(bench: Stack, work: Work, samples: int) -> Figures:
    """Cancels at random moments of the work."""
    chance = random.Random(work.name)
    values: list[float] = []
    while len(values) < samples:
        job = start(bench, work.folder)
        time.sleep(chance.uniform(0.0, 0.9) * work.seconds)
        try:
            values.append(canceled(bench, job))
        except (ActionRefused, TooLateToCancel):
            bench.completed(job)  # it was past its commit point: there is no cancel to measure
        if list((bench.data / "collections" / COLLECTION).glob("_tmp-*")):
            raise Late(f"the canceled job {job} left its staging folder")
        bench.forget_documents()
    return Figures(tuple(values))


def while_queued(bench: Stack, work: Work, samples: int) -> Figures:
    """Cancels of a job that waits behind another."""
    ahead = start(bench, work.folder)
    values = []
    for _ in range(samples):
        job = submit_folder(bench.ledger, work.folder, collection=COLLECTION, owner="bench", priority="low").job
        values.append(canceled(bench, job))
    canceled(bench, ahead)
    return Figures(tuple(values))


def without_checkpoint(samples: int, *, force: bool, grace_s: float) -> Figures:
    """Cancels of work that passes no checkpoint: its work horse is killed after the grace, or at once by force."""
    with stack(embedder="benchmarks.slow.SlowEmbedding", cancel_grace_s=grace_s) as bench:
        bench.start_pool(1)
        values = []
        for number in range(samples):
            watch(bench.idle, what="an idle worker", every_s=0.01)
            files = [("slow.txt", BytesIO(f"Document {number} for a service that does not answer.".encode()))]
            job = submit_files(bench.ledger, files, collection=COLLECTION, owner="bench").job
            bench.running(job)
            time.sleep(0.5)
            values.append(canceled(bench, job, force=force))
    return Figures(tuple(values))


def stopped_by_rq(bench: Stack, work: Work, samples: int) -> Figures:
    """RQ's stop command on a plain worker that embeds the same documents."""
    worker = bench.start_plain_worker(QUEUE)
    queue = Queue(QUEUE, connection=bench.ledger.redis)
    path = next(work.folder.iterdir())
    chance = random.Random(work.name)
    values = []
    for number in range(samples):
        watch(lambda: bench.idle(plain=True), what="an idle RQ worker", every_s=0.01)
        key = f"bench:{number}"
        job: Job = queue.enqueue("benchmarks.peer_tasks.ingest", key, str(path))
        watch(lambda key=key: bench.ledger.redis.hget(key, "stage"), what="the plain task to embed")  # type: ignore[misc]
        time.sleep(chance.uniform(0.0, 0.5) * work.seconds)
        begun = time.perf_counter()
        send_stop_job_command(bench.ledger.redis, job.id)
        watch(lambda job=job: job.get_status() == "stopped", what="RQ to stop the task")  # type: ignore[misc]
        values.append(time.perf_counter() - begun)
    bench.stop(worker)
    return Figures(tuple(values))


def canceled_by_rq(bench: Stack, work: Work, samples: int) -> Figures:
    """RQ's cancel of a call that waits in a queue that nobody works on."""
    queue = Queue("waiting", connection=bench.ledger.redis)
    path = next(work.folder.iterdir())
    values = []
    for number in range(samples):
        job: Job = queue.enqueue("benchmarks.peer_tasks.ingest", f"bench:{number}", str(path))
        begun = time.perf_counter()
        job.cancel()
        watch(lambda job=job: job.get_status() == "canceled", what="RQ to cancel the call")  # type: ignore[misc]
        values.append(time.perf_counter() - begun)
    return Figures(tuple(values))


def row(name: str, figures: Figures, peer: Figures) -> list[str]:
    ratio = figures.median / peer.median
    return [
        name,
        str(len(figures.values)),
        milliseconds(figures.median),
        milliseconds(figures.p95),
        f"{milliseconds(figures.low)} .. {milliseconds(figures.high)}",
        f"{ratio:.1f}x" if ratio >= 1 else f"{ratio:.2f}x",
    ]


def sections(sizes: Sizes) -> Sequence[str]:
    with stack() as bench:
        pool = bench.start_pool(WORKERS)
        works = prepare(bench, sizes)
        done = [(work.name, at_checkpoints(bench, work, sizes.each)) for work in works]
        queued = while_queued(bench, works[0], sizes.queued)
        bench.stop(pool)
        bench.forget_documents()
        peer = stopped_by_rq(bench, works[0], sizes.stopped)
        peer_queued = canceled_by_rq(bench, works[0], sizes.queued)
    forced = without_checkpoint(sizes.forced, force=True, grace_s=sizes.grace_s)
    killed = without_checkpoint(sizes.killed, force=False, grace_s=sizes.grace_s)
    every = Figures(tuple(value for _, figures in done for value in figures.values))
    rows = [row(f"At a checkpoint: {name}", figures, peer) for name, figures in done]
    rows.append(row("**At a checkpoint, all of these**", every, peer))
    rows.insert(0, row("Queued behind another job", queued, peer_queued))
    rows.append(row("No checkpoint: force stop", forced, peer))
    rows.append(row(f"No checkpoint: killed after the grace of {sizes.grace_s:g} s", killed, peer))
    rows.append(row("Peer of the queued: RQ's `Job.cancel`", peer_queued, peer_queued))
    rows.append(row("Peer of the others: RQ's `send_stop_job_command`, plain `rq worker`", peer, peer))
    return [
        f"From the call of `control.cancel` until a reader of Redis sees the job canceled, on {WORKERS} workers "
        "with wordllama, at random moments of the work. The peer of a queued job is RQ's `Job.cancel`; "
        "RQ knows no checkpoints, and the peer of all others is its stop command to a plain `rq worker` that "
        "embeds the same Markdown document: it kills the work horse wherever it is, so it is compared for its time "
        "alone; ours stops between two batches, has removed its staging folder by then (checked each time) and keeps "
        "what was finished for a retry.",
        report.table(["Cancel", "samples", "median", "p95", "min .. max", "time, peer = 1x"], rows),
        "\n".join(
            [
                report.aim("p95 under 0.1 s while queued", queued.p95 < AIM_QUEUED_S),
                report.aim("p95 under 1 s at checkpoints", every.p95 < AIM_S),
                report.aim(
                    "p95 under the grace and 1 s when killed after the grace", killed.p95 < sizes.grace_s + AIM_S
                ),
            ]
        ),
        report.machine("rq", "redis", "llama-index-core", "pypdfium2", "wordllama"),
    ]


def main() -> None:
    given = report.arguments(__doc__ or "")
    parts = sections(QUICK if given.quick else Sizes())
    report.show("cancel", "Cancel to canceled", parts, quick=given.quick, write=given.write)


if __name__ == "__main__":
    main()
