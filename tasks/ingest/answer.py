"""Search for the pages and the command line: a query is embedded and its best passages are found.

As a program it answers JSON lines on stdin with JSON lines on stdout, so that the dashboard needs neither
llama_index nor lancedb; it ends when stdin closes. A query is document text's neighbour: it is never logged.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import CollectionNotFound, EmbedderMismatch, IngestboardError, QueryRefused
from tasks.ingest.embed import embed_query, fingerprint, load_embedder
from tasks.settings import Settings, current
from tasks.snapshots.held import opened
from tasks.snapshots.shelf import Shelf

if TYPE_CHECKING:
    from tasks.snapshots.search import Hit

log = logging.getLogger(__name__)

QUERY_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """The best passages of one version, best first, and how long it took to find them."""

    hits: list[Hit]
    version: str
    took_ms: int


class Request(BaseModel):
    """One line from the dashboard."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: int | str
    collection: str
    query: str
    k: int = Field(10, ge=1, le=100)
    version: str | None = None
    held: str | None = None


def answer(
    settings: Settings,
    collection: str,
    query: str,
    k: int = 10,
    version: str | None = None,
    held: str | None = None,
) -> Answer:
    """The `k` best passages by meaning and by words together, in the current version unless one is named.

    With `held`, in what a gate held back of that job; the answer's version is the job's id then.
    Raises CollectionNameRefused, CollectionNotFound, SnapshotNotFound, HeldNotFound, QueryRefused, EmbedderMismatch
    when the snapshot was made with another embedder, EmbedderUnusable, EmbedderFailed.
    """
    # A program that only answers about the shelf must not pay for lancedb.
    from tasks.snapshots.search import search

    started = time.monotonic()
    # JSON can carry half of a surrogate pair, which no tokenizer takes.
    query = query.encode("utf-8", "replace").decode().strip()
    if not query:
        raise QueryRefused(reason="the query is empty; type a few words")
    if len(query) > QUERY_MAX:
        raise QueryRefused(reason=f"the query is longer than {QUERY_MAX} characters; shorten it")
    shelf = Shelf(settings.data)
    chosen = held or version or shelf.current(collection)
    if chosen is None:
        raise CollectionNotFound(name=collection)
    about = opened(shelf, collection, held)[1] if held else shelf.manifest(collection, chosen)
    built, asked = about.embedder, fingerprint(settings)
    if built != asked:
        raise EmbedderMismatch(name=collection, built=built, asked=asked)
    vector = embed_query(_embedder(settings), query)
    hits = search(shelf, collection, vector, k=k, version=None if held else chosen, query=query, held=held)
    if not hits and not np.isfinite(vector).all():
        raise QueryRefused(reason="the query has no word that the embedder knows; use other words")
    return Answer(hits, chosen, round((time.monotonic() - started) * 1000))


@lru_cache(maxsize=1)
def _embedder(settings: Settings) -> BaseEmbedding:
    return load_embedder(settings)


def serve(settings: Settings, lines: Iterable[str | bytes], out: TextIO) -> None:
    """Answer each line until there are no more. What goes wrong with one is answered, and the next is taken."""
    try:
        _embedder(settings)
    except IngestboardError as error:
        # Each question that needs it will say so to the person who asks.
        log.warning("%s", error)
    _say(out, {"ready": True})
    for line in lines:
        if line.strip():
            _say(out, _reply(settings, line))


def _reply(settings: Settings, line: str | bytes) -> dict[str, Any]:
    try:
        request = Request.model_validate_json(line)
    except ValidationError:
        return {"id": _id(line), "error": "The search request is not valid; reload the page and search again."}
    try:
        found = answer(settings, request.collection, request.query, request.k, request.version, request.held)
    except IngestboardError as error:
        return {"id": request.id, "error": str(error)}
    except Exception:  # the outermost loop of this process: one question must not end it
        log.exception("a search failed")
        return {"id": request.id, "error": "The search failed; the log of the dashboard says why."}
    hits = [asdict(hit) for hit in found.hits]
    return {"id": request.id, "hits": hits, "version": found.version, "took_ms": found.took_ms}


def _id(line: str | bytes) -> int | str | None:
    """The id of a request that is otherwise no request, so that who asked is not left waiting."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    value = found.get("id") if isinstance(found, dict) else None
    return value if isinstance(value, int | str) else None


def _say(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def main() -> None:
    """Serve stdin. Whatever a library prints goes to stderr: stdout carries answers alone."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        settings = current()
    except IngestboardError as error:
        sys.exit(str(error))
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        serve(settings, sys.stdin.buffer, out)
    except (BrokenPipeError, KeyboardInterrupt):
        # Who asked is gone: close the pipe without a second complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


if __name__ == "__main__":
    main()
