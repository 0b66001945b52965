"""Spoiled files through the reader that workers use: text or a sentence, never an error of another kind, never a hang.

`make fuzz` runs the same for long and prints what it tried.
"""

from __future__ import annotations

import faulthandler
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tasks.errors import DocumentFailed, ReaderLost
from tasks.ingest.reader import Reader
from tasks.ingest.reading import Limits
from tests.fuzz import seeds
from tests.fuzz.outcomes import CASES, tried

LIMITS = Limits(deadline_s=20, silence_s=10, memory_mb=384)


@pytest.fixture(scope="module")
def reading() -> Iterator[Reader]:
    on = faulthandler.is_enabled()
    faulthandler.disable()  # a crash of the child is counted, not printed
    with Reader(LIMITS, lambda: None) as reader:
        yield reader
    if on:
        faulthandler.enable()


def outcome(reader: Reader, path: Path, name: str) -> str:
    """How the reading of a file ended: text, a sentence, or what became of its reader."""
    try:
        for portion in reader.portions(path, name, ocr="off"):
            for part in portion.documents:
                part.text.encode("utf-8")  # a lone surrogate would fail later, in the middle of a job
    except DocumentFailed as error:
        said, became = str(error), "a sentence"
    except ReaderLost as error:
        said, became = str(error), f"its reader was lost: it {error.data['what']}"
    else:
        return "text"
    assert said.endswith(".")
    assert str(path) not in said
    return became


@given(file=seeds.spoiled())
@settings(max_examples=CASES, database=None, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_spoiled_file_gives_text_or_a_sentence(reading: Reader, file: tuple[str, bytes]) -> None:
    name, body = file
    with tempfile.NamedTemporaryFile() as upload:
        upload.write(body)
        upload.flush()
        began = time.monotonic()
        found = outcome(reading, Path(upload.name), name)
    tried[f"files: {found}"] += 1
    # What a parser of another's makes crash costs its document only; one that hangs would cost a worker's time.
    assert "no progress" not in found, found
    assert "took longer" not in found, found
    assert "crash (code" not in found, f"an error of ours: {found}"
    assert time.monotonic() - began < LIMITS.deadline_s
