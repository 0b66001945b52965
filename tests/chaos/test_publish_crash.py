"""A publish whose process is killed (-9) at every step: the old version is served or the new one is wholly there."""

from __future__ import annotations

import os
import signal
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.snapshots import Shelf
from tests.own_process import call
from tests.snapshot_factories import document, held, litter, publish, staged

OLD = {"a.txt": 3, "b.txt": 2}
NEW = {"a.txt": 4, "b.txt": 2, "c.txt": 1}

# What a publish on top of another goes through; a test holds this list against a publish that runs to its end.
STEPS = (
    "folder made",
    "base linked",
    "rows deleted",
    "rows added",
    "table tidied",
    "text index made",
    "indexes kept",
    "documents written",
    "manifest written",
    "files synced",
    "version renamed",
    "owner checked",
    "pointer written",
    "pointer moved",
    "history written",
)
FIRST_STEPS = tuple("table created" if step == "base linked" else step for step in STEPS if step != "rows deleted")
PUBLISHED = ("pointer moved", "history written")


def killer(die_at: str, steps: Path | None) -> Callable[[str], None]:
    def step(name: str) -> None:
        if steps:
            with steps.open("a") as out:
                out.write(f"{name}\n")
        if name == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


def publish_old(data: Path) -> None:
    publish(Shelf(data), "papers", [document("a.txt", 3), document("b.txt", 2)], job="old")


def publish_new(data: Path, die_at: str = "", steps: Path | None = None) -> None:
    given = [document("a.txt", 4, text="new"), document("c.txt", 1)]
    publish(Shelf(data), "papers", given, job="new", step=killer(die_at, steps))


def check(data: Path, expected: dict[str, int], versions: list[str]) -> None:
    """The collection as a reader finds it: wholly one version or the other."""
    from tasks.snapshots.search import search

    shelf = Shelf(data)
    assert [row.version for row in shelf.snapshots("papers")] == versions
    if not expected:
        assert shelf.collections() == []
        return
    assert held(shelf, "papers") == expected
    current = shelf.current("papers")
    assert current is not None
    found = shelf.manifest("papers", current)
    assert (found.documents, found.chunks) == (len(expected), sum(expected.values()))
    assert {entry.name: entry.chunks for entry in shelf.documents("papers", current)} == expected
    assert {hit.document for hit in search(shelf, "papers", [1.0] * 8, k=100)} == set(expected)


def run(function: object, *args: object) -> None:
    assert callable(function)
    assert call(function, *args) == 0


def test_the_steps_are_those_of_a_publish(tmp_path: Path) -> None:
    data, first, second = tmp_path / "data", tmp_path / "first", tmp_path / "second"
    run(publish_new, data, "", first)
    run(publish_new, data, "", second)
    assert tuple(first.read_text().splitlines()) == FIRST_STEPS
    assert tuple(second.read_text().splitlines()) == STEPS


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_serves_the_old_version_or_the_whole_new_one(tmp_path: Path, step: str) -> None:
    shelf = Shelf(tmp_path)
    run(publish_old, tmp_path)

    assert call(publish_new, tmp_path, step) == -signal.SIGKILL

    expected, versions = (NEW, ["000002", "000001"]) if step in PUBLISHED else (OLD, ["000001"])
    run(check, tmp_path, expected, versions)
    made = shelf.published_by("papers", "new", 1)
    assert (made is not None) == (step in PUBLISHED)

    shelf.recover("papers", keep_jobs=())
    assert litter(shelf, "papers") == []
    run(check, tmp_path, expected, versions)
    assert shelf.recover("papers", keep_jobs=()) == []

    run(publish_new, tmp_path)
    newest = f"{len(versions) + 1:06d}"
    run(check, tmp_path, NEW, [newest, *versions])
    assert litter(shelf, "papers") == []


@pytest.mark.parametrize("step", FIRST_STEPS)
def test_a_kill_in_the_first_publish_leaves_no_collection_or_a_whole_one(tmp_path: Path, step: str) -> None:
    shelf = Shelf(tmp_path)
    assert call(publish_new, tmp_path, step) == -signal.SIGKILL

    whole = {"a.txt": 4, "c.txt": 1}
    expected, versions = (whole, ["000001"]) if step in PUBLISHED else ({}, [])
    run(check, tmp_path, expected, versions)
    shelf.recover("papers", keep_jobs=())
    assert litter(shelf, "papers") == []
    run(check, tmp_path, expected, versions)

    run(publish_new, tmp_path)
    run(check, tmp_path, whole, [f"{len(versions) + 1:06d}", *versions])


