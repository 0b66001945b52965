"""Kill to progress again: a work horse, a worker with its work horse, or a whole pool is killed within a document.

The clock runs from the SIGKILL until a reader of Redis sees the job further than it was.

Two pools, as on two hosts, with the settings they come with. The peer is a plain `rq worker` with `Retry(max=3)`; what
it had done is lost, so its clock stops at the first progress of the next run, however far back that is.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

import psutil
from rq import Queue, Retry
from rq.job import Job

from benchmarks import corpus, report
from benchmarks.report import Figures
from benchmarks.stack import Late, Stack, stack, watch
from tasks.child import Child
from tasks.ledger import control, fleet, monitor
from tasks.ledger.records import WorkerRow, whole
from tasks.submitting import submit_files

EMBEDDER = "benchmarks.slow.SteadyEmbedding"
QUEUE = "peer"
WORKERS = 2  # of each of two pools
AIM_S = 20.0
CHARACTERS = 3_000_000  # a minute and more of embedding: no round gets to the end


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rounds of each kill, and for how long the peer is given to come back from a killed worker."""

    horse: int = 20
    worker: int = 12
    pool: int = 12
    peer_horse: int = 5
    peer_worker: int = 2
    patience_s: float = 60.0


QUICK = Sizes(horse=2, worker=1, pool=1, peer_horse=1, peer_worker=1, patience_s=20.0)


class Pools:
    """Two pools, of which one may be killed and is started again behind the measurement."""

    def __init__(self, bench: Stack) -> None:
        self.bench = bench
        self.children = [bench.start_pool(WORKERS), bench.start_pool(WORKERS)]

    def of(self, worker: WorkerRow) -> Child:
        """The pool that a worker belongs to."""
        above = {process.pid for process in psutil.Process(worker.pid).parents()}
        return next(child for child in self.children if child.pid in above)

    def replace(self, killed: Child) -> None:
        self.children.remove(killed)
        self.bench.children.remove(killed)
        self.children.append(self.bench.start_pool(WORKERS))


def kill_horse(pools: Pools, worker: WorkerRow) -> None:
    psutil.Process(worker.pid).children()[0].kill()


def kill_worker(pools: Pools, worker: WorkerRow) -> None:
    parent = psutil.Process(worker.pid)
    horses = parent.children(recursive=True)
    parent.kill()
    for horse in horses:
        with suppress(psutil.NoSuchProcess):
            horse.kill()


def kill_pool(pools: Pools, worker: WorkerRow) -> None:
    pools.of(worker).kill()


def recovered(pools: Pools, number: int, kill: Callable[[Pools, WorkerRow], None]) -> float:
    """One round: seconds from the kill until the job is further than it was."""
    bench = pools.bench
    text = corpus.markdown(random.Random(f"recovery {kill.__name__} {number}"), CHARACTERS)
    job = submit_files(bench.ledger, [("long.md", BytesIO(text.encode()))], collection="recovery", owner="bench").job
    watch(lambda: monitor.job(bench.ledger, job).percent > 0, what="the job's first progress", every_s=0.01)
    time.sleep(random.Random(number).uniform(0.0, 2.0))  # anywhere between two reports
    worker = next(row for row in fleet.workers(bench.ledger) if row.job == job)
    there = [child for child in pools.children if child.alive]
    kill(pools, worker)
    begun = time.perf_counter()
    before = monitor.job(bench.ledger, job).percent
    watch(lambda: monitor.job(bench.ledger, job).percent > before, what="progress again", every_s=0.005)
    seconds = time.perf_counter() - begun
    control.cancel(bench.ledger, job, by="bench", force=True)
    bench.ended(job)
    for child in there:
        if not child.alive:
            pools.replace(child)
    watch(bench.idle, what="idle workers", every_s=0.02)
    return seconds


def ours(sizes: Sizes) -> dict[str, Figures]:
    with stack(embedder=EMBEDDER) as bench:
        pools = Pools(bench)
        return {
            name: Figures(tuple(recovered(pools, number, kill) for number in range(rounds)))
            for name, kill, rounds in (
                ("A work horse", kill_horse, sizes.horse),
                ("A worker with its work horse", kill_worker, sizes.worker),
                ("A whole pool, another one lives", kill_pool, sizes.pool),
            )
        }


