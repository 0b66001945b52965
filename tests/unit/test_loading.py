"""Loading: every format gives its text in order, and every bad file gives a sentence."""

from __future__ import annotations

import json
import logging
import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.errors import DocumentFailed
from tasks.ingest import load
from tasks.ingest.loading import office, portions, structures, tables, web
from tasks.ingest.loading.portions import Piece, Portion
from tests.unit.factories import documents

ENGLISH = "The committee met on Tuesday and approved the budget of the harbour.\n"


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes | str], Path]:
    """Writes the bytes of an upload, whose name on disk says nothing."""

    def write(body: bytes | str) -> Path:
        path = tmp_path / "upload"
        path.write_bytes(body if isinstance(body, bytes) else body.encode())
        return path

    return write


Put = Callable[[bytes | str], Path]


def text_of(path: Path, name: str) -> str:
    return "".join(document.text for portion in load.read(path, name) for document in portion.documents)


def reason(path: Path, name: str) -> str:
    with pytest.raises(DocumentFailed) as failure:
        list(load.read(path, name))
    sentence = str(failure.value)
    assert sentence.endswith(".")
    assert str(path) not in sentence
    return sentence


# Formats


def test_a_pdf_gives_its_pages_with_their_numbers(put: Put) -> None:
    path = put(documents.pdf(["first page", "", "third page"]))
    (portion,) = load.read(path, "a.pdf")
    assert [(document.metadata, document.text.strip()) for document in portion.documents] == [
        ({"page": 1}, "first page"),
        ({"page": 3}, "third page"),
    ]
    assert (portion.done, portion.total) == (3, 3)


def test_a_long_pdf_comes_in_ranges_of_sixteen_pages(put: Put) -> None:
    path = put(documents.pdf([f"page {number}" for number in range(1, 41)]))
    seen = [(portion.done, portion.total) for portion in load.read(path, "a.pdf") if portion.documents]
    assert seen == [(16, 40), (32, 40), (40, 40)]


def test_a_word_document_gives_paragraphs_and_tables_in_their_order(put: Put) -> None:
    path = put(documents.word(["Before"], [["Name", "City"], ["Ana", "Oslo"]], after="After"))
    assert text_of(path, "a.docx").split("\n") == ["Before", "", "Name | City", "Ana | Oslo", "", "After", "", ""]


def test_a_word_document_gives_inserted_text_and_content_controls_but_no_deleted_text(put: Put) -> None:
    run = "<w:r><w:t>{}</w:t></w:r>"
    body = (
        f"<w:p><w:pPr><w:tabs><w:tab w:val='left'/></w:tabs></w:pPr>{run.format('kept')}"
        f"<w:ins>{run.format(' inserted')}</w:ins><w:del>{run.format(' deleted')}</w:del></w:p>"
        f"<w:sdt><w:sdtContent><w:p>{run.format('controlled')}</w:p></w:sdtContent></w:sdt>"
    )
    assert text_of(put(documents.word_with_xml(body)), "a.docx").split() == ["kept", "inserted", "controlled"]


def test_a_presentation_gives_a_page_for_each_slide_with_tables_and_notes(put: Put) -> None:
    path = put(documents.slides(["One", "Two"], notes="Say hello", table=[["a", "b"], ["c", "d"]]))
    (portion,) = load.read(path, "a.pptx")
    assert [document.metadata["page"] for document in portion.documents] == [1, 2]
    assert portion.documents[1].text.split("\n") == ["Two", "", "a | b", "c | d", "", "Say hello", ""]


def test_a_workbook_gives_a_page_for_each_sheet_that_holds_something(put: Put) -> None:
    path = put(documents.sheets({"Sales": [["City", "Sum"], ["Oslo", 12.5]], "Empty": [], "More": [[True]]}))
    (portion,) = load.read(path, "a.xlsx")
    assert [(document.metadata["page"], document.text) for document in portion.documents] == [
        (1, "Sales\n\nCity | Sum\nOslo | 12.5\n"),
        (3, "More\n\nTrue\n"),
    ]


def test_an_email_gives_its_headers_its_text_and_the_names_of_its_attachments(put: Put) -> None:
    text = text_of(put(documents.mail("Budget", "Hello Ben", attachment="plan.xlsx")), "a.eml")
    assert "Subject: Budget" in text
    assert "From: Ana <ana@example.org>" in text
    assert "Attachments: plan.xlsx" in text
    assert text.endswith("Hello Ben\n")


def test_an_email_without_plain_text_gives_the_words_of_its_html(put: Put) -> None:
    assert text_of(put(documents.mail("Hi", html="<p>Hello <b>Ben</b></p>")), "a.eml").endswith("\n\nHello Ben")


