"""Snapshots of 100,000 chunks: add a document, roll back, search, prune; the peer is writing all of it again.

Texts are made of words by Zipf's law and vectors of 256 numbers around 500 centres, so that both indexes do what
they do in earnest; no embedder runs, for none is part of what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from benchmarks import report
from benchmarks.report import Figures, milliseconds
from tasks.snapshots import Shelf, indexing
from tasks.snapshots.diff import diff
from tasks.snapshots.export import export
from tasks.snapshots.prune import prune
from tasks.snapshots.search import Mode, search
from tasks.snapshots.staging import StagedDocument, commit, stage, verify

NAME = "papers"
DIMENSION = 256
WORDS = 30_000
CHUNK_WORDS = 120
DOCUMENT_CHUNKS = 20

CHUNKS, QUICK_CHUNKS = 100_000, 10_000
SEARCHES, QUICK_SEARCHES = 200, 20


class Corpus:
    """Documents and queries, the same ones in every run."""

    def __init__(self) -> None:
        self.chance = np.random.default_rng(7)
        letters = self.chance.integers(97, 123, size=(WORDS, 9), dtype=np.uint8)
        lengths = self.chance.integers(3, 10, size=WORDS)
        self.words = np.array([bytes(row[:size]).decode() for row, size in zip(letters, lengths, strict=True)])
        weights = 1 / np.arange(1, WORDS + 1)
        self.weights = weights / weights.sum()
        self.centres = self.chance.normal(size=(500, DIMENSION))

    def document(self, name: str) -> StagedDocument:
        count = DOCUMENT_CHUNKS
        texts = [" ".join(row) for row in self.chance.choice(self.words, size=(count, CHUNK_WORDS), p=self.weights)]
        return StagedDocument(
            name,
            name.rjust(64, "0"),
            pa.table(
                {
                    "position": pa.array(range(count), pa.int32()),
                    "page": pa.nulls(count, pa.int32()),
                    "text": texts,
                    "vector": pa.FixedSizeListArray.from_arrays(pa.array(self.vectors(count).ravel()), DIMENSION),
                }
            ),
        )

    def vectors(self, count: int) -> np.ndarray:
        around = self.centres[self.chance.integers(0, len(self.centres), size=count)]
        return (around + 0.7 * self.chance.normal(size=(count, DIMENSION))).astype(np.float32)

    def query(self) -> str:
        return " ".join(self.chance.choice(self.words, size=5, p=self.weights))


def publish(shelf: Shelf, documents: Iterable[StagedDocument], job: str) -> None:
    staged = stage(
        shelf,
        NAME,
        job=job,
        attempt=1,
        owner="bench",
        recipe="bench",
        embedder="bench",
        dimension=DIMENSION,
        documents=documents,
        checkpoint=lambda: None,
    )
    verify(staged)
    commit(staged, still_owner=lambda: True)


def published(shelf: Shelf, corpus: Corpus, names: Iterable[str]) -> tuple[Figures, Figures]:
    """One document at a time: seconds, and the part of the snapshot's bytes that was written, in percent."""
    times, shares = [], []
    for name in names:
        fresh = corpus.document(name)
        times.append(seconds(partial(publish, shelf, [fresh], name)))
        made = shelf.manifest(NAME, shelf.current(NAME) or "")
        shares.append(100 * made.written_bytes / made.size_bytes)
    return Figures(tuple(times)), Figures(tuple(shares))


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def searched(shelf: Shelf, corpus: Corpus, mode: Mode, count: int) -> Figures:
    """One by one, after a few that warm the caches up."""

    def one() -> None:
        search(shelf, NAME, corpus.vectors(1)[0], k=10, query=corpus.query(), mode=mode)

    for _ in range(5):
        one()
    return Figures(tuple(seconds(one) for _ in range(count)))


def row(what: str, figures: Figures, *more: str) -> list[str]:
    return [what, f"{len(figures.values)}", milliseconds(figures.median), milliseconds(figures.p95), *more]


