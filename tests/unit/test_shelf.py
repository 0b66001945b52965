"""The shelf, on a file system that is empty, damaged, hostile or busy."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import CollectionBusy, CollectionNameRefused, DataUnwritable, SnapshotInvalid, SnapshotNotFound
from tasks.snapshots import DocumentEntry, Shelf, durable, history, manifest
from tests.snapshot_factories import lay, litter


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_a_data_folder_without_collections_gives_empty_lists(shelf: Shelf) -> None:
    assert shelf.collections() == []
    assert shelf.snapshots("papers") == []
    assert shelf.current("papers") is None
    assert shelf.recover("papers", keep_jobs=()) == []
    shelf.discard("papers", "job1")
    assert not shelf.root.exists(), "reading made folders"


def test_snapshots_come_newest_first_with_the_current_one_marked(shelf: Shelf) -> None:
    lay(shelf, "papers", "000001")
    lay(shelf, "papers", "000002", base="000001")
    lay(shelf, "papers", "000010", current=False)

    rows = shelf.snapshots("papers")

    assert [(row.version, row.current) for row in rows] == [("000010", False), ("000002", True), ("000001", False)]
    second = rows[1]
    assert (second.owner, second.job, second.documents, second.chunks, second.base) == ("ada", "job2", 2, 7, "000001")
    assert second.created_at == datetime(2025, 1, 3, tzinfo=UTC)


def test_a_collection_row_tells_of_its_current_snapshot(shelf: Shelf) -> None:
    lay(shelf, "papers", "000001", documents=1)
    lay(shelf, "papers", "000002", documents=5, size_bytes=10)
    lay(shelf, "Notes_2", "000001")

    notes, papers = shelf.collections()

    assert (notes.name, notes.current, notes.versions) == ("Notes_2", "000001", 1)
    assert (papers.current, papers.versions, papers.documents, papers.size_bytes) == ("000002", 2, 5, 10)
    assert papers.updated_at.tzinfo is not None


def test_what_is_no_collection_and_no_version_is_not_listed(shelf: Shelf) -> None:
    folder = lay(shelf, "papers", "000001").parent
    for junk in ("12", "00001x", "_tmp-job9", "lost+found"):
        (folder / junk).mkdir()
    (folder / "000007").write_text("a file")
    (shelf.root / ".hidden").mkdir()
    (shelf.root / "empty").mkdir()
    (shelf.root / "a.file").write_text("")

    assert [row.name for row in shelf.collections()] == ["papers"]
    assert [row.version for row in shelf.snapshots("papers")] == ["000001"]


@pytest.mark.parametrize("content", ["", "{", '{"collection": "papers"}', "\x00\xff" * 10])
def test_a_damaged_manifest_is_a_row_with_zero_counts(shelf: Shelf, content: str) -> None:
    folder = lay(shelf, "papers", "000001")
    (folder / manifest.MANIFEST).write_text(content, encoding="latin-1")

    row = shelf.snapshots("papers")[0]

    assert (row.version, row.documents, row.chunks, row.size_bytes, row.owner) == ("000001", 0, 0, 0, "")
    assert row.created_at.tzinfo is not None
    assert shelf.collections()[0].current == "000001"
    with pytest.raises(SnapshotNotFound):
        shelf.manifest("papers", "000001")


@pytest.mark.parametrize("content", [b"", b"../../etc\n", b"1\n", b"\xff\xfe", b"000001/..\n", b"000009\n"])
def test_a_damaged_pointer_hides_nothing_but_stops_new_snapshots(shelf: Shelf, content: bytes) -> None:
    folder = lay(shelf, "papers", "000001").parent
    (folder / "CURRENT").write_bytes(content)

    assert [row.current for row in shelf.snapshots("papers")] == [False]
    assert shelf.collections()[0].current == ""
    with pytest.raises(SnapshotInvalid, match="roll back"):
        shelf.base("papers")

    shelf.move_current("papers", "000001")
    assert shelf.base("papers") == "000001"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "-a", "_a", "a b", "é", "a" * 65, "a\n", "a\0", "a.b"])
def test_a_name_that_is_no_safe_folder_name_is_refused(shelf: Shelf, name: str) -> None:
    for call in (shelf.current, shelf.snapshots, shelf.folder, shelf.next_version):
        with pytest.raises(CollectionNameRefused):
            call(name)


@given(st.text(max_size=80), st.text(max_size=12))
def test_no_name_and_version_ever_lead_out_of_the_shelf(name: str, version: str) -> None:
    shelf = Shelf(Path("/data"))
    try:
        path = shelf.path(name, version)
    except (CollectionNameRefused, SnapshotNotFound):
        return
    assert path.parent.parent == shelf.root
    assert path.name == version
    assert ".." not in path.parts


@pytest.mark.parametrize(
    "version", ["", "1", "../000001", "000001\n", "00000a", "\u0660\u0660\u0660\u0660\u0660\u0661", "000002"]
)
def test_a_version_that_is_not_there_is_not_found(shelf: Shelf, version: str) -> None:
    lay(shelf, "papers", "000001")
    with pytest.raises(SnapshotNotFound):
        shelf.manifest("papers", version)
    with pytest.raises(SnapshotNotFound):
        shelf.documents("papers", version)
    with pytest.raises(SnapshotNotFound):
        shelf.move_current("papers", version)
    assert shelf.current("papers") == "000001"


@pytest.mark.parametrize("job", ["", "..", "a/b", "a\n", "é"])
def test_a_job_id_never_becomes_another_path(shelf: Shelf, job: str) -> None:
    with pytest.raises(ValueError, match="no job id"):
        shelf.discard("papers", job)


def test_the_documents_of_a_version_keep_odd_names(shelf: Shelf) -> None:
    folder = lay(shelf, "papers", "000001")
    names = ["it's", 'a"b', "line\nbreak", "é😀", "\u2028", "tab\t", "back\\slash"]
    entries = [DocumentEntry(name=name, sha256="0", chunks=1) for name in names]
    (folder / manifest.DOCUMENTS).write_bytes(manifest.encode_documents(entries))

    assert [entry.name for entry in shelf.documents("papers", "000001")] == sorted(names)

    (folder / manifest.DOCUMENTS).write_bytes(b'{"name": "torn"')
    with pytest.raises(SnapshotInvalid, match="damaged"):
        shelf.documents("papers", "000001")


def test_rolling_back_moves_the_pointer_and_goes_on_the_record(shelf: Shelf) -> None:
    lay(shelf, "papers", "000001")
    lay(shelf, "papers", "000002")

    shelf.move_current("papers", "000001")

    assert (shelf.folder("papers") / "CURRENT").read_bytes() == b"000001\n"
    assert [(move.version, move.how) for move in history.moves(shelf.folder("papers"))] == [
        ("000001", "published"),
        ("000002", "published"),
        ("000001", "rolled back"),
    ]
    assert [row.version for row in shelf.snapshots("papers")] == ["000002", "000001"]
    assert litter(shelf, "papers") == []


def test_a_version_that_was_never_published_cannot_be_rolled_back_to(shelf: Shelf) -> None:
    lay(shelf, "papers", "000001")
    lay(shelf, "papers", "000002", current=False, published=False)

    with pytest.raises(SnapshotNotFound):
        shelf.move_current("papers", "000002")
    assert [row.version for row in shelf.snapshots("papers")] == ["000001"]


def test_a_pointer_that_moved_before_its_record_was_written_is_recorded_by_the_next_move(shelf: Shelf) -> None:
    lay(shelf, "papers", "000001")
    lay(shelf, "papers", "000002", published=False)  # a crash right behind the commit point

    shelf.move_current("papers", "000001")

    assert shelf.recover("papers", keep_jobs=()) == []
    assert [row.version for row in shelf.snapshots("papers")] == ["000002", "000001"]


def test_recovery_removes_what_was_never_published_and_nothing_else(shelf: Shelf) -> None:
    lay(shelf, "papers", "000001")
    lay(shelf, "papers", "000002")
    lay(shelf, "papers", "000003", current=False, published=False)
    for name in ("_tmp-dead", "_tmp-alive", "notes"):
        (shelf.folder("papers") / name / "deep").mkdir(parents=True)
    (shelf.folder("papers") / "_new-1234").write_text("000003\n")
    shelf.move_current("papers", "000001")

    removed = shelf.recover("papers", keep_jobs={"alive"})

    assert removed == ["000003", "_new-1234", "_tmp-dead"]
    assert litter(shelf, "papers") == ["_tmp-alive", "notes"]
    assert [row.version for row in shelf.snapshots("papers")] == ["000002", "000001"]
    assert shelf.recover("papers", keep_jobs={"alive"}) == []


def test_a_lost_history_costs_no_snapshot(shelf: Shelf) -> None:
    lay(shelf, "papers", "000001")
    lay(shelf, "papers", "000002")
    (shelf.folder("papers") / history.HISTORY).unlink()

    assert shelf.recover("papers", keep_jobs=()) == []
    assert [row.version for row in shelf.snapshots("papers")] == ["000002", "000001"]
    assert history.moves(shelf.folder("papers"))[-1].version == "000002"


def test_a_torn_line_of_history_is_skipped_and_the_next_stands_alone(shelf: Shelf) -> None:
    lay(shelf, "papers", "000001")
    path = shelf.folder("papers") / history.HISTORY
    with path.open("ab") as out:
        out.write(b'[]\n{"version": "../x", "job": "", "attempt": 1, "how": "", "at": ""}\n{"version": "0000')

    lay(shelf, "papers", "000002")

    assert [move.version for move in history.moves(shelf.folder("papers"))] == ["000001", "000002"]


def test_a_number_is_never_given_twice(shelf: Shelf) -> None:
    assert shelf.next_version("papers") == "000001"
    lay(shelf, "papers", "000001")
    third = lay(shelf, "papers", "000003")
    durable.remove(third)  # pruned: only HISTORY and CURRENT still know it
    assert shelf.next_version("papers") == "000004"
    lay(shelf, "papers", "999999")
    assert shelf.next_version("papers") == "1000000"


def test_who_published_is_found_by_job_and_attempt(shelf: Shelf) -> None:
    lay(shelf, "papers", "000001", job="j", attempt=1)
    lay(shelf, "papers", "000002", job="j", attempt=2, published=False)
    lay(shelf, "papers", "000003", job="k", attempt=1, current=False, published=False)

    first, second = shelf.published_by("papers", "j", 1), shelf.published_by("papers", "j", 2)

    assert first is not None
    assert first.version == "000001"
    assert second is not None, "the pointer moved and HISTORY does not know yet"
    assert (second.version, second.current) == ("000002", True)
    assert shelf.published_by("papers", "k", 1) is None
    assert shelf.published_by("papers", "j", 3) is None


def test_while_one_holds_the_collection_another_is_told_to_wait(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(shelf, "papers", "000001")
    lay(shelf, "papers", "000002")
    monkeypatch.setattr(durable, "LOCK_WAIT_S", 0.05)
    with shelf.exclusive("papers"), pytest.raises(CollectionBusy, match="papers"):
        shelf.move_current("papers", "000001")
    assert shelf.current("papers") == "000002"


def test_readers_see_the_old_pointer_or_the_new_one(shelf: Shelf) -> None:
    lay(shelf, "papers", "000001")
    lay(shelf, "papers", "000002")
    seen: set[str | None] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.add(shelf.current("papers"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for turn in range(40):
        shelf.move_current("papers", f"00000{turn % 2 + 1}")
    stop.set()
    watcher.join()
    assert seen <= {"000001", "000002"}


def test_a_full_disk_at_the_pointer_is_told_and_leaves_it(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(shelf, "papers", "000001")
    lay(shelf, "papers", "000002")

    def full(_path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "write", full)
    with pytest.raises(DataUnwritable, match="No space left on device"):
        shelf.move_current("papers", "000001")
    assert shelf.current("papers") == "000002"
    assert litter(shelf, "papers") == []


def test_the_shelf_imports_nothing_heavy() -> None:
    program = "import sys, tasks.snapshots; print([m for m in ('lancedb', 'pyarrow', 'numpy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