def test_an_email_with_an_unknown_charset_is_read_all_the_same(put: Put) -> None:
    raw = b"Subject: x\nContent-Type: text/plain; charset=klingon\n\nharbour\n"
    assert "harbour" in text_of(put(raw), "a.eml")


def test_html_gives_the_words_that_a_reader_sees_with_its_blocks_apart(put: Put) -> None:
    page = (
        "<html><head><title>Harbour</title><script>var hidden = '<p>'</script><style>p {}</style></head><body>"
        "<h1>The  port</h1><p>It is<b> old</b>er than\n the town.</p><ul><li>one</li><li>two</li></ul>"
        "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table><pre>x  y\n  z</pre></body></html>"
    )
    expected = "Harbour\n\nThe port\n\nIt is older than the town.\n\none\ntwo\n\na | b\nc | d\n\nx  y\n  z"
    assert text_of(put(page), "a.html") == expected


def test_html_is_read_in_the_encoding_that_it_declares(put: Put) -> None:
    page = '<html><head><meta charset="windows-1251"></head><body><p>Привет</p></body></html>'
    assert text_of(put(page.encode("cp1251")), "a.html") == "Привет"


def test_html_never_loads_an_entity_from_a_file(put: Put, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("harbour")
    page = f'<!DOCTYPE html [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]><p>before &x; after</p>'
    assert "harbour" not in text_of(put(page), "a.html")


def test_html_nested_a_hundred_thousand_deep_is_read(put: Put) -> None:
    assert text_of(put("<div>" * 100_000 + "deep"), "a.html") == "deep"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_gives_its_rows_under_the_names_of_its_columns(put: Put, delimiter: str) -> None:
    rows = [["name", "city"], ["Ana", "Oslo"], ["Ben", ""]]
    body = "\n".join(delimiter.join(row) for row in rows)
    assert text_of(put(body), "a.csv") == "name: Ana\ncity: Oslo\n\nname: Ben\n\n"


def test_a_table_keeps_quoted_commas_and_line_breaks_in_a_cell(put: Put) -> None:
    assert text_of(put('name,note\nAna,"a, b\nc"\n'), "a.csv") == "name: Ana\nnote: a, b\nc\n\n"


def test_a_table_without_names_numbers_its_columns(put: Put) -> None:
    assert text_of(put("1,2\n3,4\n"), "a.csv") == "column 1: 1\ncolumn 2: 2\n\ncolumn 1: 3\ncolumn 2: 4\n\n"


def test_a_table_keeps_the_heading_above_its_names(put: Put) -> None:
    assert text_of(put("Cities,\nname,country\nOslo,Norway\n"), "a.csv") == "Cities\n\nname: Oslo\ncountry: Norway\n\n"


def test_a_table_of_names_alone_still_gives_them(put: Put) -> None:
    assert text_of(put("name,city\n"), "a.csv") == "name, city\n"


def test_json_gives_every_value_with_the_path_that_leads_to_it(put: Put) -> None:
    value = {"name": "Ana", "address": {"city": "Oslo"}, "tags": ["a", {"b": True}], "none": None, "sum": 1.5}
    expected = "name: Ana\naddress.city: Oslo\ntags[0]: a\ntags[1].b: true\nsum: 1.5\n"
    assert text_of(put(json.dumps(value)), "a.json") == expected


def test_json_lines_are_read_line_by_line_whatever_they_are_called(put: Put) -> None:
    path = put('{"a": 1}\n\n{"a": 2}\n')
    assert text_of(path, "a.jsonl") == text_of(path, "a.json") == "a: 1\n\na: 2\n\n"


def test_json_too_large_to_parse_is_read_as_the_text_that_it_is(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structures, "WHOLE_MAX", 10)
    assert text_of(put('{"name": "Ana", "city": "Oslo"}'), "a.json") == '{"name": "Ana", "city": "Oslo"}'


# Encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_in_any_unicode_encoding_is_read(put: Put, encoding: str) -> None:
    text = ENGLISH * 3 + "Grüße, smørrebrød\n"
    assert text_of(put(text.encode(encoding)), "a.txt") == text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "Ein schöner Tag für die Übergröße der Straße.\n"),
        ("cp1252", "Le café est déjà ouvert: “bien sûr”.\n"),
        ("cp1250", "Wszyscy ludzie rodzą się wolni i równi w swej godności.\n"),
        ("cp1251", "Привет мир, это обычный русский текст.\n"),
        ("shift_jis", "こんにちは世界。これは日本語です。\n"),
        ("gb18030", "中文文本测试,这是一个例子。\n"),
    ],
)
def test_text_in_an_older_encoding_is_recognised(put: Put, encoding: str, text: str) -> None:
    assert text_of(put((text * 5).encode(encoding)), "a.txt") == text * 5


