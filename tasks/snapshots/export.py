"""Export a snapshot to a file: Parquet, JSON lines, or a zip of JSON lines and what the snapshot says of itself.

Imports lancedb. Rows go through in batches, so memory does not grow with the snapshot. The file appears
under its name when it is whole: written beside it, synced, renamed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import IO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import CollectionNotFound, ExportRefused
from tasks.snapshots import durable, manifest, table
from tasks.snapshots.committing import Step, quiet
from tasks.snapshots.shelf import Shelf

Format = Literal["parquet", "jsonl", "zip"]

BATCH_ROWS = 2048
PART = ".part-"  # what is not yet whole is `.<name>.part-<token>`, beside the target

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, from which version; size in bytes."""

    path: Path
    version: str
    chunks: int
    size_bytes: int


def export(
    shelf: Shelf,
    name: str,
    target: Path,
    *,
    format: Format,
    version: str | None = None,
    vectors: bool = True,
    checkpoint: Progress = lambda _done, _total: None,
    step: Step = quiet,
) -> Exported:
    """Write a version, the current one unless named, to `target`, in place of what is there.

    `checkpoint` is given chunks done and in all between batches and may raise; nothing is left then. The version
    is leased meanwhile. Raises CollectionNotFound, SnapshotNotFound, ExportRefused.
    """
    chosen = version or shelf.current(name)
    if chosen is None:
        raise CollectionNotFound(name=name)
    with shelf.lease(name, chosen) as folder, _told(target):
        about = shelf.manifest(name, chosen)
        columns = [field.name for field in table.schema(about.dimension) if vectors or field.name != "vector"]
        batches = _counted(folder, columns, about.chunks, checkpoint)
        with _part(target) as part:
            if format == "parquet":
                written = _parquet(part, batches, table.schema(about.dimension), columns)
            elif format == "jsonl":
                with part.open("wb") as out:
                    written = _lines(out, batches)
            else:
                written = _zip(part, batches, folder)
            step("export written")
            durable.sync(part)
            size = part.stat().st_size
            part.replace(target)
            durable.sync(target.parent)
            step("export renamed")
    return Exported(target, chosen, written, size)


def _counted(folder: Path, columns: list[str], total: int, checkpoint: Progress) -> Iterator[pa.RecordBatch]:
    done = 0
    checkpoint(0, total)
    for batch in table.open_table(folder).search().select(columns).to_batches(batch_size=BATCH_ROWS):
        yield batch
        done += batch.num_rows
        checkpoint(done, total)


def _parquet(part: Path, batches: Iterator[pa.RecordBatch], schema: pa.Schema, columns: list[str]) -> int:
    rows = 0
    chosen = pa.schema([schema.field(column) for column in columns])
    with pq.ParquetWriter(part, chosen, compression="zstd") as out:
        for batch in batches:
            out.write_batch(batch.select(columns).cast(chosen))
            rows += batch.num_rows
    return rows


def _lines(out: IO[bytes], batches: Iterator[pa.RecordBatch]) -> int:
    """One JSON object a chunk, all ASCII, so that nothing in a text can end its line."""
    rows = 0
    for batch in batches:
        out.writelines(json.dumps(row).encode() + b"\n" for row in batch.to_pylist())
        rows += batch.num_rows
    return rows


def _zip(part: Path, batches: Iterator[pa.RecordBatch], folder: Path) -> int:
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        for beside in (manifest.MANIFEST, manifest.DOCUMENTS):
            out.writestr(beside, (folder / beside).read_bytes())
        with out.open(f"{table.TABLE}.jsonl", "w", force_zip64=True) as lines:
            return _lines(lines, batches)


@contextmanager
def _part(target: Path) -> Iterator[Path]:
    """A file to write in, gone at the end unless it was renamed; also what exports that were killed left."""
    for stale in target.parent.glob(f".{_escaped(target.name)}{PART}*"):
        _remove_if_free(stale)
    part = target.with_name(f".{target.name}{PART}{token_hex(4)}")
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with suppress(OSError):  # without locks a killed export's file stays
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield part
    finally:
        part.unlink(missing_ok=True)
        os.close(handle)


def _remove_if_free(stale: Path) -> None:
    with suppress(OSError):
        handle = os.open(stale, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stale.unlink()
        finally:
            os.close(handle)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


@contextmanager
def _told(target: Path) -> Iterator[None]:
    """Errors of the disk, in one sentence that names the file."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, *durable.DISK):
            raise
        raise ExportRefused(path=str(target), reason=reason) from error
