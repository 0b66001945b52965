"""Searching snapshots, each test in a process of its own (see tests.own_process)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tasks.errors import CollectionNameRefused, CollectionNotFound, EmbedderMismatch, SnapshotNotFound
from tasks.snapshots import Shelf, durable
from tests.own_process import in_own_process
from tests.snapshot_factories import document, publish


def axis(index: int, *, length: float = 1.0) -> list[float]:
    return [length if position == index else 0.0 for position in range(8)]


@in_own_process
def test_the_nearest_passages_come_first_with_their_cosine_similarity(tmp_path: Path) -> None:
    from tasks.snapshots.search import Hit, search

    shelf = Shelf(tmp_path)
    near = document("near.txt", 1, vector=axis(0, length=7.0))
    half = document("half.txt", 1, vector=[1.0, 1.0, 0, 0, 0, 0, 0, 0])
    publish(shelf, "papers", [document("far.txt", 1, vector=axis(0, length=-2.0)), half, near])

    hits = search(shelf, "papers", axis(0, length=3.0))

    assert [hit.document for hit in hits] == ["near.txt", "half.txt", "far.txt"]
    assert [hit.score for hit in hits] == pytest.approx([1.0, 0.7071, 0.0], abs=1e-4)
    assert hits[0] == Hit("near.txt", hits[0].score, "near.txt 0", 0, None, near.sha256)


@in_own_process
def test_equal_scores_are_always_shown_in_document_order(tmp_path: Path) -> None:
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    for name in ("c.txt", "a.txt", "b.txt"):
        publish(shelf, "papers", [document(name, 2, vector=axis(3))])
    found = [(hit.document, hit.chunk) for hit in search(shelf, "papers", axis(3), k=4)]
    assert found == [("a.txt", 0), ("a.txt", 1), ("b.txt", 0), ("b.txt", 1)]


@in_own_process
def test_how_many_hits_are_given_is_bounded(tmp_path: Path) -> None:
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 250)])
    asked = {k: len(search(shelf, "papers", axis(0), k=k)) for k in (-5, 0, 1, 10, 100, 100_000)}
    assert asked == {-5: 1, 0: 1, 1: 1, 10: 10, 100: 100, 100_000: 100}


@in_own_process
def test_an_old_version_is_searched_by_its_number(tmp_path: Path) -> None:
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 1)])
    publish(shelf, "papers", [document("b.txt", 1)])
    assert {hit.document for hit in search(shelf, "papers", axis(0))} == {"a.txt", "b.txt"}
    assert {hit.document for hit in search(shelf, "papers", axis(0), version="000001")} == {"a.txt"}
    shelf.move_current("papers", "000001")
    assert {hit.document for hit in search(shelf, "papers", axis(0))} == {"a.txt"}


@in_own_process
def test_a_query_without_a_direction_finds_nothing(tmp_path: Path) -> None:
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt")])
    assert search(shelf, "papers", [0.0] * 8) == []
    assert search(shelf, "papers", [float("nan")] * 8) == []


@in_own_process
def test_a_query_of_another_embedder_is_refused(tmp_path: Path) -> None:
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt")])
    with pytest.raises(EmbedderMismatch, match="8 numbers"):
        search(shelf, "papers", [1.0] * 4)


@in_own_process
def test_what_is_not_there_is_said_to_be_not_there(tmp_path: Path) -> None:
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    with pytest.raises(CollectionNotFound):
        search(shelf, "papers", axis(0))
    with pytest.raises(CollectionNameRefused):
        search(shelf, "../papers", axis(0))
    publish(shelf, "papers", [document("a.txt")])
    for version in ("000002", "../000001", "1"):
        with pytest.raises(SnapshotNotFound):
            search(shelf, "papers", axis(0), version=version)


@in_own_process
def test_a_version_that_vanishes_is_not_found_even_if_it_was_open(tmp_path: Path) -> None:
    from tasks.snapshots import search as module
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt")])
    publish(shelf, "papers", [document("b.txt")])
    assert search(shelf, "papers", axis(0), version="000001")
    real = module._table

    def vanish(path: Path, name: str, version: str) -> Any:
        table = real(path, name, version)
        durable.remove(path)
        return table

    with mock.patch.object(module, "_table", vanish), pytest.raises(SnapshotNotFound):
        search(shelf, "papers", axis(0), version="000001")
    with pytest.raises(SnapshotNotFound):
        search(shelf, "papers", axis(0), version="000001")


@in_own_process
def test_tables_stay_open_and_only_so_many_of_them(tmp_path: Path) -> None:
    from tasks.snapshots import search as module
    from tasks.snapshots import table
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    for name in ("one", "two", "three"):
        publish(shelf, name, [document("a.txt")])
    with (
        mock.patch.object(module, "OPEN_MAX", 2),
        mock.patch.object(module, "open_table", wraps=table.open_table) as opened,
    ):
        for name in ("one", "one", "two", "one", "three", "one", "two"):
            search(shelf, name, axis(0))
    assert opened.call_count == 4, "one, two, three, and two again"
    assert len(module._open) == 2