@pytest.mark.parametrize("step", STEPS)
def test_without_recovery_the_next_publish_still_serves_the_right_version(tmp_path: Path, step: str) -> None:
    run(publish_old, tmp_path)
    assert call(publish_new, tmp_path, step) == -signal.SIGKILL
    run(publish_new, tmp_path)

    shelf = Shelf(tmp_path)
    shelf.recover("papers", keep_jobs=())
    before = ["000002", "000001"] if step in PUBLISHED else ["000001"]
    newest = "000003" if step in (*PUBLISHED, "version renamed", "owner checked", "pointer written") else "000002"
    run(check, tmp_path, NEW, [newest, *before])
    assert litter(shelf, "papers") == []


@pytest.mark.parametrize("step", PUBLISHED)
def test_a_roll_back_right_after_a_crash_at_the_commit_keeps_the_new_version(tmp_path: Path, step: str) -> None:
    run(publish_old, tmp_path)
    assert call(publish_new, tmp_path, step) == -signal.SIGKILL
    shelf = Shelf(tmp_path)
    shelf.move_current("papers", "000001")
    shelf.recover("papers", keep_jobs=())
    run(check, tmp_path, OLD, ["000002", "000001"])


def test_a_publisher_that_dies_holding_the_collection_leaves_it_free(tmp_path: Path) -> None:
    run(publish_old, tmp_path)
    shelf = Shelf(tmp_path)
    assert call(publish_new, tmp_path, "owner checked") == -signal.SIGKILL
    started = time.monotonic()
    shelf.move_current("papers", "000001")
    assert shelf.recover("papers", keep_jobs=()) == ["000002"]
    assert time.monotonic() - started < 5


# Removing, holding, releasing, pruning and exporting: each is killed at each of its steps.


def remove_b(data: Path, die_at: str = "", steps: Path | None = None) -> None:
    publish(Shelf(data), "papers", [], remove=["b.txt"], job="new", step=killer(die_at, steps))


REMOVE_STEPS = tuple("rows removed" if step == "rows deleted" else step for step in STEPS if step != "rows added")
REMOVE_STEPS = tuple(step for step in REMOVE_STEPS if step != "text index made")


@pytest.mark.parametrize("step", REMOVE_STEPS)
def test_a_kill_while_documents_are_removed_keeps_all_or_removes_all(tmp_path: Path, step: str) -> None:
    shelf = Shelf(tmp_path)
    run(publish_old, tmp_path)
    assert call(remove_b, tmp_path, step) == -signal.SIGKILL
    expected, versions = ({"a.txt": 3}, ["000002", "000001"]) if step in PUBLISHED else (OLD, ["000001"])
    run(check, tmp_path, expected, versions)
    shelf.recover("papers", keep_jobs=())
    assert litter(shelf, "papers") == []
    run(check, tmp_path, expected, versions)


def hold_new(data: Path, die_at: str = "", steps: Path | None = None) -> None:
    from tasks.snapshots.holding import keep
    from tasks.snapshots.staging import verify

    new = staged(Shelf(data), "papers", [document("a.txt", 4, text="new"), document("c.txt", 1)], job="new")
    verify(new)
    keep(new, step=killer(die_at, steps))


def release_new(data: Path, die_at: str = "", steps: Path | None = None) -> None:
    from tasks.snapshots.holding import publish_held

    publish_held(Shelf(data), "papers", "new", still_owner=lambda: True, step=killer(die_at, steps))


HOLD_STEPS = ("held files synced", "older one moved away", "held")


@pytest.mark.parametrize("step", HOLD_STEPS)
def test_a_kill_while_a_snapshot_is_put_aside_holds_it_whole_or_not_at_all(tmp_path: Path, step: str) -> None:
    shelf = Shelf(tmp_path)
    run(publish_old, tmp_path)
    run(hold_new, tmp_path)
    assert call(hold_new, tmp_path, step) == -signal.SIGKILL
    shelf.recover("papers", keep_jobs=())
    there = step != "older one moved away"
    assert litter(shelf, "papers") == (["_held-new"] if there else [])
    run(check, tmp_path, OLD, ["000001"])
    run(hold_new, tmp_path)
    run(release_new, tmp_path)
    run(check, tmp_path, NEW, ["000002", "000001"])
    assert litter(shelf, "papers") == []


RELEASE_STEPS = ("held one linked", "verified", *STEPS[STEPS.index("manifest written") :])
AGAIN_STEPS = (*STEPS[: STEPS.index("manifest written")], *RELEASE_STEPS[1:])


