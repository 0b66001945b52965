"""What changed between two versions, told from their tables of documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import CollectionNameRefused, HeldNotFound, SnapshotInvalid, SnapshotNotFound
from tasks.snapshots import DocumentEntry, Shelf, manifest
from tasks.snapshots.diff import Diff, DocumentChange, diff, diff_held
from tests.snapshot_factories import lay

Contents = dict[str, tuple[str, int, str]]  # name: sha256, chunks, recipe


def version(shelf: Shelf, number: str, contents: Contents, **fields: Any) -> None:
    folder = lay(shelf, "papers", number, **fields)
    entries = [
        DocumentEntry(name=name, sha256=sha256, chunks=chunks, recipe=recipe)
        for name, (sha256, chunks, recipe) in contents.items()
    ]
    (folder / manifest.DOCUMENTS).write_bytes(manifest.encode_documents(entries))


def test_documents_that_came_went_and_changed_are_told_with_their_chunks(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    version(shelf, "000001", {"same": ("1", 4, "r"), "gone": ("2", 3, "r"), "changed": ("3", 2, "r")}, recipe="one")
    version(shelf, "000002", {"same": ("1", 4, "r"), "changed": ("4", 5, "r"), "new": ("5", 1, "s")}, recipe="two")

    assert diff(shelf, "papers", "000001", "000002") == Diff(
        collection="papers",
        a="000001",
        b="000002",
        added=(DocumentChange("new", 0, 1),),
        removed=(DocumentChange("gone", 3, 0),),
        changed=(DocumentChange("changed", 2, 5),),
        unchanged=1,
        chunks=(9, 10),
        recipes=("one", "two"),
        embedders=("stub-8", "stub-8"),
    )


def test_the_same_content_under_another_recipe_has_changed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    version(shelf, "000001", {"a": ("1", 4, "r"), "old": ("2", 1, "")})
    version(shelf, "000002", {"a": ("1", 4, "s"), "old": ("2", 1, "s")})
    found = diff(shelf, "papers", "000001", "000002")
    assert found.changed == (DocumentChange("a", 4, 4),), "where a version does not say, nothing is claimed"
    assert found.unchanged == 1


contents = st.dictionaries(
    st.text(max_size=3), st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.sampled_from(["r", "s"])), max_size=6
)


@given(contents, contents)
def test_the_way_back_is_the_mirror_and_nothing_is_told_twice(one: Contents, other: Contents) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        shelf = Shelf(Path(folder))
        version(shelf, "000001", one)
        version(shelf, "000002", other)
        there, back = diff(shelf, "papers", "000001", "000002"), diff(shelf, "papers", "000002", "000001")
    told = [change.name for kind in (there.added, there.removed, there.changed) for change in kind]
    assert len(told) == len(set(told))
    assert len(told) + there.unchanged == len(one.keys() | other.keys())
    assert [change.name for change in there.added] == [change.name for change in back.removed]
    assert [change.name for change in there.changed] == [change.name for change in back.changed]
    assert there.chunks == back.chunks[::-1]


def test_what_is_not_there_or_damaged_is_said(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    version(shelf, "000001", {})
    folder = lay(shelf, "papers", "000002")
    with pytest.raises(SnapshotNotFound):
        diff(shelf, "papers", "000001", "000003")
    with pytest.raises(CollectionNameRefused):
        diff(shelf, "../papers", "000001", "000002")
    with pytest.raises(HeldNotFound, match="holds no snapshot of job j1"):
        diff_held(shelf, "papers", "j1")
    (folder / manifest.DOCUMENTS).write_bytes(b"{")
    with pytest.raises(SnapshotInvalid, match="000002 is damaged"):
        diff(shelf, "papers", "000001", "000002")


def test_a_diff_needs_nothing_heavy() -> None:
    import subprocess
    import sys

    program = (
        "import sys, tasks.snapshots.diff, tasks.snapshots.prune, tasks.snapshots.held;"
        "print([m for m in ('lancedb', 'pyarrow', 'numpy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
