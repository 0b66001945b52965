"""Reading as the tests of loading do it: the whole text of a file, its pages, or the sentence that it failed with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import DocumentFailed
from tasks.ingest import load

Put = Callable[[bytes | str], Path]


def text_of(path: Path, name: str, ocr: str = "auto") -> str:
    return "".join(document.text for portion in load.read(path, name, ocr=ocr) for document in portion.documents)


def pages_of(path: Path, name: str, ocr: str = "auto") -> list[tuple[int | None, str]]:
    """The pages that hold something, with their numbers."""
    return [
        (document.metadata.get("page"), document.text)
        for portion in load.read(path, name, ocr=ocr)
        for document in portion.documents
    ]


def reason(path: Path, name: str, ocr: str = "auto") -> str:
    with pytest.raises(DocumentFailed) as failure:
        list(load.read(path, name, ocr=ocr))
    sentence = str(failure.value)
    assert sentence.endswith(".")
    assert str(path) not in sentence
    return sentence
