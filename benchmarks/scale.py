"""One job of ten thousand small files: how much of its time is the queue and the ledger, and not the documents.

The work is what the stages of the job say; it includes the reports that are sent in the middle of a stage, so
what Redis itself was busy with is taken out of it and counted as overhead, too.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import corpus, report
from benchmarks.stack import Stack, stack, watch
from tasks.ledger import keys, monitor
from tasks.ledger.records import StageRow
from tasks.submitting import submit_folder

AIM = 0.10
SIZE = 1_000  # bytes of a file, about
# What we and RQ send most; the commands inside scripts and transactions are part of these.
OUTER = ("cmdstat_evalsha", "cmdstat_exec", "cmdstat_hgetall", "cmdstat_brpop", "cmdstat_blmove", "cmdstat_lmove")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    files: int = 10_000
    rounds: int = 2


QUICK = Sizes(files=600, rounds=1)


@dataclass(frozen=True, slots=True)
class Run:
    """One job: seconds from the call to its end, what its stages took, what Redis was busy, and its shards."""

    wall_s: float
    submit_s: float
    stages: tuple[StageRow, ...]
    redis_s: float
    redis_calls: int
    shards: int
    files: int

    @property
    def work_s(self) -> float:
        return sum(row.work_s for row in self.stages)

    @property
    def overhead(self) -> float:
        """The share of the time that was no work on documents."""
        return 1 - (self.work_s - self.redis_s) / self.wall_s


def write(folder: Path, files: int) -> None:
    """Markdown files of a thousand characters, no two alike, a hundred to a folder."""
    for number in range(files):
        chance = random.Random(f"small {number}")
        below = folder / f"{number // 100:03d}"
        below.mkdir(parents=True, exist_ok=True)
        text = f"# {corpus.heading(chance)} {number}\n\n{corpus.prose(chance, SIZE - 300)}"
        (below / f"note-{number:05d}.md").write_text(text[:SIZE] + "\n", "utf-8")


def busy(bench: Stack) -> tuple[float, int]:
    """Seconds that Redis has worked on commands since it started, and how many commands."""
    found = bench.ledger.redis.info("commandstats")
    outer = [row for name, row in found.items() if name in OUTER]
    return sum(row["usec"] for row in outer) / 1e6, sum(row["calls"] for row in outer)


def job(bench: Stack, folder: Path, files: int) -> Run:
    """One run from cold stores."""
    bench.forget_documents()
    watch(bench.idle, what="idle workers", every_s=0.01)
    before = busy(bench)
    started = time.perf_counter()
    job_id = submit_folder(bench.ledger, folder, collection="small", owner="bench").job
    submitted = time.perf_counter()
    # Seldom enough that looking is no load.
    bench.ended(job_id, every_s=0.1)
    ended = time.perf_counter()
    after = busy(bench)
    bench.completed(job_id)
    shards = bench.ledger.redis.hlen(keys.shards(job_id))
    stages = tuple(monitor.stages(bench.ledger, job_id))
    return Run(ended - started, submitted - started, stages, after[0] - before[0], after[1] - before[1], shards, files)


def measured(sizes: Sizes) -> list[Run]:
    with stack() as bench:
        write(bench.documents, sizes.files)
        bench.start_pool(1)
        return [job(bench, bench.documents, sizes.files) for _ in range(sizes.rounds)]


def main() -> None:
    given = report.arguments(__doc__ or "")
    sizes = QUICK if given.quick else Sizes()
    runs = sorted(measured(sizes), key=lambda run: run.overhead)
    run = runs[len(runs) // 2]
    names = {"save": "saving the bytes", "index": "writing the snapshot's rows", "publish": "verifying and publishing"}
    rows: list[tuple[str, float]] = [
        (f"{row.stage}{': ' + names[row.stage] if row.stage in names else ''}", row.work_s) for row in run.stages
    ]
    rest = run.wall_s - run.work_s
    rows += [("between the stages: forks, claims, hand-overs", rest), ("of the stages' time, in Redis", run.redis_s)]
    shown = [[name, f"{seconds:.2f} s", f"{100 * seconds / run.wall_s:.1f} %"] for name, seconds in rows]
    shown.append(["**The job, from the call to its end**", f"{run.wall_s:.2f} s", "100 %"])
    report.show(
        "scale",
        "Ten thousand small files in one job",
        [
            f"{run.files:,} Markdown files of {SIZE:,} bytes, 1 worker, from the call of `submit_folder` to the "
            f"published snapshot; the middle one of {len(runs)} runs. It was cut into {run.shards} shards; Redis "
            f"took about {run.redis_calls:,} requests; the call itself took {run.submit_s:.2f} s. Overhead is all that "
            "is no stage's work, and what Redis was busy with while a stage ran.",
            report.table(["", "seconds", "share"], shown),
            report.aim(f"overhead of queue and ledger under {AIM:.0%} ({run.overhead:.1%})", run.overhead < AIM),
            report.machine("rq", "redis", "llama-index-core", "lancedb", "wordllama"),
        ],
        quick=given.quick,
        write=given.write,
    )


if __name__ == "__main__":
    main()
