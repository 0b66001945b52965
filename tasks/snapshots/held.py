"""Snapshots that a gate held back: staged, verified, not published; they wait in `_held-<job>` for a person.

Light: for pages and commands. `tasks.snapshots.holding` makes and publishes them. Recovery leaves them alone.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.errors import HeldNotFound
from tasks.snapshots import durable, manifest
from tasks.snapshots.manifest import Manifest
from tasks.snapshots.shelf import HELD, STAGING, Shelf

NOTE = "held.json"


class Note(BaseModel):
    """What publishing it later needs to know: the documents that it brings and removes, and why it was held."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    brought: tuple[str, ...]
    removed: tuple[str, ...] = ()
    fresh: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One held snapshot. `documents` and `chunks` count all of it, `brought` and `removed` what it changes."""

    collection: str
    job: str
    attempt: int
    owner: str
    created_at: datetime
    documents: int
    chunks: int
    size_bytes: int
    recipe: str
    embedder: str
    base: str
    brought: int
    removed: int
    reason: str


def held(shelf: Shelf, name: str) -> list[HeldRow]:
    """The held snapshots of a collection, newest first; damaged ones are left out. Raises CollectionNameRefused."""
    rows = []
    with contextlib.suppress(OSError):
        for folder in shelf.folder(name).iterdir():
            if folder.name.startswith(HELD) and (found := _read(folder)):
                rows.append(_row(name, *found))
    return sorted(rows, key=lambda row: (row.created_at, row.job), reverse=True)


def opened(shelf: Shelf, name: str, job: str) -> tuple[Path, Manifest, Note]:
    """Where a held snapshot lies and what it says about itself. Raises HeldNotFound."""
    folder = shelf.held_path(name, job)
    found = _read(folder)
    if found is None:
        raise HeldNotFound(name=name, job=job)
    return folder, *found


def discard_held(shelf: Shelf, name: str, job: str) -> None:
    """Remove a held snapshot; safe when absent. Raises DataUnwritable."""
    folder = shelf.held_path(name, job)
    with durable.disk_errors(shelf.data):
        # By a rename first: a crash leaves it whole, or litter that recovery knows.
        litter = folder.with_name(f"{STAGING}discarded-{token_hex(4)}")
        try:
            folder.rename(litter)
        except FileNotFoundError:
            return
        durable.sync(litter.parent)
        durable.remove(litter)


def _read(folder: Path) -> tuple[Manifest, Note] | None:
    about = manifest.read(folder)
    try:
        note = Note.model_validate_json((folder / NOTE).read_bytes())
    except (OSError, ValidationError):
        return None
    return (about, note) if about else None


def _row(name: str, about: Manifest, note: Note) -> HeldRow:
    return HeldRow(
        collection=name,
        job=about.job,
        attempt=about.attempt,
        owner=about.owner,
        created_at=about.created_at.astimezone(UTC),
        documents=about.documents,
        chunks=about.chunks,
        size_bytes=about.size_bytes,
        recipe=about.recipe,
        embedder=about.embedder,
        base=about.base,
        brought=len(note.brought),
        removed=len(note.removed),
        reason=note.reason,
    )
