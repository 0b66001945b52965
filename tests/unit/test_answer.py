"""Search for the pages: the nearest passages, or one sentence why there are none."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks import settings as settings_of
from tasks.errors import (
    CollectionNameRefused,
    CollectionNotFound,
    EmbedderMismatch,
    HeldNotFound,
    QueryRefused,
    SnapshotNotFound,
)
from tasks.ingest.answer import answer, serve
from tasks.ingest.embed import embed, fingerprint, load_embedder
from tasks.settings import Settings
from tests.own_process import call, in_own_process

PASSAGES = {
    "port.txt": "The harbour is deep enough for large ships and tankers.",
    "soup.txt": "Boil the carrots, add salt and pepper, and serve the soup hot.",
    "law.txt": "The tenant shall pay the rent on the first day of each month.",
}


def publish(data: Path, embedder: str = "", *, held: bool = False) -> None:
    """A collection `demo` of three documents in the data folder; held back by a gate, if so."""
    from tasks.snapshots.holding import keep
    from tasks.snapshots.shelf import Shelf
    from tasks.snapshots.staging import StagedDocument, commit, stage, verify

    settings = settings_of.read(data=data)
    vectors = embed(load_embedder(settings), list(PASSAGES.values()))
    documents = [
        StagedDocument(
            name,
            f"{number:064x}",
            pa.table(
                {
                    "position": pa.array([0], pa.int32()),
                    "page": pa.array([number], pa.int32()),
                    "text": pa.array([text], pa.string()),
                    "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors[number]), 256),
                }
            ),
        )
        for number, (name, text) in enumerate(PASSAGES.items())
    ]
    staged = stage(
        Shelf(data),
        "demo",
        job="j1",
        attempt=1,
        owner="ana",
        recipe="r",
        embedder=embedder or fingerprint(settings),
        dimension=256,
        documents=documents,
        checkpoint=lambda: None,
    )
    verify(staged)
    if held:
        keep(staged, reason="it was held")
    else:
        commit(staged, still_owner=lambda: True)


def published(tmp_path: Path) -> Settings:
    publish(tmp_path)
    return settings_of.read(data=tmp_path)


@in_own_process
def test_the_nearest_passage_comes_first_with_where_it_stands(tmp_path: Path) -> None:
    found = answer(published(tmp_path), "demo", "can a tanker dock at the harbour?", 2)
    assert (found.version, len(found.hits)) == ("000001", 2)
    first = found.hits[0]
    assert (first.document, first.text, first.chunk, first.page) == ("port.txt", PASSAGES["port.txt"], 0, 0)
    assert 1 >= first.score > found.hits[1].score


@in_own_process
def test_a_version_can_be_named(tmp_path: Path) -> None:
    settings = published(tmp_path)
    publish(tmp_path)
    assert answer(settings, "demo", "soup").version == "000002"
    assert answer(settings, "demo", "soup", version="000001").version == "000001"
    with pytest.raises(SnapshotNotFound):
        answer(settings, "demo", "soup", version="000009")


@in_own_process
def test_what_a_gate_held_back_is_searched_by_its_job(tmp_path: Path) -> None:
    settings = settings_of.read(data=tmp_path)
    publish(tmp_path, held=True)
    found = answer(settings, "demo", "soup", 1, held="j1")
    assert (found.version, found.hits[0].document) == ("j1", "soup.txt")
    with pytest.raises(CollectionNotFound):
        answer(settings, "demo", "soup")
    with pytest.raises(HeldNotFound):
        answer(settings, "demo", "soup", held="j2")


@in_own_process
def test_a_query_that_no_vector_comes_from_says_so(tmp_path: Path) -> None:
    settings = published(tmp_path)
    for query, said in (("", "empty"), ("  \n", "empty"), ("x" * 20_000, "longer than")):
        with pytest.raises(QueryRefused, match=said):
            answer(settings, "demo", query)


@in_own_process
def test_a_snapshot_of_another_embedder_says_so(tmp_path: Path) -> None:
    publish(tmp_path, embedder="other-embedder")
    with pytest.raises(EmbedderMismatch, match="other-embedder"):
        answer(settings_of.read(data=tmp_path), "demo", "soup")


@in_own_process
def test_a_collection_that_is_not_there_says_so(tmp_path: Path) -> None:
    settings = settings_of.read(data=tmp_path)
    with pytest.raises(CollectionNotFound):
        answer(settings, "nothing", "soup")
    with pytest.raises(CollectionNameRefused):
        answer(settings, "../demo", "soup")


def replies(settings: Settings, *lines: object) -> list[dict[str, Any]]:
    out = io.StringIO()
    serve(settings, [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines], out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


@in_own_process
def test_each_request_is_answered_under_its_id_and_a_bad_one_stops_nothing(tmp_path: Path) -> None:
    first, *answers = replies(
        published(tmp_path),
        {"id": 1, "collection": "nothing", "query": "soup", "k": 1, "version": None},
        b"{no json",
        {"id": 3, "query": 5},
        b"\n",
        {"id": 4, "collection": "demo", "query": "soup", "k": 1, "version": None},
    )
    assert first == {"ready": True}
    assert [found["id"] for found in answers] == [1, None, 3, 4]
    assert "has no published snapshot" in answers[0]["error"]
    assert "not valid" in answers[1]["error"]
    assert "not valid" in answers[2]["error"]
    assert set(answers[3]) == {"id", "hits", "version", "took_ms"}
    (hit,) = answers[3]["hits"]
    assert set(hit) == {"document", "score", "text", "chunk", "page", "sha256"}
    assert hit["document"] == "soup.txt"


@in_own_process
def test_an_embedder_that_cannot_be_loaded_is_told_to_who_asks(tmp_path: Path) -> None:
    settings = settings_of.read(data=tmp_path, embedder="no.such.Embedder")
    publish(tmp_path, embedder=settings.embedder_fingerprint)
    ready, told = replies(settings, {"id": 1, "collection": "demo", "query": "soup"})
    assert ready == {"ready": True}
    assert "no.such.Embedder cannot be loaded" in told["error"]


def test_the_program_answers_lines_and_ends_with_its_stdin(tmp_path: Path) -> None:
    assert call(publish, tmp_path) == 0
    environment = {**os.environ, "INGESTBOARD_DATA": str(tmp_path), "INGESTBOARD_LOG_LEVEL": "ERROR"}
    with subprocess.Popen(
        [sys.executable, "-m", "tasks.ingest.answer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as program:
        request = json.dumps({"id": "a", "collection": "demo", "query": "rent", "k": 1, "version": None})
        out, complaints = program.communicate(request + "\n", timeout=60)
    ready, found = (json.loads(line) for line in out.splitlines())
    assert ready == {"ready": True}
    assert found["hits"][0]["document"] == "law.txt"
    assert (program.returncode, complaints) == (0, "")
