"""Documents a second for the whole way, files on disk to an index that can be searched, beside LlamaIndex's own.

Both sides are warm: imports are over, the model is loaded and a small run is done before the clock starts. Both
start from empty stores each time and are measured in turn.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import corpus, report
from benchmarks.report import Figures
from benchmarks.stack import Late, Stack, scratch, stack
from tasks.recipe import Recipe
from tasks.snapshots.shelf import Shelf
from tasks.submitting import submit_folder

PEERS = ("llama-index-readers-file", "llama-index-vector-stores-lancedb", "pypdf")
LIBRARIES = ("llama-index-core", "lancedb", "pyarrow", "pypdfium2", "semantic-text-splitter", "wordllama", "rq")
# By workers: at least so many times the peer's documents a second, for each way that it keeps its index.
AIMS = {1: {"simple": 2.0, "lancedb": 1.5}, 2: {"simple": 3.5, "lancedb": 2.5}}
AIM_SECOND = 1.8  # two workers to one
QUERY = "How is an assignment to an attribute reference evaluated?"
COLLECTION = "bench"
KINDS = {"simple": "vector index persisted", "lancedb": "LanceDB store"}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int = 3
    markdown: int = 500
    pdfs: int = 100


QUICK = Sizes(rounds=1, markdown=60, pdfs=12)


@dataclass(slots=True)
class Row:
    """One line of the table."""

    name: str
    seconds: list[float] = field(default_factory=list)
    documents: int = 0
    chunks: int = 0

    @property
    def rates(self) -> Figures:
        return Figures(tuple(self.documents / seconds for seconds in self.seconds))


class Peer:
    """A LlamaIndex process that has imported everything and done a small run."""

    def __init__(self, store: Path, batch: int) -> None:
        self.store = store
        self.batch = batch
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.llama_index_side"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: object) -> dict[str, Any]:
        """One request, one answer. Raises Late when the peer ended instead."""
        if self.process.stdin is None or self.process.stdout is None:
            raise Late("the peer has no pipes")
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Late("the LlamaIndex side ended; its reason stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def run(self, folder: Path, kind: str, chunk_size: int, query: str = "") -> dict[str, Any]:
        more = {"query": query} if query else {}
        return self.ask(
            folder=str(folder), store=str(self.store), kind=kind, chunk_size=chunk_size, batch=self.batch, **more
        )

    def close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()


def ours(bench: Stack, folder: Path, recipe: Recipe, row: Row | None) -> int:
    """One job from cold stores to the published snapshot; its chunks."""
    bench.forget_documents()
    os.sync()
    started = time.perf_counter()
    job = submit_folder(bench.ledger, folder, collection=COLLECTION, owner="bench", recipe=recipe).job
    done = bench.completed(job)
    seconds = time.perf_counter() - started
    shown = Shelf(bench.data).snapshots(COLLECTION)[0]
    if not (shown.current and shown.chunks == done.chunks and shown.documents == done.documents_total):
        raise Late(f"snapshot {shown.version} does not hold what job {job} made")
    if row is not None:
        row.seconds.append(seconds)
        row.documents, row.chunks = done.documents_total, done.chunks
    return done.chunks


def theirs(warm: Path, store: Path, folder: Path, kind: str, chunk_size: int, batch: int, row: Row) -> None:
    """One run of a fresh peer, after a small one."""
    peer = Peer(store, batch)
    try:
        peer.run(warm, kind, chunk_size)
        answer = peer.run(folder, kind, chunk_size, QUERY)
    finally:
        peer.close()
    if answer["hits"] < 1:
        raise Late("the peer's stored index finds nothing")
    row.seconds.append(answer["seconds"])
    row.documents, row.chunks = answer["documents"], answer["chunks"]


def searched(bench: Stack) -> None:
    """Proof by our own program that the last snapshot answers."""
    environment = {**os.environ, "INGESTBOARD_DATA": str(bench.data)}
    environment.pop("REDIS_URL", None)
    done = subprocess.run(
        [sys.executable, "-m", "tasks.cli", "search", COLLECTION, QUERY, "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    if not json.loads(done.stdout):
        raise Late("our snapshot finds nothing")


def chunk_sizes(store: Path, folder: Path, target: int) -> dict[str, int]:
    """Token sizes for the peer and for our `sentence` recipe that give as many chunks as our default recipe."""
    peer = Peer(store, 1)
    try:
        return {name: int(value) for name, value in peer.ask(folder=str(folder), target=target).items()}
    finally:
        peer.close()


def measured(benches: dict[int, Stack], folder: Path, scrap: Path, sizes: Sizes) -> tuple[list[Row], dict[str, int]]:
    """All rows of one corpus, in turn, round by round."""
    warm, store = scrap / "warm", scrap / "store"
    shutil.rmtree(warm, ignore_errors=True)
    warm.mkdir()
    for path in sorted(folder.iterdir())[:3]:
        shutil.copy(path, warm)
    default = Recipe()
    for bench in benches.values():
        chunks = ours(bench, folder, default, None)
    found = chunk_sizes(store, folder, chunks)
    sentence = Recipe(splitter="sentence", chunk_size=found["own"], chunk_overlap=found["own"] // 10)
    named = {count: f"Ingestboard, {count} worker{'s' if count > 1 else ''}" for count in benches}
    mine = {count: Row(named[count]) for count in benches}
    same = {count: Row(f"{named[count]}, `sentence` splitter of {found['own']} tokens") for count in benches}
    peers = {kind: Row(f"LlamaIndex, {how}") for kind, how in KINDS.items()}
    for _ in range(sizes.rounds):
        for kind, row in peers.items():
            theirs(warm, store, folder, kind, found["peer"], benches[1].settings.embed_batch, row)
        for count, bench in benches.items():
            ours(bench, folder, default, mine[count])
            ours(bench, folder, sentence, same[count])
    for bench in benches.values():
        searched(bench)
    return [*mine.values(), *same.values(), *peers.values()], found


def lines(rows: Sequence[Row], peers: Sequence[Row]) -> list[list[str]]:
    """The table's rows, with their ratios to each of the peers."""
    shown = []
    for row in rows:
        rates = row.rates
        ratios = [f"{rates.median / peer.rates.median:.2f}x" for peer in peers]
        shown.append(
            [row.name, f"{row.chunks:,}", f"{rates.median:.1f}", f"{rates.low:.1f} .. {rates.high:.1f}", *ratios]
        )
    return shown


