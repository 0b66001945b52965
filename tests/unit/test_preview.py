"""The chunk preview: what a worker would make of a document, without making it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.errors import DocumentFailed
from tasks.ingest import load, split
from tasks.ingest.preview import preview
from tasks.recipe import Recipe

ROOT = Path(__file__).parents[2]
RECIPE = Recipe(chunk_size=200, chunk_overlap=0)


def test_it_cuts_as_a_worker_would(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(f"Paragraph {at} has a few words of its own." for at in range(50)))
    nodes = [node for portion in load.read(path, "a.txt") for node in split.split(portion.documents, RECIPE)]
    found = preview(path, "a.txt", RECIPE, shown=3)
    assert found.total == len(nodes)
    assert [chunk.text for chunk in found.chunks] == [node.text for node in nodes[:3]]
    assert (found.whole, found.longest <= 200, found.shortest > 0) == (True, True, True)


def test_a_long_document_is_previewed_as_far_as_time_goes(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("Words and words and words.\n" * 200_000)
    found = preview(path, "long.txt", RECIPE, seconds=0.0)
    assert not found.whole
    assert found.total > 0


def test_a_document_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 nothing")
    with pytest.raises(DocumentFailed, match="could not be read as a PDF"):
        preview(tmp_path / "a.pdf", "a.pdf", RECIPE)


@pytest.mark.parametrize(("content", "key"), [(b"Some text.", "chunks"), (b"", "error")])
def test_the_program_answers_in_json(tmp_path: Path, content: bytes, key: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    request = json.dumps({"path": str(path), "name": "a.txt", "recipe": RECIPE.model_dump()})
    done = subprocess.run(
        [sys.executable, "-m", "tasks.ingest.preview"],
        input=request,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=True,
    )
    assert key in json.loads(done.stdout)
