"""Searching snapshots, each test in a process of its own (see tests.own_process)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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

    def vanish(path: Path, missing: Any) -> Any:
        table = real(path, missing)
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


def prose(name: str, text: str, vector: Any) -> Any:
    """A document of one chunk with just this text."""
    import pyarrow as pa

    made = document(name, 1, text=text, vector=vector)
    return type(made)(name, made.sha256, made.table.set_column(2, "text", pa.array([text])))


def names(hits: list[Any]) -> list[str]:
    return [hit.document for hit in hits]


@in_own_process
def test_meaning_and_words_are_ranked_together(tmp_path: Path) -> None:
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    documents = [
        prose("both.txt", "The invoice ZX-81 is due.", [0.9, 0.1, 0, 0, 0, 0, 0, 0]),
        prose("near.txt", "Payment terms of all contracts.", axis(0)),
        prose("word.txt", "ZX-81 is an old computer.", axis(3)),
        prose("none.txt", "Soup of carrots.", axis(4)),
    ]
    publish(shelf, "papers", documents)

    hits = search(shelf, "papers", axis(0), query="zx-81", k=4)

    assert names(hits)[:1] == ["both.txt"], "in both lists"
    assert set(names(hits)[1:3]) == {"near.txt", "word.txt"}
    assert {hit.document: hit.score for hit in hits} == pytest.approx(
        {"both.txt": 0.9939, "near.txt": 1.0, "word.txt": 0.0, "none.txt": 0.0}, abs=1e-3
    )
    assert names(search(shelf, "papers", axis(0), k=1)) == ["near.txt"], "without words the vector decides"
    assert set(names(search(shelf, "papers", axis(0), query="zx-81", mode="text"))) == {"both.txt", "word.txt"}
    assert len(search(shelf, "papers", axis(0), query="zx-81", mode="vector")) == 4


@in_own_process
def test_a_hit_for_its_words_alone_has_the_cosine_similarity_of_its_vector(tmp_path: Path) -> None:
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [prose("a.txt", "harbour", [1.0, 1.0, 0, 0, 0, 0, 0, 0])])
    (hit,) = search(shelf, "papers", axis(0), query="harbour", mode="text")
    assert hit.score == pytest.approx(0.7071, abs=1e-4)
    (hit,) = search(shelf, "papers", [float("nan")] * 8, query="harbour")
    assert (hit.document, hit.score) == ("a.txt", 0.0), "words find what the embedder does not know"


@in_own_process
def test_words_are_found_in_any_language_and_whatever_was_published_since_the_index(tmp_path: Path) -> None:
    from tasks.snapshots.indexing import found
    from tasks.snapshots.search import search
    from tasks.snapshots.table import open_table

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("base.txt", 50), prose("ja.txt", "東京の港は深い", axis(1))])
    publish(
        shelf, "papers", [prose("de.txt", "Die Häfen sind tief; siehe anlage.pdf", axis(2)), prose("b", "b", axis(3))]
    )
    text = found(open_table(shelf.path("papers", "000002")))["text"]
    assert (text.num_indexed_rows, text.num_unindexed_rows) == (51, 2), "the index of the base serves on"

    def told(query: str) -> list[str]:
        return names(search(shelf, "papers", axis(0), query=query, mode="text"))

    assert told("港") == ["ja.txt"]
    assert told("hafen häfen") == ["de.txt"]
    assert told("ANLAGE") == ["de.txt"]
    assert len(told("base")) == 10
    assert told("unheard") == []


@in_own_process
def test_no_query_text_ever_raises(tmp_path: Path) -> None:
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 5)])
    odd = [
        '"',
        "'",
        '"a" AND',
        "a OR",
        "NOT",
        "(",
        "a~2",
        "a*",
        "+a -b",
        "text:a",
        "a^9",
        "\\",
        "{}",
        "%",
        "\0",
        "\ud800",
    ]
    for query in [*odd, "", " ", "\u2028", "🦆" * 50, "é" * 10_000, "a " * 5_000, *map(chr, range(0, 0x3000, 61))]:
        for mode in ("hybrid", "text"):
            assert len(search(shelf, "papers", axis(0), query=query, mode=mode)) <= 5


@in_own_process
def test_whatever_is_typed_the_nearest_passages_are_found(tmp_path: Path) -> None:
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 5)])

    @settings(max_examples=100, deadline=None, database=None)
    @given(st.text(max_size=60))
    def check(query: str) -> None:
        assert len(search(shelf, "papers", axis(0), query=query)) == 5

    check()


@in_own_process
def test_a_snapshot_of_before_there_were_indexes_is_searched_by_vector(tmp_path: Path) -> None:
    from tasks.snapshots import indexing
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    with mock.patch.object(indexing, "keep"):
        publish(shelf, "papers", [document("a.txt", 5)])
    assert not (shelf.path("papers", "000001") / "chunks.lance" / "_indices").exists()
    assert len(search(shelf, "papers", axis(0), query="a")) == 5
    assert search(shelf, "papers", axis(0), query="a", mode="text") == []
    publish(shelf, "papers", [document("b.txt", 1)])
    assert len(search(shelf, "papers", axis(0), query="a", mode="text")) == 5, "the next version has them"


@in_own_process
def test_a_vector_index_finds_what_brute_force_finds_with_the_same_scores(tmp_path: Path) -> None:
    from tasks.snapshots import indexing
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("a.txt", 600)])
    with mock.patch.object(indexing, "VECTOR_ROWS", 500):
        publish(shelf, "papers", [document("b.txt", 5)])
    assert search(shelf, "papers", axis(0), k=1) == search(shelf, "papers", axis(0), k=1, version="000002")
    for index in range(8):
        exact = {hit for hit in search(shelf, "papers", axis(index), version="000001") if hit.document == "a.txt"}
        found = search(shelf, "papers", axis(index), k=15)
        assert len({(hit.document, hit.chunk) for hit in exact} - {(hit.document, hit.chunk) for hit in found}) <= 1
        scores = {(hit.document, hit.chunk): hit.score for hit in found}
        assert all(
            scores.get((hit.document, hit.chunk), hit.score) == pytest.approx(hit.score, abs=1e-4) for hit in exact
        )


@in_own_process
def test_a_collection_without_any_chunk_has_no_hits(tmp_path: Path) -> None:
    from tasks.snapshots.search import search

    shelf = Shelf(tmp_path)
    publish(shelf, "papers", [document("empty.txt", 0)])
    assert search(shelf, "papers", axis(0), query="a") == []
