"""What page and command line share when documents are submitted: names made safe, bytes saved, a job made."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from tasks import archive
from tasks.errors import CollectionNameRefused, IngestboardError, SubmissionRefused
from tasks.ledger import Ledger, control
from tasks.ledger.control import COLLECTION_NAME, NewDocument
from tasks.ledger.records import Receipt
from tasks.recipe import Recipe
from tasks.settings import Settings
from tasks.snapshots.shelf import Shelf
from tasks.snapshots.syncing import vanished
from tasks.uploads import Uploads

NAME_BYTES = 255
RECOGNISED_BYTES = 64 * 1024 * 1024  # of a folder, read while the caller waits
UNPACKED_TIMES = 4  # an archive may unpack to that many times the largest single file
# Bidirectional controls (UAX #9) make "exe.pdf" out of "fdp.exe" on a page.
DIRECTION_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_name(name: str) -> str:
    """A name as it is shown and stored: relative, without '..', control characters or more than 255 bytes.

    It is a label and never becomes a path.
    """
    text = "".join(
        char
        for char in name.replace("\\", "/")
        if unicodedata.category(char) not in ("Cc", "Cs", "Cn") and char not in DIRECTION_MARKS
    )
    parts = [part.strip() for part in unicodedata.normalize("NFC", text).split("/")]
    cleaned = "/".join(part for part in parts if part not in ("", "..", ".")) or "unnamed"
    if len(cleaned.encode()) <= NAME_BYTES:
        return cleaned
    stem, dot, suffix = cleaned.rpartition(".")
    tail = f".{suffix}" if dot and len(suffix.encode()) <= 16 else ""
    head = (stem if tail else cleaned).encode()[: NAME_BYTES - len(tail.encode())]
    return clean_name(head.decode("utf-8", "ignore") + tail)


def submit_files(
    ledger: Ledger,
    files: Iterable[tuple[str, BinaryIO]],
    *,
    collection: str,
    owner: str = "",
    priority: str = "default",
    recipe: Recipe | None = None,
    title: str = "",
    token: str = "",
    sync: control.Sync = "",
    time_limit_s: float = 0.0,
    document_limit_s: float = 0.0,
) -> Receipt:
    """Save each file's bytes and make a job of them. Either all are accepted or nothing is submitted.

    A zip archive becomes the documents in it, named `archive.zip/inner/name.txt`.
    """
    if not COLLECTION_NAME.fullmatch(collection):
        raise CollectionNameRefused(name=collection)
    control.permit_submission(ledger, collection, owner=owner)  # before anything is saved
    control.look_for_room(ledger, collection, token=token)
    settings = ledger.settings
    used = with_embedder(recipe, settings)
    uploads = Uploads(settings.data)
    documents = []
    for name, stream in files:
        label = clean_name(name)
        if unpacked := _unpacked(settings, label, stream):
            documents += unpacked
            continue
        sha256, size = uploads.save(stream, max_bytes=settings.upload_max_bytes, name=label)
        documents.append(NewDocument(label, size, sha256=sha256))
    if sync:
        present = [document.name for document in documents]
        vanished(Shelf(ledger.settings.data), collection, present, yes=sync == "yes")
    return control.submit(
        ledger,
        collection=collection,
        documents=_recognised(settings, collection, documents, used),
        sync=sync,
        owner=owner,
        recipe=used,
        title=title,
        priority=priority,
        token=token,
        time_limit_s=time_limit_s,
        document_limit_s=document_limit_s,
    )


def submit_folder(
    ledger: Ledger,
    folder: Path,
    *,
    collection: str,
    owner: str = "",
    priority: str = "default",
    recipe: Recipe | None = None,
    title: str = "",
    token: str = "",
    sync: control.Sync = "",
    time_limit_s: float = 0.0,
    document_limit_s: float = 0.0,
) -> Receipt:
    """Submit a folder on the server from the allow-list; workers save its bytes, save those in zip archives."""
    control.permit_submission(ledger, collection, owner=owner)
    control.look_for_room(ledger, collection, token=token)
    real = allowed_folder(ledger.settings, folder)
    used = with_embedder(recipe, ledger.settings)
    documents: list[NewDocument] = []
    for path in files_below(real):
        label = clean_name(path.relative_to(real).as_posix())
        documents += _unpacked_at(ledger.settings, label, path) or [
            NewDocument(label, path.stat().st_size, path=str(path))
        ]
    if sync:
        present = [document.name for document in documents]
        vanished(Shelf(ledger.settings.data), collection, present, yes=sync == "yes")
    return control.submit(
        ledger,
        collection=collection,
        documents=_recognised(ledger.settings, collection, documents, used),
        sync=sync,
        owner=owner,
        recipe=used,
        title=title or real.name,
        priority=priority,
        token=token,
        time_limit_s=time_limit_s,
        document_limit_s=document_limit_s,
    )


def _recognised(settings: Settings, collection: str, documents: list[NewDocument], recipe: Recipe) -> list[NewDocument]:
    """The same, with those marked that the current snapshot holds unchanged: nothing is to be done for them.

    By content, never by a file's time. Only a document that the snapshot knows by name is read, and no more than
    the caller can wait for: the workers recognise the rest.
    """
    try:
        shelf = Shelf(settings.data)
        base = shelf.current(collection)
        entries = shelf.documents(collection, base) if base else []
    except IngestboardError:
        return documents  # a name that is refused or a snapshot that is damaged is told where it matters
    held = {entry.name: entry for entry in entries if entry.recipe == recipe.fingerprint}
    marked, room = [], RECOGNISED_BYTES
    for document in documents:
        entry = held.get(document.name)
        sha256 = document.sha256
        if entry is not None and not sha256 and document.size_bytes <= room:
            room -= document.size_bytes
            sha256 = _hash_of(document.path)
        if entry is not None and sha256 == entry.sha256:
            document = replace(document, sha256=sha256, chunks=entry.chunks)
        marked.append(document)
    return marked


def _hash_of(path: str) -> str:
    """The SHA-256 of a file; empty when it cannot be read: the worker meets the same and says so."""
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def _unpacked(settings: Settings, label: str, stream: BinaryIO) -> list[NewDocument]:
    """The documents in a zip archive, their bytes saved; none when the file is no archive or cannot be unpacked.

    Then it is submitted as it is and fails alone, with its reason. Raises SubmissionRefused when a member is too
    large or there are more than a job may hold.
    """
    if not archive.is_archive(stream, label):
        return []
    limits = archive.Limits(settings.documents_max, UNPACKED_TIMES * settings.upload_max_bytes)
    documents = []
    start = stream.tell()
    try:
        for member in archive.members(stream, limits):
            name = clean_name(f"{label}/{member.name}")
            with member.open() as inner:
                sha256, size = Uploads(settings.data).save(inner, max_bytes=settings.upload_max_bytes, name=name)
            documents.append(NewDocument(name, size, sha256=sha256))
    except archive.TooManyMembers as error:
        raise SubmissionRefused(reason=f"{label} cannot be unpacked: {error}") from None
    except (archive.ArchiveRefused, *archive.UNREADABLE):
        stream.seek(start)
        return []
    return documents


def _unpacked_at(settings: Settings, label: str, path: Path) -> list[NewDocument]:
    """The same for a file in a folder. Only one whose name lets it be an archive is opened."""
    if path.suffix.lower() not in archive.SUFFIXES:
        return []
    try:
        with path.open("rb") as stream:
            return _unpacked(settings, label, stream)
    except OSError:
        return []  # the worker meets the same and says so for this document


def allowed_folder(settings: Settings, folder: Path) -> Path:
    """The folder with links resolved, if it lies inside one that the settings allow; raises SubmissionRefused."""
    real = folder.expanduser().resolve()
    if not any(real == root or root in real.parents for root in settings.folders):
        raise SubmissionRefused(
            reason=f"the folder {folder} is not among those allowed; an administrator adds it to INGESTBOARD_FOLDERS"
        )
    if not real.is_dir():
        raise SubmissionRefused(reason=f"there is no folder {folder} on the server")
    return real


def files_below(folder: Path) -> Iterator[Path]:
    """The regular files below a folder, sorted; hidden ones and links are left out.

    Raises SubmissionRefused when a folder in it cannot be read: nothing is left out in silence.
    """

    def refuse(error: OSError) -> None:
        raise SubmissionRefused(reason=f"the folder {error.filename} cannot be read; ask for access to it or move it")

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path


def with_embedder(recipe: Recipe | None, settings: Settings) -> Recipe:
    """The recipe with this installation's embedder in it, so that a change of model is a change of recipe."""
    return (recipe or Recipe()).model_copy(update={"embedder": settings.embedder_fingerprint})
