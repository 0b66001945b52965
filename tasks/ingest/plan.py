"""What a publish brings and removes, decided under the publish lock against the snapshot that is current then.

A document that the snapshot holds already, with the same content under the same recipe, is not written again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.errors import IngestboardError
from tasks.ledger import control
from tasks.ledger.records import DocumentRow, JobRow
from tasks.ledger.states import DocumentState
from tasks.recipe import Recipe
from tasks.snapshots.manifest import DocumentEntry
from tasks.snapshots.shelf import Shelf
from tasks.snapshots.syncing import vanished


class RebuildIncomplete(IngestboardError):
    """A rebuild would lose documents. Data: name, reason."""

    sentence = "The rebuilt {name} was not published: {reason}; the snapshot that was current stays."


@dataclass(frozen=True, slots=True)
class Plan:
    """The next snapshot against the current one; `fresh` starts it from nothing. `known` counts what is there."""

    base: str
    bring: tuple[DocumentRow, ...]
    remove: tuple[str, ...]
    known: int
    fresh: bool = False

    @property
    def empty(self) -> bool:
        return not self.bring and not self.remove


def plan(shelf: Shelf, job: JobRow, rows: Sequence[DocumentRow], published_before: int) -> Plan:
    """The plan of a job's publish. Raises SyncBraked, RebuildIncomplete, or what a damaged snapshot raises."""
    base = shelf.current(job.collection) or ""
    entries = {entry.name: entry for entry in shelf.documents(job.collection, base)} if base else {}
    ready = [row for row in rows if row.state is DocumentState.COMPLETED and row.attempt > published_before]
    if job.kind == control.REBUILD:
        _whole(job, rows, entries)
        return Plan(base, tuple(ready), (), 0, fresh=True)
    recipe = Recipe.model_validate_json(job.recipe).fingerprint
    bring = tuple(row for row in ready if not _same(entries.get(row.name), row, recipe))
    remove: list[str] = []
    if job.sync:
        # A document that failed keeps its old version; only one that the job does not name has vanished.
        remove = vanished(shelf, job.collection, [row.name for row in rows], yes=job.sync == "yes")
    return Plan(base, bring, tuple(remove), len(ready) - len(bring))


def _same(entry: DocumentEntry | None, row: DocumentRow, recipe: str) -> bool:
    return entry is not None and entry.sha256 == row.sha256 and entry.recipe == recipe


def _whole(job: JobRow, rows: Sequence[DocumentRow], entries: dict[str, DocumentEntry]) -> None:
    """A rebuild replaces everything, so it must have everything that is there now."""
    failed = sum(row.state is not DocumentState.COMPLETED for row in rows)
    if failed:
        raise RebuildIncomplete(name=job.collection, reason=f"{failed} of its documents failed; retry them")
    made = {(row.name, row.sha256) for row in rows}
    missing = sum((entry.name, entry.sha256) not in made for entry in entries.values())
    if missing:
        raise RebuildIncomplete(
            name=job.collection, reason=f"{missing} documents came or changed while it ran; start it again"
        )
