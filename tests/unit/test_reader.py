"""A parser that hangs, crashes or eats memory costs its document, not the process that asked."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tasks.errors import Canceled, DocumentFailed, ReaderLost
from tasks.ingest import load
from tasks.ingest.loading.portions import Portion, document
from tasks.ingest.reader import PLAIN_MAX, Reader
from tasks.ingest.reading import FILE_BYTES, Limits, Read
from tests.unit.factories.documents import pdf
from tests.waiting import wait_until

LIMITS = Limits(deadline_s=20, silence_s=10, memory_mb=256)


def scripted(path: Path, name: str, *, ocr: str = "auto") -> Iterator[Portion]:
    """A loader that does what the file says, word by word; each other word is a portion."""
    words = path.read_text().split()
    for at, word in enumerate(words, 1):
        match word:
            case "HANG":
                signal.pause()
            case "SEGFAULT":
                faulthandler.disable()  # pytest's would print over the tests' lines
                ctypes.string_at(0)
            case "ABORT":
                faulthandler.disable()
                os.abort()
            case "EXIT":
                os._exit(0)
            case "EAT":
                kept = []
                while True:
                    kept.append(bytearray(8 * 1024**2))
            case "GARBAGE":
                raise DocumentFailed(reason="It is garbage.")
            case "DISK":
                raise OSError(5, "Input/output error")
            case "BUG":
                raise ZeroDivisionError("with a text of the document")
            case "WRITE":
                path.with_suffix(".huge").open("wb").truncate(2 * 1024**3)
            case "LARGE":
                word = "x" * 3_000_000
        yield Portion([document(word, at)], at, len(words))


def reading(read: Read = scripted, limits: Limits = LIMITS) -> Reader:
    return Reader(limits, lambda: None, read)


def asked(reader: Reader, folder: Path, text: str, name: str = "a.bin") -> list[str]:
    path = folder / "file"
    path.write_text(text)
    return [part.text for portion in reader.portions(path, name) for part in portion.documents]


def children() -> list[psutil.Process]:
    """Our forks: a test run has other children too, such as a Redis server."""
    ours = psutil.Process()
    return [child for child in ours.children() if child.cmdline() == ours.cmdline()]


def test_what_is_read_in_a_child_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(pdf([f"Page number {page}." for page in range(1, 40)]))
    with Reader(LIMITS, lambda: None) as reader:
        found = list(reader.portions(path, "a.pdf"))
        assert len(children()) == 1
    expected = list(load.read(path, "a.pdf"))
    assert [(portion.done, portion.total) for portion in found] == [(part.done, part.total) for part in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert [(part.text, part.metadata) for part in ours.documents] == [
            (part.text, part.metadata) for part in theirs.documents
        ]
        assert [part.excluded_embed_metadata_keys for part in ours.documents] == [["page"]] * len(theirs.documents)


def test_one_child_reads_all_and_is_gone_in_the_end(tmp_path: Path) -> None:
    with reading() as reader:
        assert asked(reader, tmp_path, "one two") == ["one", "two"]
        (first,) = children()
        with pytest.raises(DocumentFailed, match="It is garbage"):
            asked(reader, tmp_path, "GARBAGE")
        assert asked(reader, tmp_path, "three LARGE")[0] == "three"
        assert children() == [first]
    assert children() == []


def test_small_plain_text_is_read_without_a_child(tmp_path: Path) -> None:
    with Reader(LIMITS, lambda: None) as reader:
        assert asked(reader, tmp_path, "Plain words.", "a.txt") == ["Plain words."]
        assert asked(reader, tmp_path, "# Head\n\nWords.", "a.md") != []
        assert children() == []
        asked(reader, tmp_path, "Words. " * (PLAIN_MAX // 7 + 1), "large.txt")
        assert len(children()) == 1


def test_a_pdf_in_a_text_files_name_is_read_in_the_child(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(pdf(["A page."]))
    with Reader(LIMITS, lambda: None) as reader:
        assert [part.text for portion in reader.portions(path, "a.txt") for part in portion.documents] == ["A page."]
        assert len(children()) == 1


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("one SEGFAULT", "made its reader crash (SIGSEGV)"),
        ("ABORT", "made its reader crash (SIGABRT)"),
        ("one EXIT", "made its reader crash (code 0)"),
        ("BUG", "made its reader crash (code 1)"),
        ("one EAT", "needs more than 256 MB to read"),
    ],
)
def test_a_reader_that_is_lost_says_why_and_the_next_document_is_read(
    tmp_path: Path, text: str, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with reading() as reader:
        with pytest.raises(ReaderLost) as lost:
            asked(reader, tmp_path, text)
        assert lost.value.data["what"] == what
        assert asked(reader, tmp_path, "fine") == ["fine"]
    assert "with a text of the document" not in capfd.readouterr().err


def test_a_reader_without_any_news_is_killed(tmp_path: Path) -> None:
    with reading(limits=Limits(20, 0.5, 256)) as reader:
        with pytest.raises(ReaderLost, match=r"no progress for 0\.5 s"):
            asked(reader, tmp_path, "one HANG")
        assert children() == []
        assert asked(reader, tmp_path, "fine") == ["fine"]


def test_a_deadline_ends_what_goes_on_and_on(tmp_path: Path) -> None:
    def slow(path: Path, name: str, *, ocr: str = "auto") -> Iterator[Portion]:
        while True:
            time.sleep(0.05)
            yield Portion([], 0, 0)

    with reading(slow, Limits(0.5, 10, 256)) as reader, pytest.raises(ReaderLost, match=r"took longer than 0\.5 s"):
        asked(reader, tmp_path, "")


def test_a_document_of_many_pages_has_more_time(tmp_path: Path) -> None:
    def slow(path: Path, name: str, *, ocr: str = "auto") -> Iterator[Portion]:
        for page in range(1, 11):
            time.sleep(0.1)
            yield Portion([document("one", page)], page, 10)

    with reading(slow, Limits(0.6, 10, 256)) as reader:
        assert len(asked(reader, tmp_path, "")) == 10


def test_time_that_the_caller_takes_is_not_held_against_the_document(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one two three four five six")
    seen = 0
    with reading(limits=Limits(0.5, 0.5, 256)) as reader:
        for _ in reader.portions(path, "a.bin"):
            time.sleep(0.15)
            seen += 1
    assert seen == 6


def test_a_stop_while_it_hangs_is_seen_at_once_and_kills_the_child(tmp_path: Path) -> None:
    def stop() -> None:
        raise Canceled(job="j")

    path = tmp_path / "file"
    path.write_text("HANG")
    started = time.monotonic()
    with Reader(LIMITS, stop, scripted) as reader, pytest.raises(Canceled):
        list(reader.portions(path, "a.bin"))
    assert time.monotonic() - started < 1
    assert children() == []


def test_a_caller_that_stops_half_way_leaves_no_child(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one two HANG")
    with reading() as reader:
        portions = reader.portions(path, "a.bin")
        assert next(portions).done == 1
        portions.close()
        assert children() == []


def test_trouble_of_our_disk_stays_what_it_is(tmp_path: Path) -> None:
    with reading() as reader, pytest.raises(OSError, match="Input/output") as trouble:
        asked(reader, tmp_path, "DISK")
    assert trouble.value.errno == 5


def test_a_parser_cannot_fill_the_disk(tmp_path: Path) -> None:
    with reading(limits=replace(LIMITS, confined=False)) as reader:
        with pytest.raises(DocumentFailed, match="try what reading needs not: to write"):
            asked(reader, tmp_path, "WRITE")
        assert (tmp_path / "file.huge").stat().st_size <= FILE_BYTES
        assert asked(reader, tmp_path, "fine") == ["fine"]


def test_a_parser_that_keeps_a_processor_busy_is_stopped_by_the_system(tmp_path: Path) -> None:
    """Its parent is at something else all the time and watches no clock."""

    def burning(path: Path, name: str, *, ocr: str = "auto") -> Iterator[Portion]:
        yield Portion([document("one", 1)], 1, 2)
        while True:
            pass

    path = tmp_path / "file"
    path.write_text("")
    with reading(burning, Limits(0.2, 0.2, 256)) as reader:
        portions = reader.portions(path, "a.bin")
        next(portions)
        (child,) = children()
        wait_until(lambda: child.status() == psutil.STATUS_ZOMBIE, timeout_s=60, what="the end of its time")
        with pytest.raises(ReaderLost, match="kept a processor busy for too long"):
            next(portions)


def test_a_parser_that_left_its_group_is_killed_all_the_same(tmp_path: Path) -> None:
    def leaving(path: Path, name: str, *, ocr: str = "auto") -> Iterator[Portion]:
        os.setpgid(0, os.getpgid(os.getppid()))
        yield Portion([document("one", 1)], 1, 2)
        signal.pause()

    with reading(leaving, Limits(20, 0.3, 256, confined=False)) as reader, pytest.raises(ReaderLost):
        asked(reader, tmp_path, "")
    assert children() == []


def test_the_child_holds_no_file_of_its_parent_open(tmp_path: Path) -> None:
    with (tmp_path / "held").open("w") as held, reading() as reader:
        asked(reader, tmp_path, "one")
        (child,) = children()
        links = [os.readlink(link) for link in Path(f"/proc/{child.pid}/fd").iterdir()]  # noqa: PTH115
        assert held.name not in links


def test_the_child_dies_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one HANG")
    told, tell = os.pipe()
    parent = os.fork()
    if parent == 0:
        for _ in reading().portions(tmp_path / "file", "a.bin"):
            os.write(tell, f"{children()[0].pid}\n".encode())
        os._exit(0)
    child = psutil.Process(int(os.read(told, 20)))
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, what="the child's end")


def test_what_a_parser_keeps_for_good_ends_its_child_not_the_next_document(tmp_path: Path) -> None:
    kept = []

    def leaking(path: Path, name: str, *, ocr: str = "auto") -> Iterator[Portion]:
        kept.append(bytearray(160 * 1024**2))
        yield Portion([document("one", None)], 1, 1)

    with reading(leaking) as reader:
        for _ in range(4):
            assert asked(reader, tmp_path, "") == ["one"]
