"""Exporting a snapshot to a file, each test in a process of its own (see tests.own_process)."""

from __future__ import annotations

import errno
import json
import zipfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tasks.errors import Canceled, CollectionNotFound, ExportRefused, SnapshotNotFound
from tasks.snapshots import Shelf
from tasks.snapshots.prune import prune
from tests.own_process import in_own_process
from tests.snapshot_factories import document, publish

ODD = "=cmd|' /C'!A0 \u2028 \n \" é 🦆 \0"


def shelf_of(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path / "data")
    publish(shelf, "papers", [document("a.txt", 3), document("odd\n.txt", 1, text=ODD)])
    return shelf


def out_of(tmp_path: Path, name: str) -> Path:
    (tmp_path / "out").mkdir(exist_ok=True)
    return tmp_path / "out" / name


@in_own_process
def test_json_lines_hold_every_chunk_whole(tmp_path: Path) -> None:
    from tasks.snapshots.export import export

    shelf, target = shelf_of(tmp_path), out_of(tmp_path, "papers.jsonl")
    made = export(shelf, "papers", target, format="jsonl")
    rows = [json.loads(line) for line in target.read_text("ascii").splitlines()]
    assert (made.path, made.version, made.chunks, made.size_bytes) == (target, "000001", 4, target.stat().st_size)
    assert [row["document"] for row in rows] == ["a.txt", "a.txt", "a.txt", "odd\n.txt"]
    assert rows[3]["text"] == f"{ODD} 0"
    assert rows[0]["vector"] == pytest.approx(document("a.txt", 3).table["vector"][0].as_py())
    assert set(rows[0]) == {"id", "document", "sha256", "position", "page", "text", "vector", "recipe"}

    export(shelf, "papers", target, format="jsonl", vectors=False)
    assert "vector" not in json.loads(target.read_text("ascii").splitlines()[0])
    assert [path.name for path in target.parent.iterdir()] == ["papers.jsonl"]


@in_own_process
def test_parquet_reads_back_as_the_table(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from tasks.snapshots.export import export
    from tasks.snapshots.table import schema

    shelf, target = shelf_of(tmp_path), out_of(tmp_path, "papers.parquet")
    assert export(shelf, "papers", target, format="parquet").chunks == 4
    found = pq.read_table(target)
    assert found.schema.names == schema(8).names
    assert found["position"].to_pylist() == [0, 1, 2, 0]
    assert found["vector"][0].as_py() == document("a.txt", 3).table["vector"][0].as_py()
    export(shelf, "papers", target, format="parquet", vectors=False)
    assert "vector" not in pq.read_table(target).schema.names


@in_own_process
def test_a_zip_holds_the_lines_and_what_the_snapshot_says_of_itself(tmp_path: Path) -> None:
    from tasks.snapshots.export import export

    shelf, target = shelf_of(tmp_path), out_of(tmp_path, "papers.zip")
    publish(shelf, "papers", [document("later.txt")])
    export(shelf, "papers", target, format="zip", version="000001")
    with zipfile.ZipFile(target) as found:
        assert found.testzip() is None
        assert found.namelist() == ["manifest.json", "documents.jsonl", "chunks.jsonl"]
        assert json.loads(found.read("manifest.json"))["version"] == "000001"
        assert len(found.read("documents.jsonl").splitlines()) == 2
        assert len(found.read("chunks.jsonl").splitlines()) == 4


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "zip"])
@in_own_process
def test_it_goes_batch_by_batch_and_a_cancel_leaves_the_old_file(tmp_path: Path, kind: Any) -> None:
    from tasks.snapshots import export as module

    shelf = Shelf(tmp_path / "data")
    publish(shelf, "papers", [document("a.txt", 50)])
    target = out_of(tmp_path, "papers")
    target.write_text("old")
    seen: list[tuple[int, int]] = []

    def checkpoint(done: int, total: int) -> None:
        seen.append((done, total))
        if done >= 20:
            raise Canceled(job="j")

    with mock.patch.object(module, "BATCH_ROWS", 10):
        with pytest.raises(Canceled):
            module.export(shelf, "papers", target, format=kind, checkpoint=checkpoint)
        assert seen == [(0, 50), (10, 50), (20, 50)]
        assert target.read_text() == "old"
        assert [path.name for path in target.parent.iterdir()] == ["papers"]
        assert module.export(shelf, "papers", target, format=kind).chunks == 50


