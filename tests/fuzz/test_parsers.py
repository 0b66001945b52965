"""Spoiled files through the reader that workers use: text or a sentence, never an error of another kind, never a hang.

`make fuzz` runs the same for long and prints what it tried.
"""

from __future__ import annotations

import faulthandler
import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tasks import archive
from tasks.errors import DocumentFailed, ReaderLost
from tasks.ingest import load
from tasks.ingest.load import SUPPORTED
from tasks.ingest.loading import ocr as recognition
from tasks.ingest.loading.portions import Portion
from tasks.ingest.reader import Reader
from tasks.ingest.reading import Limits
from tasks.submitting import clean_name
from tests.fuzz import seeds
from tests.fuzz.outcomes import CASES, tried

LIMITS = Limits(deadline_s=20, silence_s=10, memory_mb=384)
MANY = settings(max_examples=CASES, database=None, deadline=None, suppress_health_check=list(HealthCheck))


def looking(path: Path, name: str, *, ocr: str = "auto") -> Iterator[Portion]:
    """A loader that decodes and draws as text recognition does, and then takes each picture's size for its words."""
    recognition.words = lambda picture: f"harbour {picture.size}"  # in the child alone
    yield from load.read(path, name, ocr=ocr)


@contextmanager
def crashing_quietly() -> Iterator[None]:
    """A crash of the child is counted, not printed."""
    on = faulthandler.is_enabled()
    faulthandler.disable()
    yield
    if on:
        faulthandler.enable()


@pytest.fixture(scope="module")
def reading() -> Iterator[Reader]:
    with crashing_quietly(), Reader(LIMITS, lambda: None) as reader:
        yield reader


@pytest.fixture(scope="module")
def seeing() -> Iterator[Reader]:
    with crashing_quietly(), Reader(LIMITS, lambda: None, looking) as reader:
        yield reader


def outcome(reader: Reader, path: Path, name: str, ocr: str) -> str:
    """How the reading of a file ended: text, a sentence, or what became of its reader."""
    try:
        for portion in reader.portions(path, name, ocr=ocr):
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


def tried_out(what: str, reader: Reader, name: str, body: bytes, ocr: str) -> None:
    """Read it, count how that ended, and accept no error of ours and no hang."""
    with tempfile.NamedTemporaryFile() as upload:
        upload.write(body)
        upload.flush()
        began = time.monotonic()
        found = outcome(reader, Path(upload.name), name, ocr)
    tried[f"{what}: {found}"] += 1
    # What a parser of another's makes crash costs its document only; one that hangs would cost a worker's time.
    assert "no progress" not in found, found
    assert "took longer" not in found, found
    assert "crash (code" not in found, f"an error of ours: {found}"
    assert "try what reading needs not" not in found, found
    assert time.monotonic() - began < LIMITS.deadline_s


def test_every_format_is_spoiled() -> None:
    assert {SUPPORTED[Path(name).suffix] for name in {**seeds.GOOD, **seeds.PICTURES}} == set(SUPPORTED.values())


@given(file=seeds.spoiled())
@MANY
def test_a_spoiled_file_gives_text_or_a_sentence(reading: Reader, file: tuple[str, bytes]) -> None:
    tried_out("files", reading, *file, "off")


@given(file=seeds.spoiled(seeds.PICTURES))
@MANY
def test_a_spoiled_picture_is_decoded_or_gives_a_sentence(seeing: Reader, file: tuple[str, bytes]) -> None:
    tried_out("pictures", seeing, *file, "on")


@given(body=seeds.spoiled_archives())
@MANY
def test_a_spoiled_archive_gives_its_members_or_is_refused(body: bytes) -> None:
    began = time.monotonic()
    became = "no archive"
    if archive.is_archive(io.BytesIO(body), "a.zip"):
        try:
            for member in archive.members(io.BytesIO(body), archive.Limits(members=100, unpacked=1 << 20)):
                with member.open() as file:
                    assert len(file.read()) <= 1 << 20
                clean_name(member.name).encode("utf-8")
        except (archive.ArchiveRefused, *archive.UNREADABLE):
            became = "refused or damaged"
        else:
            became = "its members"
    tried[f"archives: {became}"] += 1
    assert time.monotonic() - began < 5
