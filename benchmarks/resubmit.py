"""Never twice, as time: a folder submitted again unchanged, and with one changed document, beside the first time.

The peer is LlamaIndex's IngestionPipeline with its cache and its docstore kept, on the same files.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import corpus, report
from benchmarks.ingest import Peer, needs_the_peer
from benchmarks.report import Figures, milliseconds
from benchmarks.stack import Late, Stack, scratch, stack, watch
from tasks.ledger.records import JobRow
from tasks.snapshots.shelf import Shelf
from tasks.submitting import submit_folder

COLLECTION = "again"
WORKERS = 2
AIMS = {"unchanged": 50.0, "changed": 30.0}
TITLES = {"cold": "the first time", "unchanged": "unchanged", "changed": "one document changed"}
CHUNK_TOKENS = 246  # of the peer's splitter: as many chunks as ours, see the table of documents a second
WATCH_S = 0.002


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. `again`: re-submits of each kind in a round."""

    rounds: int = 3
    again: int = 5
    files: int = 500


QUICK = Sizes(rounds=1, again=2, files=60)


@dataclass(slots=True)
class Taken:
    """Seconds of one side, by what was submitted."""

    name: str
    seconds: dict[str, list[float]] = field(default_factory=lambda: {what: [] for what in TITLES})

    def of(self, what: str) -> Figures:
        return Figures(tuple(self.seconds[what]))

    def times(self, what: str) -> float:
        return self.of("cold").median / self.of(what).median


def submitted(bench: Stack, folder: Path, cached: int) -> tuple[float, JobRow]:
    """Seconds from the call to a published snapshot, and the job; `cached` documents of it must have been known."""
    watch(bench.idle, what="idle workers", every_s=0.01)
    started = time.perf_counter()
    job = submit_folder(bench.ledger, folder, collection=COLLECTION, owner="bench").job
    row = bench.ended(job, every_s=WATCH_S)
    seconds = time.perf_counter() - started
    bench.completed(job)
    if row.documents_cached != cached or Shelf(bench.data).current(COLLECTION) != row.snapshot:
        raise Late(f"job {job} knew {row.documents_cached} documents, not {cached}; or its snapshot is not current")
    return seconds, row


def change(folder: Path, turn: str) -> None:
    """Another paragraph in one document; which one is chosen by the turn."""
    chance = random.Random(f"change {turn}")
    path = chance.choice(sorted(folder.iterdir()))
    with path.open("a", encoding="utf-8") as document:
        document.write(f"\n{corpus.prose(chance, 600)}\n")


def ours(bench: Stack, folder: Path, sizes: Sizes, taken: Taken, turn: int) -> None:
    """One round from cold stores."""
    bench.forget_documents()
    os.sync()
    cold, row = submitted(bench, folder, 0)
    taken.seconds["cold"].append(cold)
    for again in range(sizes.again):
        seconds, same = submitted(bench, folder, sizes.files)
        taken.seconds["unchanged"].append(seconds)
        if same.snapshot != row.snapshot:
            raise Late("an unchanged folder made a new snapshot")
        change(folder, f"{turn} {again}")
        seconds, row = submitted(bench, folder, sizes.files - 1)
        taken.seconds["changed"].append(seconds)


def theirs(peer: Peer, folder: Path, sizes: Sizes, taken: Taken, turn: int) -> None:
    """The same by the peer: its pipeline, cache, docstore and index are loaded and persisted each time."""

    def run(what: str, cold: bool) -> None:
        answer = peer.ask(
            again=str(folder), store=str(peer.store), chunk_size=CHUNK_TOKENS, batch=peer.batch, cold=cold
        )
        taken.seconds[what].append(answer["seconds"])

    run("cold", True)
    run("unchanged", False)
    change(folder, f"peer {turn}")
    run("changed", False)


def fresh(documents: Path, sizes: Sizes) -> Path:
    """The folder as it was before anything in it changed."""
    folder = documents / "markdown"
    shutil.rmtree(folder, ignore_errors=True)
    corpus.write_markdown(folder, sizes.files)
    return folder


def measured(sizes: Sizes) -> list[Taken]:
    """Both sides, in turn."""
    mine, peers = Taken("Ingestboard"), Taken("LlamaIndex")
    with scratch() as scrap:
        documents = scrap / "documents"
        with stack(documents) as bench:
            bench.start_pool(WORKERS)
            peer = Peer(scrap / "store", bench.settings.embed_batch)
            try:
                rounds: list[Callable[[int], None]] = [
                    lambda turn: ours(bench, fresh(documents, sizes), sizes, mine, turn),
                    lambda turn: theirs(peer, fresh(documents, sizes), sizes, peers, turn),
                ]
                warm = Taken("not counted")
                ours(bench, fresh(documents, sizes), Sizes(1, 1, sizes.files), warm, -1)
                theirs(peer, fresh(documents, QUICK), QUICK, warm, -1)
                for turn in range(sizes.rounds):
                    for one in rounds:
                        one(turn)
            finally:
                peer.close()
    return [mine, peers]


def lines(sides: list[Taken]) -> list[list[str]]:
    rows = []
    for side in sides:
        for what, title in TITLES.items():
            figures = side.of(what)
            rows.append(
                [
                    f"{side.name}: {title}",
                    str(len(figures.values)),
                    milliseconds(figures.median),
                    milliseconds(figures.p95),
                    f"{milliseconds(figures.low)} .. {milliseconds(figures.high)}",
                    f"{side.times(what):.1f}x",
                ]
            )
    return rows


def main() -> None:
    given = report.arguments(__doc__ or "")
    needs_the_peer()
    sizes = QUICK if given.quick else Sizes()
    sides = measured(sizes)
    mine = sides[0]
    verdicts = [
        report.aim(
            f"{TITLES[what]} at least {wanted:g} times faster than cold ({mine.times(what):.1f})",
            mine.times(what) >= wanted,
        )
        for what, wanted in AIMS.items()
    ]
    report.show(
        "resubmit",
        "A folder again",
        [
            f"{sizes.files} Markdown files, submitted by `submit_folder` to {WORKERS} workers until the snapshot is "
            "published: from cold stores, then again with nothing changed, then with one of them changed. Checked "
            "each time: how many documents were known, that an unchanged folder makes no new snapshot and a changed "
            "one does. The peer is `IngestionPipeline` with a docstore (`UPSERTS`), its cache and a "
            "`SimpleVectorStore`, all loaded and persisted each time, in one process without a queue. The ratios are "
            "to the same side's first time.",
            report.table(["", "samples", "median", "p95", "min .. max", "times faster than cold"], lines(sides)),
            "\n".join(verdicts),
            report.machine("llama-index-core", "lancedb", "pyarrow", "wordllama", "rq"),
        ],
        quick=given.quick,
        write=given.write,
    )


if __name__ == "__main__":
    main()
