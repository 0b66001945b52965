"""A publish whose process is killed (-9) at every step: the old version is served or the new one is wholly there."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tasks.snapshots import Shelf
from tests.own_process import call
from tests.snapshot_factories import document, held, litter, publish

OLD = {"a.txt": 3, "b.txt": 2}
NEW = {"a.txt": 4, "b.txt": 2, "c.txt": 1}

# What a publish on top of another goes through; a test holds this list against a publish that runs to its end.
STEPS = (
    "folder made",
    "base linked",
    "rows deleted",
    "rows added",
    "table tidied",
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


def publish_old(data: Path) -> None:
    publish(Shelf(data), "papers", [document("a.txt", 3), document("b.txt", 2)], job="old")


def publish_new(data: Path, die_at: str = "", steps: Path | None = None) -> None:
    def step(name: str) -> None:
        if steps:
            with steps.open("a") as out:
                out.write(f"{name}\n")
        if name == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    publish(Shelf(data), "papers", [document("a.txt", 4, text="new"), document("c.txt", 1)], job="new", step=step)


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
