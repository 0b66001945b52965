"""The examples of docs/snapshots.md, run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.own_process import in_own_process
from tests.snapshot_factories import document, publish

PAGE = Path(__file__).resolve().parents[2] / "docs" / "snapshots.md"


def example(name: str) -> str:
    found = re.search(rf"^```python {name}\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert found, f"docs/snapshots.md shows no example {name}"
    return found[1]


def run(name: str, **given: Any) -> dict[str, Any]:
    names = dict(given)
    exec(compile(example(name), f"docs/snapshots.md: {name}", "exec"), names)  # noqa: S102 (our own page)
    return names


@pytest.mark.parametrize("name", ["lancedb", "llama_index"])
def test_an_example_has_five_lines(name: str) -> None:
    assert sum(bool(line.strip()) for line in example(name).splitlines()) == 5


@in_own_process
def test_a_snapshot_opens_in_plain_lancedb_as_the_page_says(tmp_path: Path) -> None:
    from tasks.snapshots import Shelf

    publish(Shelf(tmp_path), "papers", [document("far.txt", 1, vector=-1.0), document("near.txt", 1, vector=1.0)])
    names = run("lancedb", data=tmp_path, vector=[1.0] * 8)
    assert names["nearest"]["document"].tolist() == ["near.txt", "far.txt"]
    told = names["table"].search("near", query_type="fts").limit(5).to_list()
    assert [row["document"] for row in told] == ["near.txt"]


@in_own_process
def test_a_snapshot_is_a_llama_index_retriever_as_the_page_says(tmp_path: Path) -> None:
    from tasks import settings
    from tasks.ingest.embed import embed, load_embedder
    from tasks.snapshots import Shelf

    embedder = load_embedder(settings.read(data=tmp_path))
    texts = {"port.txt": "The harbour is deep enough for tankers.", "soup.txt": "Boil the carrots and add salt."}
    given = [
        document(name, 1, text=text, dimension=256, vector=embed(embedder, [text])[0]) for name, text in texts.items()
    ]
    publish(Shelf(tmp_path), "papers", given, dimension=256)

    names = run("llama_index", data=tmp_path, embedder=embedder)

    assert [name for name, _score, _text in names["found"]] == ["port.txt", "soup.txt"]
    (first, *_rest) = names["retriever"].retrieve("Where can a tanker dock?")
    assert (first.node.ref_doc_id, first.metadata["chunk"]) == ("port.txt", 0)
    assert 0 < first.score <= 1


@in_own_process
def test_a_retriever_only_reads(tmp_path: Path) -> None:
    from llama_index.core.vector_stores.types import MetadataFilters, VectorStoreQuery

    from tasks.ingest.retriever import SnapshotStore

    store = SnapshotStore(data=tmp_path, collection="papers")
    with pytest.raises(NotImplementedError, match="never changes"):
        store.add([])
    with pytest.raises(NotImplementedError, match="never changes"):
        store.delete("a.txt")
    with pytest.raises(NotImplementedError, match="without filters"):
        store.query(VectorStoreQuery(query_embedding=[1.0], filters=MetadataFilters(filters=[])))
    with pytest.raises(ValueError, match="embedding"):
        store.query(VectorStoreQuery())