@in_own_process
def test_memory_does_not_grow_with_the_snapshot(tmp_path: Path) -> None:
    import pyarrow as pa

    from tasks.snapshots.export import export

    shelf = Shelf(tmp_path / "data")
    publish(shelf, "papers", [document(f"{n}.txt", 4000, dimension=256) for n in range(10)], dimension=256)
    target = out_of(tmp_path, "papers.parquet")
    most = 0

    def checkpoint(_done: int, _total: int) -> None:
        nonlocal most
        most = max(most, pa.total_allocated_bytes())

    before = pa.total_allocated_bytes()
    export(shelf, "papers", target, format="parquet", checkpoint=checkpoint)
    assert target.stat().st_size > 30e6
    assert most - before < 20e6


@in_own_process
def test_where_it_cannot_be_written_is_said(tmp_path: Path) -> None:
    from tasks.snapshots.export import export

    shelf = shelf_of(tmp_path)
    missing = tmp_path / "missing" / "x.jsonl"
    with pytest.raises(ExportRefused, match=r"x\.jsonl cannot be written \(No such file or directory\)"):
        export(shelf, "papers", missing, format="jsonl")
    folder = out_of(tmp_path, "folder")
    folder.mkdir()
    with pytest.raises(ExportRefused, match="Is a directory"):
        export(shelf, "papers", folder, format="jsonl")
    target = out_of(tmp_path, "full")
    with (
        mock.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "No space left on device")),
        pytest.raises(ExportRefused, match="No space left"),
    ):
        export(shelf, "papers", target, format="jsonl")
    assert sorted(path.name for path in target.parent.iterdir()) == ["folder"]
    with pytest.raises(CollectionNotFound):
        export(shelf, "nothing", target, format="jsonl")
    with pytest.raises(SnapshotNotFound):
        export(shelf, "papers", target, format="jsonl", version="000009")


@in_own_process
def test_what_a_killed_export_left_is_removed_and_a_running_one_is_not(tmp_path: Path) -> None:
    from tasks.snapshots.export import export

    shelf, target = shelf_of(tmp_path), out_of(tmp_path, "pa*[pe]rs.jsonl")
    (target.parent / f".{target.name}.part-dead").write_text("half")
    (target.parent / ".other.jsonl.part-dead").write_text("not ours")

    def checkpoint(done: int, _total: int) -> None:
        if not done:
            export(shelf, "papers", target, format="jsonl")
            assert len(list(target.parent.glob(".pa*"))) == 1, "the one that runs"

    export(shelf, "papers", target, format="jsonl", checkpoint=checkpoint)
    assert sorted(path.name for path in target.parent.iterdir()) == [".other.jsonl.part-dead", target.name]


@in_own_process
def test_a_version_that_is_exported_is_not_pruned(tmp_path: Path) -> None:
    from tasks.snapshots.export import export

    shelf, target = shelf_of(tmp_path), out_of(tmp_path, "papers.jsonl")
    publish(shelf, "papers", [document("b.txt")])
    kept: list[tuple[str, ...]] = []

    def checkpoint(_done: int, _total: int) -> None:
        kept.append(prune(shelf, "papers", keep_last=1).leased)

    export(shelf, "papers", target, format="jsonl", version="000001", checkpoint=checkpoint)
    assert set(kept) == {("000001",)}
    assert prune(shelf, "papers", keep_last=1).versions == ("000001",)