@pytest.mark.parametrize("step", RELEASE_STEPS)
def test_a_kill_while_a_held_snapshot_is_published_loses_nothing(tmp_path: Path, step: str) -> None:
    shelf = Shelf(tmp_path)
    run(publish_old, tmp_path)
    run(hold_new, tmp_path)
    assert call(release_new, tmp_path, step) == -signal.SIGKILL
    expected, versions = (NEW, ["000002", "000001"]) if step in PUBLISHED else (OLD, ["000001"])
    run(check, tmp_path, expected, versions)
    shelf.recover("papers", keep_jobs=())
    assert litter(shelf, "papers") == ["_held-new"]
    run(release_new, tmp_path)
    run(check, tmp_path, NEW, ["000002", "000001"])
    assert litter(shelf, "papers") == []


def publish_between(data: Path) -> None:
    publish(Shelf(data), "papers", [document("d.txt", 2)], job="between")


@pytest.mark.parametrize("step", AGAIN_STEPS)
def test_a_kill_while_a_held_snapshot_is_staged_again_loses_nothing(tmp_path: Path, step: str) -> None:
    shelf = Shelf(tmp_path)
    run(publish_old, tmp_path)
    run(hold_new, tmp_path)
    run(publish_between, tmp_path)
    assert call(release_new, tmp_path, step) == -signal.SIGKILL
    before = ["000003", "000002", "000001"] if step in PUBLISHED else ["000002", "000001"]
    run(check, tmp_path, {**(NEW if step in PUBLISHED else OLD), "d.txt": 2}, before)
    shelf.recover("papers", keep_jobs=())
    assert litter(shelf, "papers") == ["_held-new"]
    run(release_new, tmp_path)
    run(check, tmp_path, {**NEW, "d.txt": 2}, ["000003", "000002", "000001"])
    assert litter(shelf, "papers") == []


def prune_old(data: Path, die_at: str = "", steps: Path | None = None) -> None:
    from tasks.snapshots.prune import prune

    prune(Shelf(data), "papers", keep_last=1, step=killer(die_at, steps))


PRUNE_STEPS = ("version renamed away", "history written", "version removed")


@pytest.mark.parametrize("step", PRUNE_STEPS)
def test_a_kill_while_versions_are_pruned_leaves_each_whole_or_gone(tmp_path: Path, step: str) -> None:
    shelf = Shelf(tmp_path)
    run(publish_old, tmp_path)
    run(publish_between, tmp_path)
    run(publish_new, tmp_path)
    assert call(prune_old, tmp_path, step) == -signal.SIGKILL
    left = ["000003", "000002"] if step == "version renamed away" else ["000003"]
    run(check, tmp_path, {**NEW, "d.txt": 2}, left)
    shelf.recover("papers", keep_jobs=())
    assert litter(shelf, "papers") == []
    run(prune_old, tmp_path)
    run(check, tmp_path, {**NEW, "d.txt": 2}, ["000003"])
    run(publish_old, tmp_path)
    assert shelf.current("papers") == "000004"


def export_to(data: Path, target: Path, die_at: str = "", steps: Path | None = None) -> None:
    from tasks.snapshots.export import export

    export(Shelf(data), "papers", target, format="zip", step=killer(die_at, steps))


EXPORT_STEPS = ("export written", "export renamed")


@pytest.mark.parametrize("step", EXPORT_STEPS)
def test_a_kill_while_a_snapshot_is_exported_leaves_no_half_file_under_its_name(tmp_path: Path, step: str) -> None:
    data, target = tmp_path / "data", tmp_path / "out.zip"
    run(publish_old, data)
    assert call(export_to, data, target, step) == -signal.SIGKILL
    assert target.exists() == (step == "export renamed")
    run(export_to, data, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out.zip"]
    with zipfile.ZipFile(target) as found:
        assert found.testzip() is None


def test_the_steps_are_those_of_each_operation(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run(publish_old, data)
    run(hold_new, data)
    noted = {name: tmp_path / name for name in ("hold", "again", "release", "remove", "prune", "export")}
    run(hold_new, data, "", noted["hold"])
    run(release_new, data, "", noted["release"])
    moved = tmp_path / "moved"
    run(publish_old, moved)
    run(hold_new, moved)
    run(publish_between, moved)
    run(release_new, moved, "", noted["again"])
    run(publish_old, tmp_path / "removing")
    run(remove_b, tmp_path / "removing", "", noted["remove"])
    run(prune_old, data, "", noted["prune"])
    run(export_to, data, tmp_path / "out.zip", "", noted["export"])
    done = {name: tuple(path.read_text().splitlines()) for name, path in noted.items()}
    assert done["hold"] == HOLD_STEPS
    assert done["release"] == RELEASE_STEPS
    assert done["again"] == AGAIN_STEPS
    assert done["remove"] == REMOVE_STEPS
    assert tuple(dict.fromkeys(done["prune"])) == PRUNE_STEPS
    assert done["export"] == EXPORT_STEPS
