"""Loading, whatever the format: what a file is, what is said of a bad one, and where a document is cut."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.errors import DocumentFailed
from tasks.ingest import load
from tasks.ingest.loading import (
    epub,
    mail,
    office,
    old_excel,
    old_powerpoint,
    portions,
    rich,
    structures,
    web,
)
from tasks.ingest.loading.portions import Piece, Portion
from tests.unit.factories import compound, documents
from tests.unit.factories.reading import Put, reason, text_of

ENGLISH = "The committee met on Tuesday and approved the budget of the harbour.\n"


# What a file is


def test_a_pdf_called_txt_is_read_as_a_pdf(put: Put) -> None:
    assert "harbour" in text_of(put(documents.pdf(["harbour"])), "notes.txt")


def test_a_word_document_called_pdf_is_read_as_a_word_document(put: Put) -> None:
    assert "harbour" in text_of(put(documents.word(["harbour"])), "notes.pdf")


def test_a_web_page_called_docx_is_read_as_a_web_page(put: Put) -> None:
    assert text_of(put("<!DOCTYPE html><p>harbour</p>"), "notes.docx") == "harbour"


def test_a_picture_called_txt_is_looked_at_as_a_picture(put: Put) -> None:
    assert "is a picture" in reason(put(documents.image(["harbour"])), "notes.txt", ocr="off")


def test_xml_without_a_suffix_is_recognised(put: Put) -> None:
    assert text_of(put('<?xml version="1.0"?><a>harbour</a>'), "feed") == "harbour\n"


def test_text_with_an_unknown_or_no_suffix_is_read_as_text(put: Put) -> None:
    assert text_of(put(ENGLISH), "Makefile") == text_of(put(ENGLISH), "notes.xyz") == ENGLISH


def test_an_email_without_a_suffix_is_recognised(put: Put) -> None:
    assert "Subject: Budget" in text_of(put(documents.mail("Budget", "Hello")), "message")


@pytest.mark.parametrize(
    ("body", "name", "said"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(64), "photo.jpg", "save it as JPEG or PNG"),
        (b"\x1f\x8b" + bytes(64), "all.tar.gz", "a gzip archive"),
        (compound.compound({"Contents": b"x"}), "drawing.vsd", "an old Office file"),
        (compound.compound({"WordDocument": b"x"})[:600], "notes.doc", "as an old Word document"),
        (documents.archive({"a.txt": b"x"}), "all.zip", "lies inside another one"),
        (documents.archive({}), "all.zip", "archive is empty"),
        (documents.archive({"a.txt": b"x"})[:-4], "all.zip", "could not be read as an Office document or a zip"),
        (b"\x7fELF" + bytes(64), "notes", "a program"),
        (bytes(range(1, 9)) * 64, "notes.txt", "no text although its name says so"),
        (bytes(range(1, 9)) * 64, "notes.pdf", "could not be read as a PDF"),
        (bytes(range(1, 9)) * 64, "notes.bin", "of a format that cannot be read here"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_to_do(put: Put, body: bytes, name: str, said: str) -> None:
    assert said in reason(put(body), name)


# Bad files


@pytest.mark.parametrize("suffix", sorted(load.SUPPORTED))
def test_an_empty_file_says_so(put: Put, suffix: str) -> None:
    assert "is empty" in reason(put(b""), f"a{suffix}")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("   \n\n\t\n", "a.txt"),
        ("<html><script>x</script></html>", "a.html"),
        ("[]", "a.json"),
        (",,\n,,\n", "a.csv"),
        (documents.word([]), "a.docx"),
        (documents.sheets({"Empty": []}), "a.xlsx"),
        (documents.slides([""]), "a.pptx"),
    ],
)
def test_a_file_without_text_says_so(put: Put, body: bytes | str, name: str) -> None:
    assert reason(put(body), name).startswith("The file holds no text")


@pytest.mark.parametrize(
    ("body", "name", "said"),
    [
        (documents.pdf(["harbour"] * 5), "a.pdf", "a PDF"),
        (documents.word(["harbour"] * 50), "a.docx", "a Word document"),
        (documents.slides(["harbour"]), "a.pptx", "a PowerPoint presentation"),
        (documents.sheets({"a": [["harbour"]]}), "a.xlsx", "an Excel workbook"),
    ],
)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file_says_that_it_is_damaged(put: Put, body: bytes, name: str, said: str, share: float) -> None:
    sentence = reason(put(body[: int(len(body) * share)]), name)
    assert f"could not be read as {said}" in sentence


def test_a_zip_bomb_is_not_opened(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "RATIO_FROM", 1 << 20)
    body = documents.archive({"word/document.xml": bytes(4 << 20)})
    assert "unpacks to far more" in reason(put(body), "a.docx")
    monkeypatch.setattr(office, "UNCOMPRESSED_MAX", 1 << 20)
    assert "unpacks to far more" in reason(put(body), "a.docx")


def test_a_part_too_large_to_parse_asks_for_smaller_documents(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "PART_MAX", 100)
    assert "split it" in reason(put(documents.word(["harbour"])), "a.docx")


@pytest.mark.parametrize(
    ("module", "limit", "name", "body", "said"),
    [
        (mail, "SIZE_MAX", "a.eml", documents.mail("harbour", "words"), "larger than 64 MB"),
        (mail, "SIZE_MAX", "a.msg", compound.outlook("harbour", "Ana", "words"), "larger than 64 MB"),
        (old_excel, "SIZE_MAX", "a.xls", compound.old_excel("one", [["harbour", 1.0]]), "split it"),
        (old_powerpoint, "SIZE_MAX", "a.ppt", compound.old_powerpoint([("harbour", "x")]), "split it"),
        (rich, "SIZE_MAX", "a.rtf", rb"{\rtf1 harbour}", "split it"),
        (structures, "LINE_MAX", "a.jsonl", b'{"harbour": "quay and crane"}\n', "not valid JSON (line 1)"),
        (epub, "CHAPTER_MAX", "a.epub", documents.book("t", {"a.xhtml": "<p>harbour</p>"}), "split it"),
        (epub, "_PACKAGE_MAX", "a.epub", documents.book("t", {"a.xhtml": "<p>harbour</p>"}), "split it"),
        (portions, "PAGES_MAX", "a.pptx", documents.slides(["one", "two", "three", "four", "five"]), "pages; split it"),
        (portions, "PAGES_MAX", "a.xlsx", documents.sheets({name: [["x"]] for name in "abcde"}), "pages; split it"),
    ],
)
def test_what_is_larger_than_a_format_allows_says_so(
    put: Put, monkeypatch: pytest.MonkeyPatch, module: ModuleType, limit: str, name: str, body: bytes, said: str
) -> None:
    assert text_of(put(body), name)
    monkeypatch.setattr(module, limit, 4)
    assert said in reason(put(body), name)


def test_an_unexpected_error_of_a_parser_is_logged_without_document_text(
    put: Put, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quoted = "the secret text of the document"

    def broken(path: Path) -> Iterator[Piece]:
        if path.exists():
            raise ZeroDivisionError(quoted)
        yield Piece("", 1, 1)

    monkeypatch.setattr(load, "_READERS", {"txt": broken})
    with caplog.at_level(logging.WARNING):
        assert "could not be read as text" in reason(put(ENGLISH), "a.txt")
    assert "ZeroDivisionError" in caplog.text
    assert quoted not in caplog.text


@pytest.mark.parametrize("error", [PermissionError(13, "no"), OSError(28, "full"), MemoryError()])
def test_trouble_of_our_own_machine_is_not_blamed_on_the_document(
    put: Put, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def failing(path: Path) -> Iterator[Piece]:
        if path.exists():
            raise error
        yield Piece("", 1, 1)

    monkeypatch.setattr(load, "_READERS", {"txt": failing})
    with pytest.raises(type(error)):
        list(load.read(put(ENGLISH), "a.txt"))


def test_a_missing_upload_is_not_blamed_on_the_document(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(load.read(tmp_path / "gone", "a.txt"))


GOOD = {
    "a.pdf": documents.pdf(["harbour", "port"]),
    "a.docx": documents.word(["harbour"], [["a", "b"]]),
    "a.pptx": documents.slides(["harbour"]),
    "a.xlsx": documents.sheets({"a": [["harbour", 1]]}),
    "a.eml": documents.mail("harbour", "text", "<p>text</p>", "x.bin"),
    "a.html": b"<p>harbour</p><table><tr><td>x</td></tr></table>",
    "a.json": b'{"a": [1, {"b": "harbour"}]}',
    "a.odt": documents.open_document("text", "<text:p>harbour</text:p>"),
    "a.epub": documents.book("Port", {"1.xhtml": "<p>harbour</p>"}),
    "a.rtf": rb"{\rtf1\ansi harbour\par}",
    "a.xml": b"<a><b>harbour</b><!-- x --><c d='e'/></a>",
    "a.rst": b"Port\n====\n\n.. note:: `harbour`_ **old**\n",
    "a.org": b"* Port\n:PROPERTIES:\n:END:\n[[a][harbour]]\n",
    "a.msg": compound.outlook("harbour", "Ana", "text"),
    "a.doc": compound.old_word("harbour\x07old\x07\x07"),
    "a.ppt": compound.old_powerpoint([("harbour", "old")]),
    "a.xls": compound.old_excel("port", [["harbour", 1.0]]),
    "a.csv": b'name,note\nAna,"harbour, old"\n',
}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(GOOD)), seed=st.integers(0, 2**32), cuts=st.integers(1, 20))
def test_whatever_is_damaged_in_a_file_it_gives_text_or_a_sentence(put: Put, name: str, seed: int, cuts: int) -> None:
    dice = random.Random(seed)
    body = bytearray(GOOD[name])
    for _ in range(cuts):
        body[dice.randrange(len(body))] = dice.randrange(256)
    with suppress(DocumentFailed):  # anything else that is raised fails the test
        list(load.read(put(bytes(body)), name))


# Portions


def test_a_long_text_comes_in_ranges_that_join_to_the_whole(put: Put) -> None:
    body = "".join(f"{number} {ENGLISH}" for number in range(30_000))
    seen = list(load.read(put(body), "a.txt"))
    assert "".join(document.text for portion in seen for document in portion.documents) == body
    assert all(document.text.endswith("\n") for portion in seen for document in portion.documents)
    assert len(seen) >= 4
    assert max(len(document.text) for portion in seen for document in portion.documents) <= 1.1 * portions.RANGE
    done = [portion.done for portion in seen]
    assert done == sorted(done)
    assert (seen[-1].done, {portion.total for portion in seen}) == (seen[-1].total, {portions.ranges(len(body))})


def test_one_endless_line_is_cut_too(put: Put) -> None:
    body = "x" * (2 * portions.RANGE)
    seen = list(load.read(put(body), "a.txt"))
    assert [len(document.text) for portion in seen for document in portion.documents] == [portions.RANGE] * 2


@pytest.mark.parametrize("name", ["a.csv", "a.html", "a.jsonl", "a.json"])
def test_a_large_structured_file_comes_in_many_portions(put: Put, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_STEP", 4096)
    line = {"a.csv": '"harbour, old",1\n', "a.html": "<p>harbour</p>\n"}.get(name, '{"a": "harbour"}\n')
    seen = list(load.read(put(line * 60_000), name))
    assert len(seen) >= 3
    assert sum(document.text.count("harbour") for portion in seen for document in portion.documents) == 60_000


def test_a_slow_stretch_still_gives_portions_so_that_a_cancel_is_seen() -> None:
    now = iter(number * 0.2 for number in range(1000))
    pieces = [Piece(f"row {number}\n", number, 100) for number in range(1, 101)]
    seen = list(portions.portions(pieces, clock=lambda: next(now)))
    assert len(seen) > 20
    assert [len(portion.documents) for portion in seen] == [0] * (len(seen) - 1) + [1]


def test_the_pace_of_the_machine_never_decides_where_a_document_is_cut() -> None:
    pieces = [Piece("x" * 1000, number, 1000) for number in range(1, 1001)]

    def texts(seen: list[Portion]) -> list[str]:
        return [document.text for portion in seen for document in portion.documents]

    slow = iter(number * 0.4 for number in range(10_000))
    assert texts(list(portions.portions(pieces))) == texts(list(portions.portions(pieces, clock=lambda: next(slow))))


def test_a_loader_that_was_imported_before_a_fork_works_after_it(put: Put) -> None:
    path = put(documents.pdf(["harbour"]))
    child = os.fork()
    if child == 0:
        os._exit(0 if "harbour" in text_of(path, "a.pdf") else 1)
    assert os.waitpid(child, 0)[1] == 0
