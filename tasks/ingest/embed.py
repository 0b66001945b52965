"""Chunks become vectors: the embedded default, WordLlama, or any LlamaIndex embedding named in the settings.

Vectors are float32 of length one. What has no vector (a text without a known word) is a row of NaN, for the
caller to leave out: none may be published. An embedder's arguments and messages may hold a key: neither is
ever logged or shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from llama_index.core.base.embeddings.base import BaseEmbedding
from rq.timeouts import BaseTimeoutException

from tasks.errors import EmbedderBusy, EmbedderFailed, EmbedderUnusable, IngestboardError
from tasks.ingest import trouble
from tasks.ingest.wordvectors import Vectors, WordLlamaEmbedding, normalised
from tasks.settings import DEFAULT_EMBEDDER, Settings

__all__ = ["WordLlamaEmbedding", "embed", "embed_query", "fingerprint", "load_embedder"]

_T = TypeVar("_T")


def fingerprint(settings: Settings) -> str:
    """The name of the embedder in recipes and snapshots: equal names mean vectors that can be compared."""
    return settings.embedder_fingerprint


def load_embedder(settings: Settings) -> BaseEmbedding:
    """The embedder of the settings, ready to use. Raises EmbedderUnusable, whose reason holds no argument."""
    name = settings.embedder
    if name == DEFAULT_EMBEDDER:
        try:
            return WordLlamaEmbedding(embed_batch_size=settings.embed_batch)
        except (ImportError, OSError, ValueError) as error:
            raise EmbedderUnusable(embedder=name, reason=type(error).__name__) from None
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        raise EmbedderUnusable(embedder=name, reason="there is no such class; is its package installed?") from None
    if not (isinstance(found, type) and issubclass(found, BaseEmbedding)):
        raise EmbedderUnusable(embedder=name, reason="it is no LlamaIndex embedding")
    arguments = settings.embedder_arguments()
    try:
        embedder: BaseEmbedding = _guarded(name, lambda: found(**arguments))
    except EmbedderFailed as error:
        raise EmbedderUnusable(embedder=name, reason=error.data["reason"]) from None
    if "embed_batch_size" not in arguments:
        # Set afterwards: not every embedding passes it on when it is made.
        embedder.embed_batch_size = settings.embed_batch
    return embedder


def embed(embedder: BaseEmbedding, texts: Sequence[str]) -> Vectors:
    """One batch of texts as an (n, dimension) array; a row that has no vector is NaN.

    Raises EmbedderFailed, and its kind EmbedderBusy when the trouble may pass.
    """
    if isinstance(embedder, WordLlamaEmbedding):
        return embedder.vectors(texts)
    name = embedder.class_name()
    return _array(name, _guarded(name, lambda: embedder.get_text_embedding_batch(list(texts))), len(texts))


def leave_retries_to_us(embedder: BaseEmbedding) -> None:
    """Have a client with retries of its own make none: while it waits, nobody can cancel it or see why it waits."""
    if "max_retries" in type(embedder).model_fields:
        embedder.max_retries = 0  # type: ignore[attr-defined]


def embed_query(embedder: BaseEmbedding, query: str) -> Vectors:
    """The vector of a query, shape (dimension,); NaN when it has none. Raises EmbedderFailed."""
    if isinstance(embedder, WordLlamaEmbedding):
        row: Vectors = embedder.vectors([query])[0]
        return row
    name = embedder.class_name()
    row = _array(name, _guarded(name, lambda: [embedder.get_query_embedding(query)]), 1)[0]
    return row


def _array(name: str, rows: Any, count: int) -> Vectors:
    if count == 0:
        return np.empty((0, 0), dtype=np.float32)
    try:
        vectors = np.asarray(rows, dtype=np.float32)
    except (TypeError, ValueError):
        raise EmbedderFailed(embedder=name, reason="its vectors are not of one size") from None
    if vectors.ndim != 2 or vectors.shape[0] != count:
        raise EmbedderFailed(embedder=name, reason="it did not give one vector for each text")
    return normalised(vectors)


def _guarded(name: str, call: Callable[[], _T]) -> _T:
    """Run code of an embedder that is not ours: what it raises is told by its type and HTTP status alone."""
    try:
        return call()
    except (IngestboardError, MemoryError, BaseTimeoutException):
        raise
    except Exception as error:  # noqa: BLE001 - a client library may raise anything, with a key in its message
        found = trouble.read(error)
        if found.passing:
            raise EmbedderBusy(
                embedder=name, reason=found.reason, limited=found.limited, after_s=found.after_s
            ) from None
        raise EmbedderFailed(embedder=name, reason=found.reason) from None