def test_a_foreign_byte_deep_in_a_long_text_fails_nothing(put: Put) -> None:
    body = (ENGLISH * 20_000).encode() + "café\n".encode("latin-1")
    assert text_of(put(body), "a.txt").endswith("café\n")


def test_text_never_carries_a_nul_or_half_a_surrogate_pair(put: Put) -> None:
    text = text_of(put('{"a": "x\\u0000y\\ud800z"}'), "a.json")
    assert text == "a: xy?z\n"
    text.encode("utf-8")


# What a file is


def test_a_pdf_called_txt_is_read_as_a_pdf(put: Put) -> None:
    assert "harbour" in text_of(put(documents.pdf(["harbour"])), "notes.txt")


def test_a_word_document_called_pdf_is_read_as_a_word_document(put: Put) -> None:
    assert "harbour" in text_of(put(documents.word(["harbour"])), "notes.pdf")


def test_a_web_page_called_docx_is_read_as_a_web_page(put: Put) -> None:
    assert text_of(put("<!DOCTYPE html><p>harbour</p>"), "notes.docx") == "harbour"


def test_text_with_an_unknown_or_no_suffix_is_read_as_text(put: Put) -> None:
    assert text_of(put(ENGLISH), "Makefile") == text_of(put(ENGLISH), "notes.xyz") == ENGLISH


def test_an_email_without_a_suffix_is_recognised(put: Put) -> None:
    assert "Subject: Budget" in text_of(put(documents.mail("Budget", "Hello")), "message")


@pytest.mark.parametrize(
    ("body", "name", "said"),
    [
        (documents.PNG, "notes.txt", "a picture (PNG)"),
        (b"\xff\xd8\xff\xe0" + bytes(64), "photo.pdf", "a picture (JPEG)"),
        (b"{\\rtf1 hello}", "notes.rtf", "rich text"),
        (documents.compound("WordDocument"), "notes.doc", "an old Word file"),
        (documents.compound("Workbook"), "notes.xls", "an old Excel file"),
        (documents.archive({"a.txt": b"x"}), "all.zip", "a zip archive"),
        (documents.archive({"content.xml": b"x"}), "notes.odt", "an OpenDocument file"),
        (documents.archive({"META-INF/container.xml": b"x"}), "book.epub", "an e-book"),
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


def test_a_pdf_of_pictures_asks_for_text_recognition(put: Put) -> None:
    assert "(OCR)" in reason(put(documents.pdf(["", ""])), "scan.pdf")


def test_an_encrypted_pdf_asks_for_one_without_a_password(put: Put) -> None:
    assert "protected with a password" in reason(put(documents.pdf(["secret"], password="pw")), "a.pdf")


def test_an_encrypted_office_file_asks_for_one_without_a_password(put: Put) -> None:
    assert "protected with a password" in reason(put(documents.compound("EncryptedPackage")), "a.docx")


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


def test_an_office_file_without_its_parts_says_that_it_is_damaged(put: Put) -> None:
    assert "as a Word document" in reason(put(documents.archive({"word/document.xml": b"<x/>"})), "a.docx")


def test_json_that_is_none_names_its_line(put: Put) -> None:
    assert "not valid JSON (line 3)" in reason(put('{\n"a": 1,\n"b": }'), "a.json")
    assert "not valid JSON (line 2)" in reason(put('{"a": 1}\nharbour\n'), "a.jsonl")


def test_json_nested_too_deeply_says_so(put: Put) -> None:
    assert "nested too deeply" in reason(put("[" * 200_000 + "]" * 200_000), "a.json")


def test_a_table_with_a_quote_that_never_ends_names_its_line(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CELL_MAX", 1000)
    assert "near line" in reason(put('a,b\n1,"' + ENGLISH * 100), "a.csv")


def test_a_zip_bomb_is_not_opened(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "RATIO_FROM", 1 << 20)
    body = documents.archive({"word/document.xml": bytes(4 << 20)})
    assert "unpacks to far more" in reason(put(body), "a.docx")
    monkeypatch.setattr(office, "UNCOMPRESSED_MAX", 1 << 20)
    assert "unpacks to far more" in reason(put(body), "a.docx")


def test_a_part_too_large_to_parse_asks_for_smaller_documents(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "PART_MAX", 100)
    assert "split it" in reason(put(documents.word(["harbour"])), "a.docx")


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
    "a.csv": b'name,note\nAna,"harbour, old"\n',
}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
