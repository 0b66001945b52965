"""Snapshots that a gate holds back: looked at, then published or discarded; each test in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.errors import BaseMoved, EmbedderMismatch, Fenced, HeldNotFound
from tasks.snapshots import Shelf
from tasks.snapshots.diff import diff_held
from tasks.snapshots.held import discard_held, held
from tasks.snapshots.prune import prune
from tests.own_process import in_own_process
from tests.snapshot_factories import document, litter, publish, staged
from tests.snapshot_factories import held as contents


def hold(shelf: Shelf, documents: list[Any], *, job: str = "gated", reason: str = "", **given: Any) -> str:
    from tasks.snapshots.holding import keep
    from tasks.snapshots.staging import verify

    new = staged(shelf, "papers", documents, job=job, **given)
    verify(new)
    return keep(new, reason=reason)


def release(shelf: Shelf, job: str = "gated", **given: Any) -> str:
    from tasks.snapshots.holding import publish_held

    return publish_held(shelf, "papers", job, **{"still_owner": lambda: True, **given}).version


@in_own_process
def test_what_is_held_is_listed_and_searched_and_nothing_is_published(tmp_path: Path) -> None:
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 3), document("b.txt", 2)])
    assert hold(shelf, [document("c.txt", 4)], remove=["b.txt"], reason="Only 1 document.", attempt=2) == "_held-gated"

    (row,) = held(shelf, "papers")
    assert (row.job, row.attempt, row.base, row.owner, row.reason) == ("gated", 2, "000001", "ada", "Only 1 document.")
    assert (row.documents, row.chunks, row.brought, row.removed) == (2, 7, 1, 1)
    assert {hit.document for hit in search(shelf, "papers", [1.0] * 8, held="gated")} == {"a.txt", "c.txt"}
    assert {hit.document for hit in search(shelf, "papers", [1.0] * 8, query="c", held="gated", mode="text")} == {
        "c.txt"
    }
    assert {hit.document for hit in search(shelf, "papers", [1.0] * 8)} == {"a.txt", "b.txt"}
    change = diff_held(shelf, "papers", "gated")
    assert [found.name for found in change.added + change.removed] == ["c.txt", "b.txt"]
    assert [row.version for row in shelf.snapshots("papers")] == ["000001"]
    assert shelf.published_by("papers", "gated", 2) is None
    assert shelf.recover("papers", keep_jobs=()) == []
    assert litter(shelf, "papers") == ["_held-gated"]


@in_own_process
def test_on_an_unmoved_collection_it_is_published_as_it_is(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 300)])
    hold(shelf, [document("c.txt", 4)])
    (data,) = set((shelf.held_path("papers", "gated") / "chunks.lance" / "data").iterdir()) - {
        shelf.held_path("papers", "gated") / "chunks.lance" / "data" / path.name
        for path in (shelf.path("papers", "000001") / "chunks.lance" / "data").iterdir()
    }
    number = data.stat().st_ino

    assert release(shelf) == "000002"

    assert contents(shelf, "papers") == {"a.txt": 300, "c.txt": 4}
    assert (shelf.path("papers", "000002") / "chunks.lance" / "data" / data.name).stat().st_ino == number
    found = shelf.manifest("papers", "000002")
    assert (found.version, found.base, found.job, found.chunks) == ("000002", "000001", "gated", 304)
    assert found.written_bytes < found.size_bytes
    assert held(shelf, "papers") == []
    assert litter(shelf, "papers") == []
    with pytest.raises(HeldNotFound):
        release(shelf)


@in_own_process
def test_on_a_collection_that_moved_it_is_staged_again(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 3), document("b.txt", 2)])
    given = [document("big.txt", 9000), document("empty.txt", 0), document("a.txt", 5, text="held")]
    hold(shelf, given, remove=["b.txt"])
    publish(shelf, "papers", [document("other.txt", 6), document("a.txt", 1, text="later")], job="later")

    assert release(shelf) == "000003"

    assert contents(shelf, "papers") == {"a.txt": 5, "big.txt": 9000, "other.txt": 6}
    entries = {entry.name: entry for entry in shelf.documents("papers", "000003")}
    assert entries.keys() == {"a.txt", "big.txt", "empty.txt", "other.txt"}
    assert entries["big.txt"].sha256 == given[0].sha256
    assert shelf.manifest("papers", "000003").base == "000002"
    assert litter(shelf, "papers") == []


@in_own_process
def test_a_first_snapshot_can_be_held_and_published(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    hold(shelf, [document("a.txt", 3)])
    assert shelf.collections() == []
    assert [change.name for change in diff_held(shelf, "papers", "gated").added] == ["a.txt"]
    assert release(shelf) == "000001"
    assert contents(shelf, "papers") == {"a.txt": 3}
    assert litter(shelf, "papers") == []


@in_own_process
def test_what_is_discarded_is_gone_and_can_be_discarded_again(tmp_path: Path) -> None:
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    hold(shelf, [document("a.txt", 3)])
    assert search(shelf, "papers", [1.0] * 8, held="gated")
    discard_held(shelf, "papers", "gated")
    discard_held(shelf, "papers", "gated")
    assert litter(shelf, "papers") == []
    with pytest.raises(HeldNotFound, match="holds no snapshot of job gated back"):
        search(shelf, "papers", [1.0] * 8, held="gated")


@in_own_process
def test_a_later_attempt_takes_the_place_of_what_the_job_held(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    hold(shelf, [document("a.txt", 3)], attempt=1)
    hold(shelf, [document("a.txt", 3), document("b.txt", 2)], attempt=2)
    hold(shelf, [document("c.txt", 1)], job="other")
    assert [(row.job, row.attempt, row.documents) for row in held(shelf, "papers")] == [
        ("other", 1, 1),
        ("gated", 2, 2),
    ]
    assert litter(shelf, "papers") == ["_held-gated", "_held-other"]


@in_own_process
def test_a_publish_that_fails_leaves_what_is_held(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 3)])
    hold(shelf, [document("b.txt", 2)])
    with pytest.raises(Fenced):
        release(shelf, still_owner=lambda: False)

    def move(name: str) -> None:
        if name == "manifest written":
            publish(shelf, "papers", [document("c.txt", 1)], job="faster")

    with pytest.raises(BaseMoved):
        release(shelf, step=move)
    assert litter(shelf, "papers") == ["_held-gated"]
    release(shelf)
    assert contents(shelf, "papers") == {"a.txt": 3, "b.txt": 2, "c.txt": 1}


@in_own_process
def test_a_collection_that_got_another_embedder_meanwhile_does_not_take_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    hold(shelf, [document("b.txt", 2)])
    publish(shelf, "papers", [document("a.txt", 3)], embedder="other-8")
    with pytest.raises(EmbedderMismatch):
        release(shelf)
    assert litter(shelf, "papers") == ["_held-gated"]


@in_own_process
def test_the_base_of_what_is_held_is_not_pruned(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt")])
    hold(shelf, [document("b.txt", 2)])
    publish(shelf, "papers", [document("c.txt")], job="x")
    publish(shelf, "papers", [document("d.txt")], job="y")
    assert prune(shelf, "papers", keep_last=1).versions == ("000002",)
    discard_held(shelf, "papers", "gated")
    assert prune(shelf, "papers", keep_last=1).versions == ("000001",)


@in_own_process
def test_a_damaged_held_snapshot_is_not_listed_and_can_be_discarded(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    hold(shelf, [document("b.txt", 2)])
    (shelf.held_path("papers", "gated") / "held.json").write_text("{")
    assert held(shelf, "papers") == []
    with pytest.raises(HeldNotFound):
        release(shelf)
    discard_held(shelf, "papers", "gated")
    assert litter(shelf, "papers") == []


@in_own_process
def test_one_made_afresh_is_published_unless_the_collection_moved(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 3), document("b.txt", 2)])
    hold(shelf, [document("a.txt", 4, text="anew")], fresh=True)
    publish(shelf, "papers", [document("c.txt", 1)], job="later")
    with pytest.raises(BaseMoved, match="from 000001 to 000002"):
        release(shelf)
    assert litter(shelf, "papers") == ["_held-gated"]
    shelf.move_current("papers", "000001")
    assert release(shelf) == "000003"
    assert contents(shelf, "papers") == {"a.txt": 4}
