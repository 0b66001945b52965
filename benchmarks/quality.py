"""Is what we find no worse? Questions made of a corpus's headings, asked of LlamaIndex's own index and of ours.

Speed that is paid for with worse chunks or an index that finds less would be no speed. The corpus is the
language reference that comes with Python (`pydoc_data.topics`), one file a section; a question is answered
when the section that the heading stands over is among the files of the five best chunks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

from benchmarks import report
from benchmarks.ingest import Peer, needs_the_peer
from benchmarks.stack import Stack, scratch, stack
from tasks.recipe import Recipe
from tasks.snapshots.shelf import Shelf
from tasks.submitting import submit_folder

K = 5
LEAST = 400  # characters of a section; a shorter one says too little to be found by
UNDERLINED = re.compile(r"^(\S.*)\n(?P<mark>[*=~^-])(?P=mark){2,}[ \t]*$", re.MULTILINE)
MODES = {
    "Ingestboard, as the product searches: meaning and words": "hybrid",
    "Ingestboard, by vector alone": "vector",
}
PEER = "LlamaIndex, vector index persisted"

Found = Sequence[Sequence[str]]  # the files of the best chunks, for each question


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the reference: what it is called, and what it says."""

    heading: str
    body: str


@dataclass(frozen=True, slots=True)
class Score:
    """How many questions were answered among the first `K` chunks, and by the very first."""

    name: str
    chunks: int
    hit: float
    first: float


def sections() -> list[Section]:
    """The sections of all topics; of several under one heading the longest, for a question has one answer."""
    best: dict[str, Section] = {}
    for name in sorted(topics):
        text = topics[name]
        marks = list(UNDERLINED.finditer(text))
        for at, mark in enumerate(marks):
            end = marks[at + 1].start() if at + 1 < len(marks) else len(text)
            found = Section(mark[1].strip(), text[mark.end() : end].strip())
            known = best.get(found.heading)
            if len(found.body) >= LEAST and (known is None or len(found.body) > len(known.body)):
                best[found.heading] = found
    return list(best.values())


def write(folder: Path, given: Sequence[Section], *, headed: bool) -> dict[str, str]:
    """A Markdown file a section, named by its number so that no name gives it away; heading -> file name."""
    folder.mkdir(parents=True)
    files = {}
    for number, section in enumerate(given):
        name = f"section-{number:03d}.md"
        head = f"# {section.heading}\n\n" if headed else ""
        (folder / name).write_text(f"{head}{section.body}\n", "utf-8")
        files[section.heading] = name
    return files


def score(name: str, chunks: int, wanted: Sequence[str], found: Found) -> Score:
    hit = sum(file in names for file, names in zip(wanted, found, strict=True))
    first = sum(file == names[0] for file, names in zip(wanted, found, strict=True) if names)
    return Score(name, chunks, hit / len(wanted), first / len(wanted))


def searches(bench: Stack, collection: str) -> dict[str, Callable[[str], list[str]]]:
    """Our search of a collection, by the names of `MODES`: the files of the best chunks."""
    from tasks.ingest.answer import answer
    from tasks.ingest.embed import embed_query, load_embedder
    from tasks.snapshots.search import search

    model = load_embedder(bench.settings)
    shelf = Shelf(bench.data)

    def hybrid(question: str) -> list[str]:
        return [hit.document for hit in answer(bench.settings, collection, question, k=K).hits]

    def vector(question: str) -> list[str]:
        return [hit.document for hit in search(shelf, collection, embed_query(model, question), k=K)]

    doors = {"hybrid": hybrid, "vector": vector}
    return {name: doors[mode] for name, mode in MODES.items()}


def measured(
    bench: Stack, folder: Path, store: Path, collection: str, files: dict[str, str]
) -> tuple[list[Score], int]:
    """Both sides on one folder; and the peer's chunk size, with which it makes as many chunks as we do."""
    job = bench.completed(
        submit_folder(bench.ledger, folder, collection=collection, owner="bench", recipe=Recipe()).job
    )
    questions, wanted = list(files), list(files.values())
    peer = Peer(store, bench.settings.embed_batch)
    try:
        tokens = int(peer.ask(folder=str(folder), target=job.chunks)["peer"])
        made = peer.run(folder, "simple", tokens)
        asked = peer.ask(store=str(store), questions=questions, k=K)
    finally:
        peer.close()
    scores = [score(PEER, made["chunks"], wanted, asked["files"])]
    for name, door in searches(bench, collection).items():
        scores.append(score(name, job.chunks, wanted, [door(question) for question in questions]))
    return scores, tokens


def main() -> None:
    given = report.arguments(__doc__ or "")
    needs_the_peer()
    chosen = sections()[:: 4 if given.quick else 1]
    parts: list[str] = []
    verdicts: list[str] = []
    with scratch() as scrap:
        documents = scrap / "documents"
        with stack(documents) as bench:
            bench.start_pool(1)
            for headed, title in ((True, "Headings in the documents"), (False, "Headings taken out")):
                folder = documents / ("headed" if headed else "bare")
                files = write(folder, chosen, headed=headed)
                scores, tokens = measured(bench, folder, scrap / "store", folder.name, files)
                rows = [[one.name, f"{one.chunks:,}", f"{one.hit:.1%}", f"{one.first:.1%}"] for one in scores]
                parts.append(f"**{title}** (the peer's splitter at {tokens} tokens)")
                parts.append(report.table(["", "chunks", f"hit@{K}", "hit@1"], rows))
                product = scores[1]
                verdicts.append(
                    report.aim(
                        f"{title.lower()}: hit@{K} of the product no worse than the peer's "
                        f"({product.hit:.1%} to {scores[0].hit:.1%})",
                        product.hit >= scores[0].hit,
                    )
                )
    report.show(
        "quality",
        "Found as well",
        [
            f"{len(chosen)} sections of Python's language reference, a Markdown file each, named by numbers; the "
            f"questions are their {len(chosen)} headings. A hit is the section's own file among those of the {K} best "
            "chunks. Same embedder on both sides, and as many chunks; the peer is `SimpleDirectoryReader`, "
            "`SentenceSplitter` and a persisted `VectorStoreIndex`, asked by its own retriever. With the headings in "
            "the documents words alone would do; with the headings taken out only the text below them can answer.",
            *parts,
            "\n".join(verdicts),
            report.machine(
                "llama-index-core", "lancedb", "semantic-text-splitter", "wordllama", "llama-index-readers-file"
            ),
        ],
        quick=given.quick,
        write=given.write,
    )


if __name__ == "__main__":
    main()
