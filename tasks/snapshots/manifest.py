"""What a snapshot says about itself: manifest.json, and documents.jsonl beside it.

The manifest stays small whatever the collection holds; the table of documents has a line per document
and supports diffs. Both are read without lancedb or pyarrow, and neither holds document text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tasks.errors import CollectionNameRefused, SnapshotInvalid, SnapshotNotFound

MANIFEST = "manifest.json"
DOCUMENTS = "documents.jsonl"
TABLE = "chunks"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_VERSION = re.compile(r"[0-9]{6,18}", re.ASCII)
_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", re.ASCII)


class Manifest(BaseModel):
    """One published version of a collection: counts, sizes in bytes, and who made it from what."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    collection: str
    version: str  # "" while it is held
    base: str = ""  # the version it was made from; "" for the first
    job: str
    attempt: int
    owner: str
    recipe: str  # fingerprint of the recipe of the documents that this version brought
    embedder: str
    dimension: int = Field(ge=1)
    documents: int = Field(ge=0)
    chunks: int = Field(ge=0)
    dead_chunks: int = Field(0, ge=0)  # rows deleted since the files were last rewritten
    size_bytes: int = Field(ge=0)  # of all files, those shared with the base too
    written_bytes: int = Field(0, ge=0)  # of the files that only this version brought
    created_at: AwareDatetime


class DocumentEntry(BaseModel):
    """One document of a snapshot. Its identity is the collection and its relative path name."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    sha256: str
    chunks: int = Field(ge=0)
    recipe: str = ""  # fingerprint of the recipe that made it; "" in versions of before it was noted


_entry = TypeAdapter(DocumentEntry)


def is_name(name: str) -> bool:
    """Whether a collection may be called that: it becomes a folder's name."""
    return _NAME.fullmatch(name) is not None


def is_version(version: str) -> bool:
    return _VERSION.fullmatch(version) is not None


def checked_name(name: str) -> str:
    """The name itself; raises CollectionNameRefused."""
    if not is_name(name):
        raise CollectionNameRefused(name=name)
    return name


def checked_version(name: str, version: str) -> str:
    """The version itself; raises SnapshotNotFound for what can be no version, so that it never becomes a path."""
    if not is_version(version):
        raise SnapshotNotFound(name=name, version=version)
    return version


def checked_job(job: str) -> str:
    """The job id itself; ids come from the ledger, so any other is a programming error."""
    if not _JOB.fullmatch(job):
        raise ValueError(f"{job!r} is no job id")
    return job


def encode(manifest: Manifest) -> bytes:
    return manifest.model_dump_json(indent=2).encode() + b"\n"


def read(folder: Path) -> Manifest | None:
    """The manifest in a version's folder, or None when it is missing or damaged."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None


def encode_documents(entries: Iterable[DocumentEntry]) -> bytes:
    """One JSON object a line, sorted by name, all ASCII: a newline in a name stays inside its line."""
    ordered = sorted(entries, key=lambda entry: entry.name)
    return b"".join(
        json.dumps(
            {"name": entry.name, "sha256": entry.sha256, "chunks": entry.chunks}
            | ({"recipe": entry.recipe} if entry.recipe else {})
        ).encode()
        + b"\n"
        for entry in ordered
    )


def read_documents(folder: Path, name: str) -> list[DocumentEntry]:
    """The documents of a version, sorted by name. Raises SnapshotInvalid when the table is missing or damaged."""
    try:
        with (folder / DOCUMENTS).open("rb") as lines:
            return [_entry.validate_json(line) for line in lines if line.strip()]
    except (OSError, ValidationError):
        raise SnapshotInvalid(
            name=name,
            reason=f"the list of documents of {folder.name} is damaged; roll back to another snapshot first",
        ) from None