def plain(sizes: Sizes) -> tuple[Figures, list[float | None]]:
    """RQ as it comes, on the same document: its work horse is killed, or its worker while another one is idle."""
    with stack(embedder=EMBEDDER) as bench:
        path = bench.documents / "long.md"
        path.write_text(corpus.markdown(random.Random("recovery peer"), CHARACTERS), "utf-8")
        queue = Queue(QUEUE, connection=bench.ledger.redis)

        def progress(key: str) -> int:
            return whole(bench.ledger.redis.hget(key, "chunks"))

        def again(number: int, *, whole_worker: bool) -> float | None:
            key = f"bench:{whole_worker}:{number}"
            workers = [bench.start_plain_worker(QUEUE) for _ in range(2 if whole_worker else 1)]
            entry: Job = queue.enqueue("benchmarks.peer_tasks.ingest", key, str(path), retry=Retry(max=3))
            watch(lambda: progress(key) > 0, what="the plain task's first progress", every_s=0.01)
            busy = next(child for child in workers if psutil.Process(child.pid).children())
            horse = psutil.Process(busy.pid).children()[0]
            if whole_worker:
                os.kill(busy.pid, signal.SIGKILL)
            horse.kill()
            horse_gone = time.perf_counter()
            bench.ledger.redis.delete(key)
            found: float | None = None
            with suppress(Late):
                watch(lambda: progress(key) > 0, what="progress again", timeout_s=sizes.patience_s, every_s=0.005)
                found = time.perf_counter() - horse_gone
            for worker in workers:
                worker.kill()
                bench.children.remove(worker)
            entry.delete()
            bench.ledger.redis.flushdb()
            return found

        horses = [again(number, whole_worker=False) for number in range(sizes.peer_horse)]
        if None in horses:
            raise Late("RQ did not run the task of a killed work horse again")
        workers = [again(number, whole_worker=True) for number in range(sizes.peer_worker)]
        return Figures(tuple(value for value in horses if value is not None)), workers


def row(name: str, figures: Figures) -> list[str]:
    return [
        name,
        str(len(figures.values)),
        f"{figures.median:.2f} s",
        f"{figures.p95:.2f} s",
        f"{figures.low:.2f} .. {figures.high:.2f} s",
    ]


def peer_row(name: str, values: list[float | None], patience_s: float) -> list[str]:
    back = [value for value in values if value is not None]
    if len(back) == len(values):
        return row(name, Figures(tuple(back)))
    return [name, str(len(values)), *[f"not within {patience_s:g} s"] * 3]


def main() -> None:
    given = report.arguments(__doc__ or "")
    sizes = QUICK if given.quick else Sizes()
    mine = ours(sizes)
    horses, workers = plain(sizes)
    rows = [row(name, figures) for name, figures in mine.items()]
    rows.append(row("Peer, `rq worker`: a work horse", horses))
    rows.append(peer_row("Peer, `rq worker`: a worker with its work horse", workers, sizes.patience_s))
    worst = max(figures.p95 for figures in mine.values())
    report.show(
        "recovery",
        "Kill to progress again",
        [
            f"One document of {CHARACTERS:,} characters, embedded by an embedder of 100 texts a second on two pools of "
            f"{WORKERS} workers with default settings; SIGKILL at a random moment. Ours goes on from the batch in "
            "flight, so the clock stops when the percent is above what it was at the kill. The peer is a plain "
            "`rq worker` with `Retry(max=3)` and a second one idle beside it; its task starts again from nothing, and "
            "its clock stops at the first batch of that.",
            report.table(["Killed by SIGKILL", "rounds", "median", "p95", "min .. max"], rows),
            report.aim(f"p95 under {AIM_S:g} s for each of the three", worst < AIM_S),
            report.machine("rq", "redis", "llama-index-core"),
        ],
        quick=given.quick,
        write=given.write,
    )


if __name__ == "__main__":
    main()
