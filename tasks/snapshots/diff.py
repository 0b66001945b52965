"""What changed between two versions of a collection, from their tables of documents alone: no lancedb, no chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.snapshots import held, manifest
from tasks.snapshots.manifest import DocumentEntry, Manifest
from tasks.snapshots.shelf import Shelf


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """One document and its chunks before and after; 0 where it is not there."""

    name: str
    chunks_before: int
    chunks_after: int


@dataclass(frozen=True, slots=True)
class Diff:
    """From version `a` to version `b`; documents by name. Recipes and embedders are fingerprints, those of a and b.

    A document changed when its content, its recipe or its number of chunks did.
    """

    collection: str
    a: str
    b: str
    added: tuple[DocumentChange, ...]
    removed: tuple[DocumentChange, ...]
    changed: tuple[DocumentChange, ...]
    unchanged: int
    chunks: tuple[int, int]
    recipes: tuple[str, str]
    embedders: tuple[str, str]


def diff(shelf: Shelf, name: str, a: str, b: str) -> Diff:
    """What version `b` has that `a` has not, and the other way round.

    Raises CollectionNameRefused, SnapshotNotFound, SnapshotInvalid when a table of documents is damaged.
    """
    first, second = shelf.manifest(name, a), shelf.manifest(name, b)
    return _between(name, (a, first, shelf.documents(name, a)), (b, second, shelf.documents(name, b)))


def diff_held(shelf: Shelf, name: str, job: str) -> Diff:
    """What publishing the snapshot that a gate holds would change in the current one. Raises HeldNotFound too."""
    folder, about, _note = held.opened(shelf, name, job)
    entries = manifest.read_documents(folder, name)
    current = shelf.current(name)
    if current is None:
        return _between(name, ("", about, []), (job, about, entries))
    return _between(
        name, (current, shelf.manifest(name, current), shelf.documents(name, current)), (job, about, entries)
    )


Side = tuple[str, Manifest, Sequence[DocumentEntry]]


def _between(name: str, first: Side, second: Side) -> Diff:
    before = {entry.name: entry for entry in first[2]}
    after = {entry.name: entry for entry in second[2]}
    both = sorted(before.keys() & after.keys())
    changed = [document for document in both if _differ(before[document], after[document])]
    return Diff(
        collection=name,
        a=first[0],
        b=second[0],
        added=tuple(DocumentChange(key, 0, after[key].chunks) for key in sorted(after.keys() - before.keys())),
        removed=tuple(DocumentChange(key, before[key].chunks, 0) for key in sorted(before.keys() - after.keys())),
        changed=tuple(DocumentChange(key, before[key].chunks, after[key].chunks) for key in changed),
        unchanged=len(both) - len(changed),
        chunks=(sum(entry.chunks for entry in first[2]), sum(entry.chunks for entry in second[2])),
        recipes=(first[1].recipe, second[1].recipe),
        embedders=(first[1].embedder, second[1].embedder),
    )


def _differ(one: DocumentEntry, other: DocumentEntry) -> bool:
    # Versions of before this was noted do not say by which recipe a document was made.
    recipes = bool(one.recipe and other.recipe and one.recipe != other.recipe)
    return one.sha256 != other.sha256 or one.chunks != other.chunks or recipes
