"""The vectors of a document that is not whole yet, kept batch by batch so that a stop costs one call of the embedder.

They lie beside the artifact-to-be in `<sha256>.partial/`, one Arrow stream for each attempt, so that no two
writers share a file; a vector is found again by the hash of its text. The folder goes when the artifact is
there. Nothing is written for a document that one batch embeds.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa

from tasks.ingest.wordvectors import Vectors

SYNC_S = 1.0  # between two flushes to the disk itself: a crash of the machine, unlike ours, may cost that much
OLD_S = 30 * 86_400.0
KEY_BYTES = 16

_CHECKSUM = b"crc32"
_KEYS, _VECTORS = "text", "vector"

Embed = Callable[[Sequence[str]], Vectors]


class Partial:
    """What is known of one document; used as a context, which keeps what was embedded however it is left.

    `every_s` is how long new vectors may wait in memory: 0 for an embedder that is paid or slow.
    """

    def __init__(self, artifact: Path, every_s: float = 0.0) -> None:
        self._folder = artifact.with_suffix(".partial")
        self._every_s = every_s
        self._known: dict[bytes, tuple[int, int]] = {}  # hash of a text -> batch, row
        self._batches: list[Vectors] = []
        self._pending: list[tuple[Sequence[str], Vectors]] = []
        self._pending_since = 0.0
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._files = ExitStack()
        self._synced = 0.0

    def __enter__(self) -> Self:
        if self._folder.is_dir():
            for path in sorted(self._folder.glob("*.arrows")):
                self._load(path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._files:
            if kind is not None and self._pending:
                # What stops the document matters more than that its last batch could not be kept.
                with suppress(OSError):
                    self._flush()

    def embed(self, texts: Sequence[str], embed: Embed) -> Vectors:
        """The vectors of texts, shape (n, dimension); only those that are not known are asked for."""
        if self._pending and time.monotonic() - self._pending_since >= self._every_s:
            self._flush()
        places = [self._known.get(_key(text)) for text in texts] if self._known else []
        asked = [text for text, place in zip(texts, places, strict=True) if place is None] if places else texts
        fresh = self._asked(asked, embed) if asked else None
        if len(asked) == len(texts) and fresh is not None:
            return fresh
        if fresh is not None and fresh.shape[1] != self._batches[0].shape[1]:
            # The embedder has changed under its name: what was kept is of no use.
            self._known.clear()
            self._pending.clear()
            return self._asked(texts, embed)
        known = [self._batches[place[0]][place[1]] for place in places if place is not None]
        vectors = np.empty((len(texts), len(known[0])), dtype=np.float32)
        absent = np.array([place is None for place in places])
        vectors[~absent] = known
        if fresh is not None:
            vectors[absent] = fresh
        return vectors

    def remove(self) -> None:
        """The artifact is whole: what was kept for it goes."""
        self._pending.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _asked(self, texts: Sequence[str], embed: Embed) -> Vectors:
        vectors = embed(texts)
        if not self._pending:
            self._pending_since = time.monotonic()
        self._pending.append((texts, vectors))
        return vectors

    def _flush(self) -> None:
        dimension = self._pending[0][1].shape[1]
        writer = self._writer or self._open(dimension)
        for texts, vectors in self._pending:
            batch = pa.RecordBatch.from_arrays(
                [
                    pa.array([_key(text) for text in texts], pa.binary(KEY_BYTES)),
                    pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), dimension),
                ],
                schema=_schema(dimension),
            )
            writer.write_batch(batch, custom_metadata={_CHECKSUM: _checksum(batch)})
        self._pending.clear()
        self._file.flush()
        if time.monotonic() - self._synced >= SYNC_S:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def _open(self, dimension: int) -> pa.RecordBatchStreamWriter:
        sweep(self._folder.parent, OLD_S, time.time())
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns():020d}-{secrets.token_hex(4)}.arrows"
        self._file = self._files.enter_context((self._folder / name).open("xb"))
        self._writer = pa.ipc.new_stream(self._file, _schema(dimension))
        self._synced = time.monotonic()
        return self._writer

    def _load(self, path: Path) -> None:
        """Index one stream up to its end, or to where its writer died."""
        try:
            with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
                dimension = stream.schema.field(_VECTORS).type.list_size
                if not stream.schema.equals(_schema(dimension)) or dimension != self._dimension(dimension):
                    return
                while True:
                    batch, metadata = stream.read_next_batch_with_custom_metadata()
                    if (metadata or {}).get(_CHECKSUM) != _checksum(batch):
                        return
                    self._index(batch, dimension)
        except (StopIteration, pa.ArrowException, OSError, KeyError, AttributeError, TypeError, ValueError):
            return  # damaged bytes decode to anything, also to rows without a key

    def _index(self, batch: pa.RecordBatch, dimension: int) -> None:
        for row, key in enumerate(batch.column(_KEYS).to_pylist()):
            self._known[key] = (len(self._batches), row)
        self._batches.append(batch.column(_VECTORS).flatten().to_numpy().reshape(-1, dimension))

    def _dimension(self, default: int) -> int:
        return self._batches[0].shape[1] if self._batches else default


def sweep(folder: Path, older_than_s: float, now: float) -> int:
    """Remove what was kept for documents that nobody went on with for that long (`now` in epoch seconds). How many."""
    removed = 0
    for kept in folder.glob("*.partial"):
        with suppress(OSError):
            if now - max(path.stat().st_mtime for path in (kept, *kept.iterdir())) > older_than_s:
                shutil.rmtree(kept)
                removed += 1
    return removed


def _schema(dimension: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field(_KEYS, pa.binary(KEY_BYTES), nullable=False),
            pa.field(_VECTORS, pa.list_(pa.float32(), dimension), nullable=False),
        ]
    )


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:KEY_BYTES]


def _checksum(batch: pa.RecordBatch) -> bytes:
    crc = zlib.crc32(b"".join(batch.column(_KEYS).to_pylist()))
    return f"{zlib.crc32(batch.column(_VECTORS).flatten().to_numpy(), crc):08x}".encode()
