"""The choice to remove from a collection what is no longer in the folder: what would go, and the brake on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import streamlit as st

from dashboard import connection, format, markup
from tasks import archive
from tasks.errors import IngestboardError, SyncBraked
from tasks.ledger.control import Sync
from tasks.settings import Settings
from tasks.snapshots.shelf import Shelf
from tasks.snapshots.syncing import vanished
from tasks.submitting import UNPACKED_TIMES, clean_name

NAMES_SHOWN = 20
Files = Iterator[tuple[str, BinaryIO]]


def field(collection: str, form: str, files: Callable[[], Files] | None) -> Sync:
    """The checkbox, and below it what would go. `files` is None while there is nothing to submit yet."""
    wanted = st.checkbox(
        "Also remove documents that are no longer in the folder",
        key=f"sync-{form}",
        help="The collection then holds what the folder holds. The snapshots of before are kept.",
    )
    if not wanted:
        return ""
    if not collection or files is None:
        return "careful"
    settings = connection.redis().settings
    try:
        with st.spinner("Comparing with the collection…"):
            present = names(settings, files())
            going = vanished(Shelf(settings.data), collection, present, yes=True)
    except (IngestboardError, OSError) as error:
        st.error(
            markup.literal(error)
            if isinstance(error, IngestboardError)
            else "The folder could not be read; look at it again.",
            icon=":material/error:",
        )
        return "careful"
    if not going:
        st.caption(f"Nothing would be removed from {collection}.")
        return "careful"
    st.html(preview(going))
    try:
        vanished(Shelf(settings.data), collection, present, yes=False)
    except SyncBraked as error:
        st.warning(markup.literal(error), icon=":material/front_hand:")
        return "yes" if st.checkbox("Remove them all the same", key=f"sync-yes-{form}-{len(going)}") else "careful"
    return "careful"


def names(settings: Settings, files: Files) -> list[str]:
    """What the documents would be called, those in zip archives too. Nothing is saved."""
    found = []
    for name, stream in files:
        label = clean_name(name)
        found += _members(settings, label, stream) or [label]
    return found


def _members(settings: Settings, label: str, stream: BinaryIO) -> list[str]:
    """The documents of an archive; none when it is none, or one that is submitted as it is and fails alone."""
    if not archive.is_archive(stream, label):
        return []
    limits = archive.Limits(settings.documents_max, UNPACKED_TIMES * settings.upload_max_bytes)
    start = stream.tell()
    try:
        return [clean_name(f"{label}/{member.name}") for member in archive.members(stream, limits)]
    except (archive.ArchiveRefused, *archive.UNREADABLE):
        return []
    finally:
        stream.seek(start)


def preview(going: list[str]) -> str:
    """The documents that would go, the first of many."""
    more = len(going) - NAMES_SHOWN
    items = "".join(f"<li>{markup.safe(name)}</li>" for name in going[:NAMES_SHOWN])
    rest = f"<li>and {format.number(more)} more</li>" if more > 0 else ""
    return (
        f'<div class="ib ib-going"><b>{format.counted(len(going), "document")} would be removed</b>'
        f"<ul>{items}{rest}</ul></div>"
    )