def aims(rows: Sequence[Row], peers: Sequence[Row], corpus_name: str) -> list[str]:
    found = []
    for row, wanted in zip(rows, AIMS.values(), strict=False):
        for peer, times in zip(peers, wanted.values(), strict=True):
            ratio = row.rates.median / peer.rates.median
            sentence = f"{corpus_name}: {row.name} at least {times:g} times {peer.name}"
            found.append(report.aim(f"{sentence} ({ratio:.2f})", ratio >= times))
    ratio = rows[1].rates.median / rows[0].rates.median
    sentence = f"{corpus_name}: one job on 2 workers at least {AIM_SECOND:g} times one worker"
    found.append(report.aim(f"{sentence} ({ratio:.2f})", ratio >= AIM_SECOND))
    return found


def sections(sizes: Sizes) -> list[str]:
    with scratch() as scrap, ExitStack() as open_stacks:
        documents = scrap / "documents"
        size = corpus.write_markdown(documents / "markdown", sizes.markdown)
        pages = corpus.write_pdfs(documents / "pdf", sizes.pdfs)
        benches = {count: open_stacks.enter_context(stack(documents)) for count in AIMS}
        for count, bench in benches.items():
            bench.start_pool(count)
        parts = []
        verdicts = []
        corpora = (
            ("Markdown", documents / "markdown", f"{sizes.markdown} files, {size / 1e6:.1f} MB"),
            ("PDF", documents / "pdf", f"{sizes.pdfs} files, {pages:,} pages"),
        )
        for name, folder, what in corpora:
            rows, found = measured(benches, folder, scrap, sizes)
            peers = [row for row in rows if row.name.startswith("LlamaIndex")]
            head = ["", "chunks", "documents/s, median", "min .. max", *(f"to {peer.name}" for peer in peers)]
            parts.append(f"**{name}**: {what}; the peer's splitter at {found['peer']} tokens.")
            parts.append(report.table(head, lines(rows, peers)))
            verdicts += aims(rows, peers, name)
    recipe = Recipe()
    return [
        "From files in a folder to an index on disk that answers a query (checked): ours by `submit_folder` to a "
        "published snapshot, through a real Redis and pool; the peer by `SimpleDirectoryReader`, `IngestionPipeline` "
        "(`SentenceSplitter`, embedding) and a stored index, in one process without a queue. Both sides use the same "
        "embedding class and batch size, are warm (imports, model and a small run are over) and start from empty "
        f"stores each time; {sizes.rounds} rounds, taken in turn. Our default recipe cuts at {recipe.chunk_size} "
        f"characters with {recipe.chunk_overlap} of overlap; the peer's splitter counts tokens, and its size is chosen "
        "so that it makes as many chunks; its overlap is a tenth, like ours. The `sentence` rows cut with LlamaIndex's "
        "`SentenceSplitter` on our side, too.",
        *parts,
        "\n".join(verdicts),
        report.machine(
            "llama-index-core", "lancedb", "pyarrow", "pypdfium2", "semantic-text-splitter", "wordllama", "rq", *PEERS
        ),
    ]


def needs_the_peer() -> None:
    """End with a sentence where the peer's packages are missing."""
    if missing := [name for name in PEERS if not installed(name)]:
        sys.exit(f"{', '.join(missing)} of the peer are not installed; run `make bench`.")


def installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def main() -> None:
    given = report.arguments(__doc__ or "")
    needs_the_peer()
    sizes = QUICK if given.quick else Sizes()
    report.show("ingest", "Documents a second, the whole way", sections(sizes), quick=given.quick, write=given.write)


if __name__ == "__main__":
    main()
