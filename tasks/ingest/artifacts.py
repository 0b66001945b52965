"""Artifacts: the chunks and vectors of one document under one recipe, kept as Arrow IPC files.

An artifact is a pure function of content hash and recipe, so whoever writes one writes the same, and a
second writer does no harm. Files are not compressed, which is quicker to write and to
map; vectors hardly shrink, though text would (zstd saved 40 percent of a file that was tried).
"""

from __future__ import annotations

import os
import re
import secrets
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_RECIPE, _DIMENSION, _CHECKSUM = b"recipe", b"dimension", b"crc32"
TEMPORARY = ".tmp-"  # a file whose name begins so was left by a writer that died


def schema(dimension: int, recipe: str) -> pa.Schema:
    """The columns of an artifact; `page` is null where a format has none."""
    return pa.schema(
        [
            pa.field("position", pa.int32(), nullable=False),
            pa.field("page", pa.int32()),
            pa.field("text", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), dimension), nullable=False),
        ],
        metadata={_RECIPE: recipe.encode(), _DIMENSION: str(dimension).encode()},
    )


class Artifacts:
    """The artifacts of one recipe below DATA/artifacts."""

    def __init__(self, data: Path, recipe_fingerprint: str) -> None:
        if not _NAME.fullmatch(recipe_fingerprint):
            raise ValueError(f"{recipe_fingerprint!r} is no fingerprint of a recipe")
        self.folder = data / "artifacts" / recipe_fingerprint
        self.recipe = recipe_fingerprint

    def path(self, sha256: str) -> Path:
        """Where the artifact of a document with that content is."""
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is no SHA-256")
        return self.folder / f"{sha256}.arrow"

    def get(self, sha256: str) -> pa.Table | None:
        """The artifact, mapped from its file; None when there is none. One that is damaged is removed."""
        path = self.path(sha256)
        try:
            found = _read(path, self.recipe)
            with suppress(OSError):
                os.utime(path)  # in use again: whoever cleans by age leaves it
            return found
        except FileNotFoundError:
            return None
        except (pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowNotImplementedError, pa.ArrowSerializationError, ValueError):
            path.unlink(missing_ok=True)
            return None
        except OSError as error:
            # Arrow tells garbage in a file as an OSError without a number; one with a number is the disk's.
            if error.errno is not None:
                raise
            path.unlink(missing_ok=True)
            return None

    def put(self, sha256: str, table: pa.Table) -> None:
        """Write the artifact at once. OSError passes through and leaves nothing behind."""
        with self.writing(sha256, table.schema.field("vector").type.list_size) as writer:
            writer.write(table)

    def writing(self, sha256: str, dimension: int) -> ArtifactWriter:
        """A writer that takes a document batch by batch, so that a large one needs little memory."""
        return ArtifactWriter(self.path(sha256), schema(dimension, self.recipe))

    def swept(self, older_than_s: float, now: float) -> int:
        """Remove what dead writers left, untouched for that long (seconds; `now` in epoch seconds). How many."""
        removed = 0
        for path in self.folder.glob(f"{TEMPORARY}*"):
            with suppress(FileNotFoundError):
                if now - path.stat().st_mtime > older_than_s:
                    path.unlink()
                    removed += 1
        return removed


class ArtifactWriter:
    """Writes one artifact: complete under its name when the block ends well, gone when it does not."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
        self._temporary = path.with_name(f"{TEMPORARY}{path.stem[:16]}-{os.getpid()}-{secrets.token_hex(4)}")
        self.rows = 0

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._temporary.open("wb")
        try:
            self._writer = pa.ipc.new_file(self._file, self._schema)
        except BaseException:
            self._discard()
            raise
        return self

    def add(self, pages: Sequence[int | None], texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Append chunks; their positions go on from the last."""
        positions = np.arange(self.rows, self.rows + len(texts), dtype=np.int32)
        flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1), pa.float32())
        columns = [
            pa.array(positions, pa.int32()),
            pa.array(pages, pa.int32()),
            pa.array(texts, pa.string()),
            pa.FixedSizeListArray.from_arrays(flat, type=self._schema.field("vector").type),
        ]
        self._write(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def write(self, table: pa.Table) -> None:
        """Append the rows of a table with the columns of an artifact, positions as they are."""
        for batch in table.select(self._schema.names).cast(self._schema).to_batches(max_chunksize=4096):
            self._write(batch)

    def _write(self, batch: pa.RecordBatch) -> None:
        checksum = {_CHECKSUM: f"{_checksum(batch):08x}".encode()}
        self._writer.write_batch(batch, custom_metadata=checksum)
        self.rows += batch.num_rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._temporary.replace(self._path)
        except BaseException:
            self._discard()
            raise
        _sync_folder(self._path.parent)

    def _discard(self) -> None:
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)


def _read(path: Path, recipe: str) -> pa.Table:
    """Map a file and prove it whole: every batch against its checksum. Raises ArrowInvalid for a damaged one."""
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        found = reader.schema
        dimension = int((found.metadata or {}).get(_DIMENSION, b"-1"))
        if not found.equals(schema(max(dimension, 0), recipe), check_metadata=True):
            raise pa.ArrowInvalid("not an artifact of this recipe")
        batches = []
        for number in range(reader.num_record_batches):
            batch, metadata = reader.get_batch_with_custom_metadata(number)
            batch.validate(full=True)
            if (metadata or {}).get(_CHECKSUM) != f"{_checksum(batch):08x}".encode():
                raise pa.ArrowInvalid("checksum differs")
            batches.append(batch)
        return pa.Table.from_batches(batches, schema=found)


def _checksum(batch: pa.RecordBatch) -> int:
    """CRC-32 over what the rows say, whatever the layout of their buffers."""
    text = batch.column("text")
    crc = zlib.crc32(batch.column("position").to_numpy())
    crc = zlib.crc32(batch.column("page").fill_null(-1).to_numpy(), crc)
    crc = zlib.crc32(pa.compute.binary_length(text).to_numpy(), crc)
    crc = zlib.crc32(b"".join(text.cast(pa.binary()).to_pylist()), crc)
    return zlib.crc32(batch.column("vector").flatten().to_numpy(), crc)


def _sync_folder(folder: Path) -> None:
    """Make a rename last: the folder's own entry is flushed too (POSIX fsync)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
