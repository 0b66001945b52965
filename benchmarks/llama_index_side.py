"""The peer of our benchmarks, a program of its own: LlamaIndex's reader, pipeline and stored index, as documented.

Reads one JSON request a line and answers with one line each. It times a run from the first file read to the
index on disk; imports and the model are there before, and whoever asks lets a small run go first.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llama_index.core import SimpleDirectoryReader, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import BaseNode, Document
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import SimpleVectorStore

from tasks.ingest import load, split
from tasks.ingest.embed import WordLlamaEmbedding
from tasks.recipe import Recipe
from tasks.submitting import files_below

Made = tuple[int, list[BaseNode]]  # files read, and the nodes made of them
OVERLAP = 10  # a chunk's overlap is its size by this, as in our default recipe


@dataclass(frozen=True, slots=True)
class Request:
    """One run: read `folder`, leave an index in `store`, which is `simple` or `lancedb`."""

    folder: str
    store: str
    kind: str
    chunk_size: int
    batch: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run took and gave."""

    seconds: float
    documents: int
    chunks: int
    characters: float  # of a chunk, on average


def splitter(tokens: int) -> SentenceSplitter:
    return SentenceSplitter(chunk_size=tokens, chunk_overlap=tokens // OVERLAP)


def simple_index(request: Request, pipeline: IngestionPipeline, model: WordLlamaEmbedding) -> Made:
    """The vector index that LlamaIndex keeps by itself, persisted as JSON."""
    documents = SimpleDirectoryReader(request.folder, recursive=True).load_data()
    nodes = list(pipeline.run(documents=documents))
    context = StorageContext.from_defaults()
    VectorStoreIndex(nodes, storage_context=context, embed_model=model)
    context.persist(persist_dir=request.store)
    return len({document.metadata["file_path"] for document in documents}), nodes


def lancedb_index(request: Request, pipeline: IngestionPipeline, model: WordLlamaEmbedding) -> Made:
    """LlamaIndex's LanceDB vector store, filled by the pipeline."""
    from llama_index.vector_stores.lancedb import LanceDBVectorStore

    documents = SimpleDirectoryReader(request.folder, recursive=True).load_data()
    pipeline.vector_store = LanceDBVectorStore(uri=request.store)
    nodes = list(pipeline.run(documents=documents))
    return len({document.metadata["file_path"] for document in documents}), nodes


KINDS: dict[str, Callable[[Request, IngestionPipeline, WordLlamaEmbedding], Made]] = {
    "simple": simple_index,
    "lancedb": lancedb_index,
}


def run(request: Request, model: WordLlamaEmbedding) -> Answer:
    """The whole way, timed: files on disk to an index on disk."""
    shutil.rmtree(request.store, ignore_errors=True)
    os.sync()
    started = time.perf_counter()
    pipeline = IngestionPipeline(transformations=[splitter(request.chunk_size), model])
    documents, nodes = KINDS[request.kind](request, pipeline, model)
    seconds = time.perf_counter() - started
    texts = [node.get_content() for node in nodes]
    return Answer(seconds, documents, len(nodes), sum(map(len, texts)) / len(texts))


def found(request: Request, model: WordLlamaEmbedding, query: str) -> int:
    """How many hits the stored index gives, opened anew: proof that it is one."""
    if request.kind == "simple":
        context = StorageContext.from_defaults(persist_dir=request.store)
        index: Any = load_index_from_storage(context, embed_model=model)
    else:
        from llama_index.vector_stores.lancedb import LanceDBVectorStore

        index = VectorStoreIndex.from_vector_store(
            LanceDBVectorStore(uri=request.store, mode="append"), embed_model=model
        )
    return len(index.as_retriever(similarity_top_k=5).retrieve(query))


def again(folder: str, store: str, tokens: int, model: WordLlamaEmbedding, cold: bool) -> dict[str, float]:
    """A run that keeps what it made for the next one: docstore, cache and vectors; cold: nothing is kept yet."""
    kept = Path(store)
    if cold:
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
    os.sync()
    started = time.perf_counter()
    vectors = kept / "vectors.json"
    pipeline = IngestionPipeline(
        transformations=[splitter(tokens), model],
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS,
        vector_store=SimpleVectorStore() if cold else SimpleVectorStore.from_persist_path(str(vectors)),
    )
    if not cold:
        pipeline.load(str(kept))
    # A stable id for each file, without which nothing is recognised.
    documents = SimpleDirectoryReader(folder, recursive=True, filename_as_id=True).load_data()
    nodes = pipeline.run(documents=documents)
    if pipeline.vector_store is not None:
        pipeline.vector_store.persist(str(vectors))
    pipeline.persist(str(kept))
    return {"seconds": time.perf_counter() - started, "chunks": len(nodes)}


def hits(store: str, questions: list[str], k: int, model: WordLlamaEmbedding) -> list[list[str]]:
    """The files of the k best chunks of the index in `store`, for each question."""
    index: Any = load_index_from_storage(StorageContext.from_defaults(persist_dir=store), embed_model=model)
    retriever = index.as_retriever(similarity_top_k=k)
    return [[found.node.metadata["file_name"] for found in retriever.retrieve(question)] for question in questions]


def tokens_for(count: Callable[[int], int], target: int) -> tuple[int, int]:
    """The chunk size in tokens whose number of chunks is nearest to the target, and that number."""
    low, high = 100, 2000
    best = (low, count(low))
    while low <= high:
        middle = (low + high) // 2
        chunks = count(middle)
        if abs(chunks - target) < abs(best[1] - target):
            best = (middle, chunks)
        if chunks > target:
            low = middle + 1
        else:
            high = middle - 1
    return best


def calibrate(folder: Path, target: int) -> dict[str, int]:
    """Chunk sizes of the peer's splitter and of our `sentence` recipe that give about that many chunks."""
    theirs = SimpleDirectoryReader(str(folder), recursive=True).load_data()
    ours: list[list[Document]] = [
        portion.documents for path in files_below(folder) for portion in load.read(path, path.name)
    ]

    def sentence(tokens: int) -> int:
        recipe = Recipe(splitter="sentence", chunk_size=tokens, chunk_overlap=tokens // OVERLAP)
        return sum(len(split.split(documents, recipe)) for documents in ours)

    peer, peer_chunks = tokens_for(lambda tokens: len(splitter(tokens)(theirs)), target)
    own, own_chunks = tokens_for(sentence, target)
    return {"peer": peer, "peer_chunks": peer_chunks, "own": own, "own_chunks": own_chunks}


def main() -> None:
    logging.getLogger().addHandler(logging.NullHandler())  # so that no library sets logging up
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # libraries print
        model: WordLlamaEmbedding | None = None
        for line in sys.stdin:
            asked = json.loads(line)
            model = model or WordLlamaEmbedding(embed_batch_size=asked.get("batch", 32))
            if "target" in asked:
                given: Any = calibrate(Path(asked["folder"]), asked["target"])
            elif "again" in asked:
                given = again(asked["again"], asked["store"], asked["chunk_size"], model, asked["cold"])
            elif "questions" in asked:
                given = {"files": hits(asked["store"], asked["questions"], asked["k"], model)}
            else:
                query = asked.pop("query", "")
                request = Request(**asked)
                given = asdict(run(request, model))
                if query:
                    given["hits"] = found(request, model, query)
            print(json.dumps(given), file=answers, flush=True)


if __name__ == "__main__":
    main()
