"""Pruning old versions, and the leases that keep them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tasks.errors import CollectionBusy, SnapshotNotFound
from tasks.snapshots import Shelf, durable, history, leases
from tasks.snapshots.prune import Pruned, prune
from tests.own_process import in_own_process
from tests.snapshot_factories import document, held, lay, litter, publish


def shelf_of(tmp_path: Path, count: int, **fields: Any) -> Shelf:
    shelf = Shelf(tmp_path)
    for number in range(1, count + 1):
        lay(shelf, "papers", f"{number:06d}", **fields)
    return shelf


def versions(shelf: Shelf) -> list[str]:
    return [row.version for row in shelf.snapshots("papers")]


def test_the_newest_are_kept_and_the_rest_goes_on_the_record(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, 5)
    pruned = prune(shelf, "papers", keep_last=2)
    assert pruned.versions == ("000001", "000002", "000003")
    assert pruned.bytes_freed > 3 * len(b"rows")
    assert versions(shelf) == ["000005", "000004"]
    assert [(move.version, move.how) for move in history.moves(shelf.folder("papers"))][-3:] == [
        ("000001", "pruned"),
        ("000002", "pruned"),
        ("000003", "pruned"),
    ]
    assert litter(shelf, "papers") == []
    assert shelf.next_version("papers") == "000006"
    assert prune(shelf, "papers", keep_last=2) == Pruned((), 0, ())
    with pytest.raises(SnapshotNotFound):
        shelf.move_current("papers", "000003")


def test_the_current_version_stays_however_old_it_is(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, 4)
    shelf.move_current("papers", "000001")
    assert prune(shelf, "papers", keep_last=1).versions == ("000002", "000003")
    assert versions(shelf) == ["000004", "000001"]
    assert shelf.current("papers") == "000001"


def test_with_an_age_only_the_older_ones_go(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    now = datetime.now(UTC)
    for number, days in enumerate((30, 9, 3, 0), start=1):
        lay(shelf, "papers", f"{number:06d}", created_at=now - timedelta(days=days))
    assert prune(shelf, "papers", keep_last=1, older_than_days=7).versions == ("000001", "000002")
    assert versions(shelf) == ["000004", "000003"]


def test_a_dry_run_says_what_would_go_and_touches_nothing(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, 3)
    before = durable.marks(shelf.path("papers", "000001")), history.moves(shelf.folder("papers"))
    would = prune(shelf, "papers", keep_last=1, dry_run=True)
    assert would.versions == ("000001", "000002")
    assert (durable.marks(shelf.path("papers", "000001")), history.moves(shelf.folder("papers"))) == before
    assert prune(shelf, "papers", keep_last=1) == would


def test_at_least_one_is_kept_and_nothing_is_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    assert prune(shelf, "papers", keep_last=1) == Pruned((), 0, ())
    assert not shelf.root.exists()
    with pytest.raises(ValueError, match="at least one"):
        prune(shelf, "papers", keep_last=0)


def test_a_version_that_is_read_stays_until_the_reader_is_done(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, 4)
    with shelf.lease("papers", "000002") as folder, shelf.lease("papers", "000002"):
        assert prune(shelf, "papers", keep_last=1) == Pruned(("000001", "000003"), mock.ANY, ("000002",))
        assert folder.is_dir()
    assert prune(shelf, "papers", keep_last=1).versions == ("000002",)
    with pytest.raises(SnapshotNotFound), shelf.lease("papers", "000002"):
        pass
    assert litter(shelf, "papers") == []


def test_a_reader_that_is_killed_gives_its_lease_back(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, 2)
    program = (
        "import sys; from pathlib import Path; from tasks.snapshots import Shelf\n"
        "with Shelf(Path(sys.argv[1])).lease('papers', '000001'): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "held\n"
        assert prune(shelf, "papers", keep_last=1).leased == ("000001",)
        reader.kill()
    assert prune(shelf, "papers", keep_last=1).versions == ("000001",)


def test_a_reader_that_comes_while_a_version_is_taken_away_does_not_find_it(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, 2)
    found: list[str] = []

    def step(name: str) -> None:
        try:
            with shelf.lease("papers", "000001"):
                found.append(name)
        except SnapshotNotFound:
            pass

    prune(shelf, "papers", keep_last=1, step=step)
    assert found == []


def test_without_locks_a_lease_counts_by_its_time(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, 3)
    with mock.patch("fcntl.flock", side_effect=OSError(errno.ENOLCK, "No locks available")):
        with shelf.lease("papers", "000001"):
            pass
        assert prune(shelf, "papers", keep_last=1) == Pruned(("000002",), mock.ANY, ("000001",))
        long_ago = time.time() - leases.UNLOCKED_S - 1
        os.utime(shelf.folder("papers") / leases.FOLDER / "000001", (long_ago, long_ago))
        assert prune(shelf, "papers", keep_last=1).versions == ("000001",)


def test_who_may_only_read_the_folder_reads_without_a_lease(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, 1)
    with (
        mock.patch("os.open", side_effect=OSError(errno.EROFS, "Read-only file system")),
        shelf.lease("papers", "000001") as folder,
    ):
        assert folder.name == "000001"


def test_nothing_is_pruned_while_another_moves_the_pointer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = shelf_of(tmp_path, 3)
    monkeypatch.setattr(durable, "LOCK_WAIT_S", 0.05)
    with shelf.exclusive("papers"), pytest.raises(CollectionBusy):
        prune(shelf, "papers", keep_last=1)
    assert len(versions(shelf)) == 3


@in_own_process
def test_what_is_left_can_be_read_and_only_unshared_bytes_count(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("big.txt", 2000)])
    for number in range(3):
        publish(shelf, "papers", [document("small.txt", 2, text=str(number))], job=f"job{number}")
    size = shelf.manifest("papers", "000001").size_bytes

    def used() -> int:
        found = {(path.stat().st_ino): path.stat().st_size for path in durable.files(shelf.folder("papers"))}
        return sum(found.values())

    before = used()
    pruned = prune(shelf, "papers", keep_last=1)
    assert pruned.versions == ("000001", "000002", "000003")
    assert 0 < pruned.bytes_freed < size / 4, "the big document is shared with what is kept"
    noted = 3 * 200  # lines of HISTORY
    assert before - used() == pytest.approx(pruned.bytes_freed, abs=noted)
    assert held(shelf, "papers") == {"big.txt": 2000, "small.txt": 2}
    publish(shelf, "papers", [document("next.txt", 1)])
    assert held(shelf, "papers")["next.txt"] == 1


@in_own_process
def test_a_base_stays_while_a_snapshot_is_staged_on_it(tmp_path: Path) -> None:
    from tasks.snapshots.staging import commit, verify
    from tests.snapshot_factories import staged

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt")])
    publish(shelf, "papers", [document("b.txt")])
    new = staged(shelf, "papers", [document("c.txt")])
    shelf.move_current("papers", "000001")
    publish(shelf, "papers", [document("d.txt")], job="other")

    assert prune(shelf, "papers", keep_last=1).leased == ("000002",)

    shelf.move_current("papers", "000002")
    verify(new)
    commit(new, still_owner=lambda: True)
    assert prune(shelf, "papers", keep_last=1).versions == ("000002", "000003")
    assert held(shelf, "papers") == {"a.txt": 3, "b.txt": 3, "c.txt": 3}