def main() -> None:
    given = report.arguments(__doc__ or "")
    chunks, searches = (QUICK_CHUNKS, QUICK_SEARCHES) if given.quick else (CHUNKS, SEARCHES)
    # As many as the full-text index may miss: the searches that follow are the slowest there are.
    added = int(max(indexing.TEXT_BEHIND, indexing.TEXT_BEHIND_SHARE * chunks) / DOCUMENT_CHUNKS)
    corpus = Corpus()
    with TemporaryDirectory(prefix="bench-") as folder:
        shelf = Shelf(Path(folder) / "data")
        everything = [corpus.document(f"d{number}") for number in range(chunks // DOCUMENT_CHUNKS)]
        whole = Figures((seconds(partial(publish, shelf, everything, "all")),))
        adding, share = published(shelf, corpus, [f"new{number}" for number in range(added)])
        modes: tuple[Mode, ...] = ("vector", "text", "hybrid")
        found = {mode: searched(shelf, corpus, mode, searches) for mode in modes}
        renewing, renewed = published(shelf, corpus, ["last"])
        versions = [version.version for version in shelf.snapshots(NAME)]
        there_and_back = (versions[-1], versions[0]) * 10
        moving = Figures(tuple(seconds(partial(shelf.move_current, NAME, version)) for version in there_and_back))
        comparing = Figures(tuple(seconds(partial(diff, shelf, NAME, versions[-1], versions[0])) for _ in range(5)))
        target = Path(folder) / "papers.parquet"
        exporting = Figures((seconds(partial(export, shelf, NAME, target, format="parquet")),))
        pruning = Figures((seconds(partial(prune, shelf, NAME, keep_last=1)),))
    changes = report.table(
        ["At that size", "samples", "median", "p95", "bytes written", "times faster than all anew"],
        [
            row("**Publish one more document of 20 chunks**", adding, f"{share.median:.2f} %", _times(whole, adding)),
            row(
                f"The one publish in {added + 1} that makes the full-text index anew",
                renewing,
                f"{renewed.median:.1f} %",
                _times(whole, renewing),
            ),
            row("Publish all documents anew", whole, "100 %", "1x"),
            row("Roll back", moving, "", _times(whole, moving)),
            row(f"Tell what changed in {len(versions)} versions", comparing, "", ""),
            row("Export to Parquet", exporting, "", ""),
            row(f"Prune {len(versions) - 1} versions", pruning, "", ""),
        ],
    )
    searches_table = report.table(
        ["Search, 10 hits", "samples", "median", "p95"],
        [
            row("By vector", found["vector"]),
            row("By words", found["text"]),
            row("By both", found["hybrid"]),
        ],
    )
    aims = "\n".join(
        [
            report.aim("one document published in under 0.5 s (p95)", adding.p95 < 0.5),
            report.aim("under 1 % of the snapshot's bytes written for it", share.median < 1),
            report.aim("roll back under 0.1 s (p95)", moving.p95 < 0.1),
            report.aim("p95 of each search under 50 ms", all(figures.p95 < 0.05 for figures in found.values())),
        ]
    )
    told = (
        f"A collection of {chunks:,} chunks of {CHUNK_WORDS} words and {DIMENSION} numbers. Publishing is stage, "
        "verify, sync to disk and the move of the pointer; embedding is not in it. The peer is a publish of all "
        "documents into an empty collection, both indexes included. Searches run one at a time in one process and at "
        f"the worst moment: after {added} publishes of one document, just before the full-text index is made anew."
    )
    parts = [told, changes, searches_table, aims, report.machine("lancedb", "numpy", "pyarrow")]
    title = f"Snapshots of {chunks:,} chunks"
    report.show("snapshots", title, parts, quick=given.quick, write=given.write)


def _times(whole: Figures, figures: Figures) -> str:
    return f"{whole.median / figures.median:,.0f}x"


if __name__ == "__main__":
    main()
