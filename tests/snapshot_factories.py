"""Makes documents and snapshots for tests: laid on disk by hand, or published for real (with lancedb)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.snapshots import DocumentEntry, Manifest, Shelf, history, manifest

if TYPE_CHECKING:
    from tasks.snapshots.staging import Staged, StagedDocument

DIMENSION = 8


def lay(shelf: Shelf, name: str, version: str, *, current: bool = True, published: bool = True, **fields: Any) -> Path:
    """A version's folder with manifest and documents but an empty table, for tests of the shelf alone."""
    folder = shelf.path(name, version)
    (folder / "chunks.lance").mkdir(parents=True)
    (folder / "chunks.lance" / "data").write_bytes(b"rows")
    given = {
        "collection": name,
        "version": version,
        "job": f"job{int(version)}",
        "attempt": 1,
        "owner": "ada",
        "recipe": "feedfacefeedface",
        "embedder": "stub-8",
        "dimension": DIMENSION,
        "documents": 2,
        "chunks": 7,
        "size_bytes": 4096,
        "created_at": datetime(2025, 1, int(version) % 28 + 1, tzinfo=UTC),
    }
    made = Manifest.model_validate({**given, **fields})
    (folder / manifest.MANIFEST).write_bytes(manifest.encode(made))
    entries = [
        DocumentEntry(name="a.txt", sha256="a" * 64, chunks=3),
        DocumentEntry(name="b.txt", sha256="b", chunks=4),
    ]
    (folder / manifest.DOCUMENTS).write_bytes(manifest.encode_documents(entries))
    if current:
        (shelf.folder(name) / "CURRENT").write_text(f"{version}\n")
    if published:
        history.append(shelf.folder(name), history.Move(version, made.job, made.attempt, "published"))
    return folder


def document(
    name: str, chunks: int = 3, *, text: str = "", dimension: int = DIMENSION, vector: Any = None
) -> StagedDocument:
    """A document whose vectors follow from its name and text; `vector` gives every chunk that one."""
    import numpy as np
    import pyarrow as pa

    from tasks.snapshots.staging import StagedDocument

    sha256 = hashlib.sha256(f"{name}\0{text}".encode("utf-8", "replace")).hexdigest()
    numbers = np.random.default_rng(int(sha256[:12], 16)).normal(size=(chunks, dimension)).astype("float32")
    if vector is not None:
        numbers[:] = vector
    table = pa.table(
        {
            "position": pa.array(range(chunks), pa.int32()),
            "page": pa.array([None] * chunks, pa.int32()),
            "text": [f"{text or name} {position}" for position in range(chunks)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), dimension),
        }
    )
    return StagedDocument(name, sha256, table)


def staged(shelf: Shelf, name: str, documents: Iterable[StagedDocument], **given: Any) -> Staged:
    """A staged snapshot, not verified."""
    from tasks.snapshots.staging import stage

    fields = {
        "job": "job1",
        "attempt": 1,
        "owner": "ada",
        "recipe": "feedfacefeedface",
        "embedder": "stub-8",
        "dimension": DIMENSION,
        "checkpoint": lambda: None,
    }
    return stage(shelf, name, documents=documents, **{**fields, **given})


def publish(shelf: Shelf, name: str, documents: Iterable[StagedDocument], **given: Any) -> str:
    """Stage, verify and commit; returns the version."""
    from tasks.snapshots.staging import commit, verify

    new = staged(shelf, name, documents, **given)
    verify(new)
    return commit(new, still_owner=lambda: True, step=given.get("step", lambda _name: None)).version


def held(shelf: Shelf, name: str, version: str | None = None) -> dict[str, int]:
    """What a snapshot's table holds: chunks by document."""
    from collections import Counter

    from tasks.snapshots.table import open_table

    version = version or shelf.current(name)
    assert version is not None
    rows = open_table(shelf.path(name, version)).search().select(["document"]).to_arrow()
    return dict(Counter(rows["document"].to_pylist()))


def litter(shelf: Shelf, name: str) -> list[str]:
    """What lies in a collection's folder and is neither published nor the shelf's own."""
    own = {"CURRENT", "HISTORY", ".lock", ".leases", *(row.version for row in shelf.snapshots(name))}
    folder = shelf.folder(name)
    return sorted(entry.name for entry in folder.iterdir() if entry.name not in own) if folder.is_dir() else []
