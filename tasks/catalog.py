"""Collections as people meet them: which there are, their snapshots, and rolling one back on the record."""

from __future__ import annotations

import time

from tasks import kinds
from tasks.access import Person, Right
from tasks.errors import CollectionBusy, CollectionNotFound, IngestboardError, SubmissionRefused
from tasks.ledger import Ledger, control, locks, store
from tasks.ledger.records import Receipt
from tasks.recipe import Recipe
from tasks.settings import Settings
from tasks.snapshots.held import HeldRow
from tasks.snapshots.held import discard_held as remove_held
from tasks.snapshots.held import held as held_snapshots
from tasks.snapshots.rows import CollectionRow, SnapshotRow
from tasks.snapshots.shelf import Shelf
from tasks.uploads import Uploads

LOCK_WAIT_S = 10.0


def collections(settings: Settings, person: Person) -> list[CollectionRow]:
    """The collections with a published snapshot that this person may see, by name."""
    return [row for row in Shelf(settings.data).collections() if person.sees(row.name)]


def must_see(person: Person, name: str) -> None:
    """Raises CollectionNotFound for a collection that this person may not see: for them there is none."""
    if not person.sees(name):
        raise CollectionNotFound(name=name)


def snapshots(settings: Settings, person: Person, name: str) -> list[SnapshotRow]:
    """The snapshots of a collection, newest first. Raises CollectionNotFound for one that they may not see."""
    must_see(person, name)
    return Shelf(settings.data).snapshots(name)


def held(settings: Settings, person: Person, name: str) -> list[HeldRow]:
    """The snapshots of a collection that a gate held back, newest first. Raises CollectionNotFound as above."""
    must_see(person, name)
    return held_snapshots(Shelf(settings.data), name)


def discard_held(ledger: Ledger, name: str, job: str, *, by: str = "") -> None:
    """Remove a held snapshot, on the record; safe when absent. Raises NotAllowed or CollectionNotFound."""
    by = control.permit(ledger, Right.DISCARD_HELD, name, by=by)
    must_see(ledger.person, name)
    remove_held(Shelf(ledger.settings.data), name, job)
    control.record(ledger, "discard held", name, by=by, result=f"What job {job} made for {name} was removed.")


def rebuild(ledger: Ledger, name: str, recipe: Recipe, *, by: str = "") -> Receipt:
    """Make a collection again under another recipe or embedder, as a job; it replaces the snapshot when it is whole.

    Raises NotAllowed, CollectionNotFound, and SubmissionRefused when the bytes of a document are no longer kept.
    """
    by = control.permit(ledger, Right.REBUILD, name, by=by, action=control.REBUILD)
    must_see(ledger.person, name)
    settings = ledger.settings
    shelf, uploads = Shelf(settings.data), Uploads(settings.data)
    current = shelf.current(name)
    if current is None:
        raise CollectionNotFound(name=name)
    documents = []
    for entry in shelf.documents(name, current):
        try:
            size = uploads.path(entry.sha256).stat().st_size
        except FileNotFoundError:
            raise SubmissionRefused(
                reason=f"the bytes of {entry.name} are no longer kept; submit that document again, then rebuild"
            ) from None
        documents.append(control.NewDocument(entry.name, size, sha256=entry.sha256))
    return control.submit(
        ledger,
        collection=name,
        documents=documents,
        owner=by,
        recipe=recipe.model_copy(update={"embedder": settings.embedder_fingerprint}),
        title=f"Rebuild {name}",
        kind=control.REBUILD,
    )


def roll_back(ledger: Ledger, name: str, version: str, *, by: str = "") -> SnapshotRow:
    """Make an older (or newer) snapshot the current one, as a job on the board. Searches from here on read it.

    It is done by the caller at once and needs no worker; a worker ends it if the caller dies on the way.
    Raises NotAllowed, CollectionNotFound, SnapshotNotFound or CollectionBusy.
    """
    by = control.permit(ledger, Right.ROLL_BACK, name, by=by, action=kinds.ROLL_BACK.name)
    must_see(ledger.person, name)
    shelf = Shelf(ledger.settings.data)
    shelf.manifest(name, version)
    arguments = kinds.RollBackArguments(version=version)
    job = control.request(
        ledger,
        kind=kinds.ROLL_BACK.name,
        collection=name,
        arguments=arguments.model_dump_json(),
        owner=by,
        title=f"Roll {name} back to {version}",
        deliver=False,
    ).job
    claim = store.claim(
        ledger, job, store.PUBLISH, store.delivery_of(ledger, job, store.PUBLISH), f"{by}'s own process"
    )
    if claim is None:
        raise CollectionBusy(name=name)
    try:
        done = move(ledger, shelf, name, version)
    except IngestboardError as error:
        store.close(ledger, job, claim.attempt, error=str(error))
        raise
    store.close(ledger, job, claim.attempt, snapshot=version, done=done)
    return shelf.row(name, version)


def move(ledger: Ledger, shelf: Shelf, name: str, version: str) -> str:
    """Move the pointer under the publish lock; what was done, in a sentence."""
    until = time.monotonic() + LOCK_WAIT_S
    while (lock := locks.acquire(ledger, name)) is None:
        if time.monotonic() > until:
            raise CollectionBusy(name=name)
        time.sleep(0.1)
    try:
        before = shelf.current(name)
        shelf.move_current(name, version)
    finally:
        lock.release()
    return f"{name} was moved from {before} to {version}."
