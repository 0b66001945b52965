"""What a publish brings, removes and refuses, through real workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import SyncBraked
from tasks.ledger import State, control, monitor
from tasks.ledger.records import JobRow
from tasks.snapshots.shelf import Shelf
from tasks.submitting import submit_folder
from tests.acceptance.conftest import Stack

pytestmark = pytest.mark.acceptance


def folder_of(stack: Stack, name: str, count: int) -> Path:
    folder = stack.data / "shared" / name
    folder.mkdir(parents=True)
    for at in range(count):
        (folder / f"n{at}.txt").write_text(f"Text number {at} of {name}.")
    return folder


def submitted(stack: Stack, folder: Path, sync: control.Sync = "") -> JobRow:
    job = submit_folder(stack.ledger, folder, collection=folder.name, owner="ana", sync=sync).job
    return stack.ended(job)


def names_in(stack: Stack, collection: str) -> list[str]:
    shelf = Shelf(stack.data)
    return [entry.name for entry in shelf.documents(collection, shelf.current(collection) or "")]


def test_an_unchanged_folder_embeds_nothing_and_makes_no_new_snapshot(stack: Stack) -> None:
    folder = folder_of(stack, "unchanged", 3)
    first = submitted(stack, folder)
    second = submitted(stack, folder)
    assert (first.snapshot, second.snapshot) == ("000001", "000001")
    assert (second.state, second.documents_cached) == (State.COMPLETED, 3)
    assert second.step_description == "Everything is in snapshot 000001 already."
    assert len(Shelf(stack.data).snapshots("unchanged")) == 1


def test_one_changed_document_embeds_and_brings_that_one(stack: Stack) -> None:
    folder = folder_of(stack, "one-changed", 4)
    submitted(stack, folder)
    (folder / "n2.txt").write_text("Another text altogether.")
    job = submitted(stack, folder)
    assert (job.snapshot, job.documents_cached) == ("000002", 3)
    assert names_in(stack, "one-changed") == ["n0.txt", "n1.txt", "n2.txt", "n3.txt"]


def test_without_sync_what_vanished_from_the_folder_stays(stack: Stack) -> None:
    folder = folder_of(stack, "kept-all", 3)
    submitted(stack, folder)
    (folder / "n0.txt").unlink()
    submitted(stack, folder)
    assert "n0.txt" in names_in(stack, "kept-all")


def test_a_sync_removes_what_vanished(stack: Stack) -> None:
    folder = folder_of(stack, "synced", 10)
    submitted(stack, folder)
    (folder / "n3.txt").unlink()
    job = submitted(stack, folder, sync="careful")
    assert (job.state, job.snapshot) == (State.COMPLETED, "000002")
    assert "n3.txt" not in names_in(stack, "synced")
    assert len(names_in(stack, "synced")) == 9


def test_a_sync_that_would_remove_too_much_is_braked_until_somebody_says_yes(stack: Stack) -> None:
    folder = folder_of(stack, "braked", 10)
    submitted(stack, folder)
    for at in range(5):
        (folder / f"n{at}.txt").unlink()
    before = monitor.page(stack.ledger)[1]
    with pytest.raises(SyncBraked, match="5 of the 10 documents in braked"):
        submitted(stack, folder, sync="careful")
    assert monitor.page(stack.ledger)[1] == before
    submitted(stack, folder, sync="yes")
    assert len(names_in(stack, "braked")) == 5


def test_a_document_that_fails_in_a_sync_keeps_its_old_version(stack: Stack) -> None:
    folder = folder_of(stack, "half-broken", 6)
    submitted(stack, folder)
    (folder / "n1.txt").write_text("")
    job = submitted(stack, folder, sync="careful")
    assert job.state is State.PARTIAL
    assert "n1.txt" in names_in(stack, "half-broken")
