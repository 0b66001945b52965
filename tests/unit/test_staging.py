"""Staging, verifying and committing snapshots, each test in a process of its own (see tests.own_process)."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tasks.errors import BaseMoved, Canceled, DataUnwritable, EmbedderMismatch, Fenced, SnapshotInvalid
from tasks.snapshots import DocumentEntry, Shelf, durable
from tests.own_process import in_own_process
from tests.snapshot_factories import document, held, litter, publish, staged

ODD_NAMES = [
    "it's.txt",
    "''",
    "a'; DROP TABLE chunks; --",
    'q"q',
    "line\nbreak",
    "é😀",
    "e\u0301",
    "\\'",
    "%_",
    "\u2028",
]


@in_own_process
def test_a_first_snapshot_opens_in_plain_lancedb(tmp_path: Path) -> None:
    import lancedb

    shelf = Shelf(tmp_path)
    given = document("docs/a.txt", 3)
    assert publish(shelf, "papers", [given, document("b.txt", 2)]) == "000001"

    table = lancedb.connect(tmp_path / "collections" / "papers" / "000001").open_table("chunks")
    rows = table.search().where("document = 'docs/a.txt'").to_arrow().to_pylist()
    assert table.count_rows() == 5
    assert [row["position"] for row in rows] == [0, 1, 2]
    assert [row["text"] for row in rows] == ["docs/a.txt 0", "docs/a.txt 1", "docs/a.txt 2"]
    assert rows[1]["vector"] == given.table["vector"][1].as_py()
    assert (rows[0]["sha256"], rows[0]["recipe"], rows[0]["page"]) == (given.sha256, "feedfacefeedface", None)
    assert len({row["id"] for row in rows}) == 3
    assert all(len(row["id"]) == 32 for row in rows)
    assert (shelf.folder("papers") / "CURRENT").read_bytes() == b"000001\n"
    assert litter(shelf, "papers") == []


@in_own_process
def test_the_manifest_tells_what_was_published(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 3), document("b.txt", 2)])
    publish(shelf, "papers", [document("a.txt", 4, text="new"), document("c.txt", 1)], job="job2", attempt=3)

    found = shelf.manifest("papers", "000002")
    assert (found.base, found.job, found.attempt, found.owner) == ("000001", "job2", 3, "ada")
    assert (found.documents, found.chunks, found.dimension, found.embedder) == (3, 7, 8, "stub-8")
    entries = shelf.documents("papers", "000002")
    assert [(entry.name, entry.chunks) for entry in entries] == [("a.txt", 4), ("b.txt", 2), ("c.txt", 1)]
    assert entries[0].sha256 != shelf.documents("papers", "000001")[0].sha256
    assert 0 < found.written_bytes < found.size_bytes
    row = shelf.published_by("papers", "job2", 3)
    assert row is not None
    assert (row.version, row.chunks, row.size_bytes) == ("000002", 7, found.size_bytes)


@in_own_process
def test_a_new_snapshot_replaces_what_was_given_and_carries_the_rest_over(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 3), document("b.txt", 2)])
    publish(shelf, "papers", [document("b.txt", 5, text="changed"), document("c.txt", 1)])
    publish(shelf, "papers", [document("a.txt", 1, text="changed")])

    assert held(shelf, "papers") == {"a.txt": 1, "b.txt": 5, "c.txt": 1}
    assert held(shelf, "papers", "000002") == {"a.txt": 3, "b.txt": 5, "c.txt": 1}
    assert held(shelf, "papers", "000001") == {"a.txt": 3, "b.txt": 2}, "an old snapshot changed"


@in_own_process
def test_names_with_quotes_newlines_and_emoji_are_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document(name, 2) for name in [*ODD_NAMES, "innocent"]])
    for index, name in enumerate(ODD_NAMES):
        publish(shelf, "papers", [document(name, 3, text="new")], job=f"job{index}")
        assert held(shelf, "papers")[name] == 3
    assert held(shelf, "papers") == {**dict.fromkeys(ODD_NAMES, 3), "innocent": 2}
    assert sorted(entry.name for entry in shelf.documents("papers", "000011")) == sorted([*ODD_NAMES, "innocent"])


@in_own_process
def test_two_names_of_one_content_stay_two_documents(tmp_path: Path) -> None:
    from tasks.snapshots.staging import StagedDocument

    shelf = Shelf(tmp_path)
    one = document("a.txt", 2)
    publish(shelf, "papers", [one, StagedDocument("copy/a.txt", one.sha256, one.table)])
    assert held(shelf, "papers") == {"a.txt": 2, "copy/a.txt": 2}


@in_own_process
def test_of_two_documents_with_one_name_the_later_counts(tmp_path: Path) -> None:
    from tasks.snapshots import staging

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 3), document("a.txt", 2, text="later")])
    assert held(shelf, "papers") == {"a.txt": 2}

    with mock.patch.object(staging, "BATCH_ROWS", 1):
        publish(shelf, "papers", [document("a.txt", 3, text="x"), document("b.txt"), document("a.txt", 4, text="y")])
    assert held(shelf, "papers") == {"a.txt": 4, "b.txt": 3}
    assert shelf.manifest("papers", "000002").chunks == 7


@in_own_process
def test_documents_are_taken_as_they_are_needed_and_written_in_bounded_batches(tmp_path: Path) -> None:
    from tasks.snapshots import staging

    shelf = Shelf(tmp_path)
    log: list[str] = []

    def documents() -> Iterator[Any]:
        for index in range(6):
            log.append(f"read {index}")
            yield document(f"{index}.txt", 4)

    with mock.patch.object(staging, "BATCH_ROWS", 8):
        staged(shelf, "papers", documents(), step=log.append, checkpoint=lambda: log.append("checked"))

    batch = ["checked", "checked", "rows added"]
    assert log[2:] == [
        *["read 0", "read 1", *batch, "read 2", "read 3", *batch, "read 4", "read 5", *batch],
        *["checked", "table tidied", "text index made", "indexes kept", "documents written"],
    ]


@in_own_process
def test_one_large_document_is_written_in_several_batches(tmp_path: Path) -> None:
    from tasks.snapshots import staging

    shelf, steps = Shelf(tmp_path), list[str]()
    with mock.patch.object(staging, "BATCH_ROWS", 10):
        publish(shelf, "papers", [document("big.txt", 95)], step=steps.append)
    assert steps.count("rows added") == 10
    assert held(shelf, "papers") == {"big.txt": 95}


@in_own_process
def test_a_cancel_at_any_checkpoint_leaves_nothing_staged(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt")])
    for stop_at in range(3):
        left = iter(range(stop_at))

        def checkpoint(left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Canceled(job="job2")

        with pytest.raises(Canceled):
            staged(shelf, "papers", [document("a.txt", 9)], job="job2", checkpoint=checkpoint)
        assert litter(shelf, "papers") == []
    assert held(shelf, "papers") == {"a.txt": 3}


@in_own_process
def test_a_failing_source_of_documents_leaves_nothing_staged(tmp_path: Path) -> None:
    def documents() -> Iterator[Any]:
        yield document("a.txt")
        raise KeyError("gone")

    shelf = Shelf(tmp_path)
    with pytest.raises(KeyError):
        staged(shelf, "papers", documents())
    assert litter(shelf, "papers") == []
    assert shelf.collections() == []


@in_own_process
def test_what_an_earlier_try_left_is_replaced(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    (shelf.folder("papers") / "_tmp-job1" / "old" / "chunks.lance").mkdir(parents=True)
    publish(shelf, "papers", [document("a.txt")])
    assert litter(shelf, "papers") == []


@in_own_process
def test_another_embedder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt")])
    with pytest.raises(
        EmbedderMismatch, match=r"papers was built with stub-8 \(8 .*of other-4 \(4\); use a collection"
    ):
        staged(shelf, "papers", [document("b.txt", dimension=4)], embedder="other-4", dimension=4)
    with pytest.raises(EmbedderMismatch):
        staged(shelf, "papers", [document("b.txt")], embedder="other-8")
    assert litter(shelf, "papers") == []


@in_own_process
def test_a_base_with_a_damaged_manifest_is_not_built_upon(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt")])
    (shelf.path("papers", "000001") / "manifest.json").write_text("{")
    with pytest.raises(SnapshotInvalid, match="manifest of 000001 is damaged; roll back"):
        staged(shelf, "papers", [document("b.txt")])
    assert litter(shelf, "papers") == []


@in_own_process
def test_vectors_of_another_length_are_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    with pytest.raises(SnapshotInvalid, match=r"'b.txt' are not 8 numbers"):
        staged(shelf, "papers", [document("a.txt"), document("b.txt", dimension=4)])
    assert litter(shelf, "papers") == []


@in_own_process
def test_a_snapshot_of_nothing_is_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    with pytest.raises(SnapshotInvalid, match="no document"):
        staged(shelf, "papers", [])
    assert litter(shelf, "papers") == []


@pytest.mark.parametrize("vector", [float("nan"), float("inf"), 0.0])
@in_own_process
def test_a_vector_that_no_search_can_place_is_never_published(tmp_path: Path, vector: float) -> None:
    from tasks.snapshots import table
    from tasks.snapshots.staging import verify

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 50)])
    with pytest.raises(SnapshotInvalid, match=r"4 vectors of 'c.txt' are empty or no numbers"):
        staged(shelf, "papers", [document("b.txt", 2), document("c.txt", 4, vector=vector)])
    assert litter(shelf, "papers") == []

    if vector == 0.0:  # Lance itself refuses the others
        with mock.patch.object(table, "unusable", return_value=0):
            new = staged(shelf, "papers", [document("b.txt", 2), document("c.txt", 4, vector=vector)])
        with pytest.raises(SnapshotInvalid, match="4 of its new vectors"):
            verify(new)
    assert litter(shelf, "papers") == []
    assert shelf.current("papers") == "000001"


@in_own_process
def test_verification_finds_lost_added_and_foreign_rows(tmp_path: Path) -> None:
    from tasks.snapshots.staging import verify
    from tasks.snapshots.table import open_table, rows

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 5)])
    foreign = rows(document("a.txt", 2), name="papers", recipe="r", dimension=8)

    lost = staged(shelf, "papers", [document("b.txt", 2)])
    open_table(lost.folder).delete("document = 'a.txt' AND position = 0")
    with pytest.raises(SnapshotInvalid, match="holds 6 chunks where 7 are expected"):
        verify(lost)

    swapped = staged(shelf, "papers", [document("b.txt", 2)])
    open_table(swapped.folder).delete("document = 'b.txt'")
    open_table(swapped.folder).add(foreign)
    with pytest.raises(SnapshotInvalid, match=r"2 new chunks of 'a.txt' were found, 0 expected"):
        verify(swapped)

    doubled = staged(shelf, "papers", [document("a.txt", 2)])
    doubled.base_chunks, doubled.documents["a.txt"] = 7, DocumentEntry(name="a.txt", sha256="", chunks=4)
    open_table(doubled.folder).add(foreign)
    with pytest.raises(SnapshotInvalid, match="note 2 chunks and it holds 4"):
        verify(doubled)
    assert litter(shelf, "papers") == []
    assert held(shelf, "papers") == {"a.txt": 5}


@in_own_process
def test_verification_finds_old_rows_of_a_document_that_was_replaced(tmp_path: Path) -> None:
    from tasks.snapshots import table
    from tasks.snapshots.staging import verify

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 5), document("b.txt", 5)])
    with mock.patch.object(table, "of_documents", return_value="document = 'b.txt'"):  # the wrong rows go
        new = staged(shelf, "papers", [document("a.txt", 2)])
    with pytest.raises(SnapshotInvalid, match="hold 7 chunks where 2 are expected"):
        verify(new)


@in_own_process
def test_verification_finds_a_base_that_was_touched(tmp_path: Path) -> None:
    from tasks.snapshots.staging import verify

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt")])
    data = next((shelf.path("papers", "000001") / "chunks.lance" / "data").glob("*.lance"))
    new = staged(shelf, "papers", [document("b.txt")])
    os.utime(data)
    with pytest.raises(SnapshotInvalid, match="changed meanwhile"):
        verify(new)


@in_own_process
def test_publishing_never_changes_a_byte_of_the_base(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document(f"{index}.txt", 20) for index in range(10)])
    folder = shelf.path("papers", "000001")

    def contents() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in durable.files(folder)}

    before = contents()
    publish(shelf, "papers", [document("1.txt", 30, text="new"), document("x.txt")])
    # Replacing most of it makes the table be rewritten.
    publish(shelf, "papers", [document(f"{index}.txt", 21, text="new") for index in range(10)])
    assert contents() == before
    assert shelf.manifest("papers", "000003").dead_chunks == 0


@in_own_process
def test_the_files_of_a_base_are_shared_and_its_past_is_not_carried_on(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("big.txt", 2000)])
    for index in range(40):
        publish(shelf, "papers", [document("small.txt", 2, text=f"v{index}")], job=f"job{index}")

    first, last = shelf.path("papers", "000001"), shelf.path("papers", "000041")
    (data,) = (first / "chunks.lance" / "data").glob("*.lance")
    assert (last / "chunks.lance" / "data" / data.name).samefile(data)
    assert len(list((last / "chunks.lance" / "_versions").glob("*.manifest"))) == 1
    assert not list((last / "chunks.lance" / "_transactions").glob("*"))
    assert shelf.manifest("papers", "000041").written_bytes < 20_000
    assert held(shelf, "papers") == {"big.txt": 2000, "small.txt": 2}


@in_own_process
def test_many_small_pieces_are_rewritten_as_one(tmp_path: Path) -> None:
    from tasks.snapshots import staging
    from tasks.snapshots.table import fragments, open_table

    shelf = Shelf(tmp_path)
    with mock.patch.object(staging, "FRAGMENTS_MAX", 4):
        for index in range(6):
            publish(shelf, "papers", [document(f"{index}.txt", 2)], job=f"job{index}")
    assert fragments(open_table(shelf.path("papers", "000004"))) == 4
    assert fragments(open_table(shelf.path("papers", "000005"))) == 1
    assert held(shelf, "papers") == {f"{index}.txt": 2 for index in range(6)}


@in_own_process
def test_files_are_copied_where_they_cannot_be_linked(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 5)])
    with mock.patch("os.link", side_effect=OSError(errno.EXDEV, "Invalid cross-device link")):
        publish(shelf, "papers", [document("b.txt")])
    found = shelf.manifest("papers", "000002")
    assert found.written_bytes == found.size_bytes
    assert held(shelf, "papers") == {"a.txt": 5, "b.txt": 3}


@in_own_process
def test_everything_new_is_on_disk_before_the_pointer_moves(tmp_path: Path) -> None:
    from tasks.snapshots.staging import commit, verify

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 5)])
    new = staged(shelf, "papers", [document("b.txt")])
    verify(new)
    synced: set[int] = set()
    real_fsync, real_replace = os.fsync, os.replace
    moved: list[str] = []

    def fsync(handle: int) -> None:
        synced.add(os.fstat(handle).st_ino)
        real_fsync(handle)

    def replace(source: Path, target: Path) -> None:
        folder = shelf.path("papers", "000002")
        new_files = {path for path in durable.files(folder) if path.stat().st_nlink == 1}
        folders = {folder, folder.parent, *(path for path in folder.rglob("*") if path.is_dir())}
        assert {path.stat().st_ino for path in new_files | folders | {source}} <= synced
        moved.append(target.name)
        synced.clear()
        real_replace(source, target)

    with mock.patch("os.fsync", fsync), mock.patch("os.replace", replace):
        commit(new, still_owner=lambda: True)
    assert moved == ["CURRENT"]
    assert shelf.folder("papers").stat().st_ino in synced


@in_own_process
def test_who_lost_the_lock_publishes_nothing(tmp_path: Path) -> None:
    from tasks.snapshots.staging import commit, verify

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt")])
    for answers in ([False], [True, False]):
        new = staged(shelf, "papers", [document("b.txt")], job="job2", attempt=7)
        verify(new)
        with pytest.raises(Fenced, match="Attempt 7 of job job2"):
            commit(new, still_owner=iter(answers).__next__)
        assert shelf.current("papers") == "000001"
        assert litter(shelf, "papers") == []
    assert publish(shelf, "papers", [document("b.txt")]) == "000002"


@in_own_process
def test_a_pointer_that_moved_meanwhile_stops_the_publish(tmp_path: Path) -> None:
    from tasks.snapshots.staging import commit, verify

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt")])
    publish(shelf, "papers", [document("b.txt")])
    for moment in ("manifest written", "version renamed", "before"):
        new = staged(shelf, "papers", [document("c.txt")])
        verify(new)

        def roll_back(name: str, moment: str = moment) -> None:
            if name == moment:
                shelf.move_current("papers", "000001")

        roll_back("before")
        with pytest.raises(BaseMoved, match="from 000002 to 000001"):
            commit(new, still_owner=lambda: True, step=roll_back)
        assert shelf.current("papers") == "000001"
        assert litter(shelf, "papers") == []
        shelf.move_current("papers", "000002")


@in_own_process
def test_of_two_publishers_with_one_base_the_second_publishes_nothing(tmp_path: Path) -> None:
    from tasks.snapshots.staging import commit, verify

    shelf = Shelf(tmp_path)
    one = staged(shelf, "papers", [document("a.txt")], job="one")
    two = staged(shelf, "papers", [document("b.txt")], job="two")
    verify(one)
    verify(two)

    def interrupt(name: str) -> None:
        if name == "files synced":
            commit(one, still_owner=lambda: True)

    with pytest.raises(BaseMoved):
        commit(two, still_owner=lambda: True, step=interrupt)
    assert held(shelf, "papers") == {"a.txt": 3}
    assert litter(shelf, "papers") == []


@in_own_process
def test_a_zombie_neither_publishes_nor_removes_the_version_that_took_its_number(tmp_path: Path) -> None:
    from tasks.snapshots.staging import commit, verify

    shelf = Shelf(tmp_path)
    zombie = staged(shelf, "papers", [document("a.txt")], job="zombie")
    verify(zombie)

    def paused(name: str) -> None:
        if name == "version renamed":
            assert shelf.recover("papers", keep_jobs=()) == ["000001"]
            assert publish(shelf, "papers", [document("b.txt")], job="next") == "000001"

    with pytest.raises(BaseMoved):
        commit(zombie, still_owner=lambda: True, step=paused)
    assert held(shelf, "papers") == {"b.txt": 3}
    assert shelf.manifest("papers", "000001").job == "next"


@in_own_process
def test_a_ledger_that_is_away_at_the_commit_leaves_nothing(tmp_path: Path) -> None:
    from tasks.snapshots.staging import commit, verify

    shelf = Shelf(tmp_path)
    new = staged(shelf, "papers", [document("a.txt")])
    verify(new)
    with pytest.raises(ConnectionError):
        commit(new, still_owner=mock.Mock(side_effect=[True, ConnectionError("away")]))
    assert litter(shelf, "papers") == []
    assert shelf.collections() == []


@in_own_process
def test_a_history_that_cannot_be_written_does_not_undo_what_was_published(tmp_path: Path) -> None:
    from tasks.snapshots import history
    from tasks.snapshots.staging import commit, verify

    shelf = Shelf(tmp_path)
    new = staged(shelf, "papers", [document("a.txt")])
    verify(new)
    with mock.patch.object(history, "append", side_effect=OSError(errno.ENOSPC, "No space left on device")):
        row = commit(new, still_owner=lambda: True)
    assert (row.version, row.current) == ("000001", True)
    assert [found.version for found in shelf.snapshots("papers")] == ["000001"]


@in_own_process
def test_a_disk_that_takes_no_more_is_told_at_every_step_and_leaves_the_old_version(tmp_path: Path) -> None:
    # A limit on the size of a file gives EFBIG where a full disk gives ENOSPC, and needs no mount.
    from tasks.snapshots.staging import commit, verify

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document(f"{index}.txt", 40) for index in range(60)])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    refused = []
    for limit in (0, 100, 1_000, 2_000, 4_000, 8_000, 40_000, 160_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            new = staged(shelf, "papers", [document("new.txt", 900)])
            verify(new)
            commit(new, still_owner=lambda: True)
        except DataUnwritable as error:
            refused.append(str(error))
            assert shelf.current("papers") == "000001"
            assert litter(shelf, "papers") == []
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    sentence = f"The folder {tmp_path} cannot be written (File too large); free space or set"
    assert len(refused) == 7, "the last limit leaves room"
    assert all(told.startswith(sentence) for told in refused)
    assert held(shelf, "papers")["new.txt"] == 900


@in_own_process
def test_documents_can_be_removed_with_or_without_others_being_added(tmp_path: Path) -> None:
    shelf, steps = Shelf(tmp_path), list[str]()
    publish(shelf, "papers", [document(name, 2) for name in [*ODD_NAMES, "innocent", "replaced"]])

    given = [document("new.txt", 1), document("replaced", 3, text="new")]
    publish(shelf, "papers", given, remove=[*ODD_NAMES, "replaced", "never there"], step=steps.append)
    assert held(shelf, "papers") == {"innocent": 2, "new.txt": 1, "replaced": 3}
    assert [entry.name for entry in shelf.documents("papers", "000002")] == ["innocent", "new.txt", "replaced"]
    assert steps.count("rows removed") == 1

    publish(shelf, "papers", [], remove={"new.txt"})
    assert held(shelf, "papers") == {"innocent": 2, "replaced": 3}
    publish(shelf, "papers", [], remove={"innocent", "replaced"})
    assert held(shelf, "papers") == {}
    found = shelf.manifest("papers", "000004")
    assert (found.documents, found.chunks, found.base) == (0, 0, "000003")
    publish(shelf, "papers", [document("again.txt", 2)])
    assert held(shelf, "papers") == {"again.txt": 2}
    assert held(shelf, "papers", "000001")["innocent"] == 2


@in_own_process
def test_removing_nothing_that_is_there_is_no_snapshot(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt")])
    with pytest.raises(SnapshotInvalid, match="no document"):
        staged(shelf, "papers", [], remove=["b.txt"])
    assert litter(shelf, "papers") == []


@in_own_process
def test_verification_finds_rows_of_a_document_that_was_removed(tmp_path: Path) -> None:
    from tasks.snapshots import table
    from tasks.snapshots.staging import verify

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 5), document("b.txt", 5)])
    with mock.patch.object(table, "of_documents", return_value="document = 'b.txt'"):  # the wrong rows go
        new = staged(shelf, "papers", [], remove=["a.txt"])
    with pytest.raises(SnapshotInvalid, match="5 chunks of documents that were removed"):
        verify(new)


@in_own_process
def test_the_recipe_of_each_document_is_noted(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt"), document("b.txt")], recipe="one")
    publish(shelf, "papers", [document("b.txt")], recipe="two")
    assert {entry.name: entry.recipe for entry in shelf.documents("papers", "000002")} == {
        "a.txt": "one",
        "b.txt": "two",
    }


def indexes(folder: Path) -> dict[str, str]:
    from tasks.snapshots.indexing import found
    from tasks.snapshots.table import open_table

    return {column: str(index.index_uuid) for column, index in found(open_table(folder)).items()}


@in_own_process
def test_indexes_are_shared_with_the_base_until_too_much_is_unknown_to_them(tmp_path: Path) -> None:
    from tasks.snapshots import indexing

    shelf = Shelf(tmp_path)
    folders = [shelf.path("papers", f"00000{number}") for number in range(4)]
    with mock.patch.multiple(indexing, VECTOR_ROWS=500, TEXT_BEHIND=100):
        publish(shelf, "papers", [document("a.txt", 600)])
        publish(shelf, "papers", [document("b.txt", 50)])
        publish(shelf, "papers", [document("c.txt", 70)])
    first, second, third = (indexes(folder) for folder in folders[1:])
    assert first.keys() == {"text", "vector"}
    assert second == first
    assert all(third[column] != first[column] for column in first)
    kept = {path.name for path in (folders[3] / "chunks.lance" / "_indices").iterdir()}
    assert kept == set(third.values()), "the files of replaced indexes went"
    for folder in folders[1:3]:
        for path in durable.files(folder / "chunks.lance" / "_indices"):
            assert path.stat().st_nlink == 2, "linked, not written again"


@in_own_process
def test_no_index_lives_on_without_a_row_that_it_knows(tmp_path: Path) -> None:
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 5, text="apple")])
    publish(shelf, "papers", [document("b.txt", 5, text="pear")], remove=["a.txt"])
    for query, expected in (("apple", 0), ("pear", 5)):
        assert len(search(shelf, "papers", [1.0] * 8, query=query, mode="text")) == expected


@in_own_process
def test_indexes_survive_that_the_table_is_rewritten(tmp_path: Path) -> None:
    from tasks.snapshots import indexing, staging
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    with mock.patch.object(staging, "FRAGMENTS_MAX", 2), mock.patch.object(indexing, "VECTOR_ROWS", 300):
        for name in ("a", "b", "c", "d", "e"):
            publish(shelf, "papers", [document(f"{name}.txt", 300, text=f"word{name}")], job=name)
    for name in ("a", "b", "c", "d", "e"):
        hits = search(shelf, "papers", [1.0] * 8, query=f"word{name}", mode="text")
        assert {hit.document for hit in hits} == {f"{name}.txt"}
    assert len(search(shelf, "papers", [1.0] * 8, k=100)) == 100


@in_own_process
def test_a_cancel_while_an_index_is_made_leaves_nothing(tmp_path: Path) -> None:
    from tasks.snapshots import indexing

    shelf = Shelf(tmp_path)
    rows_written = False

    def step(name: str) -> None:
        nonlocal rows_written
        rows_written |= name == "table tidied"

    def checkpoint() -> None:
        if rows_written:
            raise Canceled(job="job1")

    with mock.patch.object(indexing, "POLL_S", 0.001), pytest.raises(Canceled):
        staged(shelf, "papers", [document("a.txt", 20_000, text="many words " * 20)], step=step, checkpoint=checkpoint)
    assert litter(shelf, "papers") == []


@in_own_process
def test_verification_finds_an_index_that_cannot_be_read(tmp_path: Path) -> None:
    from tasks.snapshots.staging import verify

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 50)])
    new = staged(shelf, "papers", [document("b.txt", 2)])
    for path in durable.files(new.folder / "chunks.lance" / "_indices"):
        path.unlink()
    with pytest.raises(SnapshotInvalid, match="index does not answer"):
        verify(new)
    assert litter(shelf, "papers") == []


@in_own_process
def test_an_artifact_without_chunks_is_a_document_without_chunks(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("empty.txt", 0), document("a.txt", 1)])
    assert [(entry.name, entry.chunks) for entry in shelf.documents("papers", "000001")] == [
        ("a.txt", 1),
        ("empty.txt", 0),
    ]


@in_own_process
def test_a_fresh_snapshot_takes_nothing_over_and_may_have_another_embedder(tmp_path: Path) -> None:
    shelf, steps = Shelf(tmp_path), list[str]()
    publish(shelf, "papers", [document("a.txt"), document("b.txt")])
    given = {"embedder": "other-4", "dimension": 4, "fresh": True}
    assert publish(shelf, "papers", [document("b.txt", 5, dimension=4)], step=steps.append, **given) == "000002"
    assert held(shelf, "papers") == {"b.txt": 5}
    assert held(shelf, "papers", "000001") == {"a.txt": 3, "b.txt": 3}
    found = shelf.manifest("papers", "000002")
    assert (found.base, found.embedder, found.dimension, found.documents) == ("000001", "other-4", 4, 1)
    assert found.written_bytes == found.size_bytes
    assert "base linked" not in steps
