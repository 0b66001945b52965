"""Files that were made to do harm, through the reader that workers use: each ends in a sentence or harmless text."""

from __future__ import annotations

import faulthandler
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.archive import is_archive
from tasks.errors import DocumentFailed, ReaderLost
from tasks.ingest.reader import Reader
from tasks.ingest.reading import Limits
from tests.unit.factories import compound, documents, hostile

LIMITS = Limits(deadline_s=20, silence_s=10, memory_mb=384)
SECRET = "the-secret-of-the-server"

ENDS_IN_A_SENTENCE: dict[str, tuple[str, Callable[[], bytes | str]]] = {
    "a Word document that is a bomb": ("a.docx", lambda: hostile.bomb("word/document.xml", 300)),
    "a spreadsheet that is a bomb": ("a.xlsx", lambda: hostile.bomb("xl/worksheets/sheet1.xml", 300)),
    "an OpenDocument that is a bomb": ("a.odt", lambda: hostile.bomb("content.xml", 300)),
    "a book that is a bomb": ("a.epub", lambda: hostile.bomb("META-INF/container.xml", 300)),
    "an archive that lists its bytes many times": ("a.docx", lambda: hostile.overlapping(50_000, 1)),
    "archives in archives": ("a.zip", lambda: hostile.nested(40)),
    "a thousand million laughs": ("a.xml", lambda: f"{hostile.laughs()}<a>&l10;</a>"),
    "laughs in a Word document": ("a.docx", lambda: hostile.word_body(hostile.laughs("w:document"), "&l10;")),
    "laughs in a workbook": ("a.xlsx", lambda: hostile.sheet_body(hostile.laughs("worksheet"), "&l10;")),
    "laughs in a presentation": ("a.pptx", lambda: hostile.slide_body(hostile.laughs("p:sld"), "&l10;")),
    "laughs in an OpenDocument": (
        "a.odt",
        lambda: hostile.open_body(hostile.laughs("office:document-content"), "&l10;"),
    ),
    "one long entity named often": ("a.xml", hostile.quadratic),
    "a PDF whose pages are a loop": ("a.pdf", hostile.looping_pdf),
    "a PDF of too many pages": ("a.pdf", lambda: hostile.endless_pdf(20_001)),
    "a PDF that claims a million pages": ("a.pdf", lambda: hostile.claiming_pdf(1_000_000)),
    "a PDF that is cut off": ("a.pdf", lambda: documents.pdf(["harbour"])[:400]),
    "a PDF with a password": ("a.pdf", lambda: documents.pdf(["harbour"], password="x")),
    "a PDF that draws itself": ("a.pdf", hostile.looping_form),
    "a PDF page that unpacks to nothing": ("a.pdf", lambda: hostile.unfolding_pdf(600)),
    "a picture of 40,000 megapixels": ("a.png", lambda: hostile.vast_png(200_000, 200_000)),
    "a picture with less in it than it claims": ("a.png", lambda: hostile.vast_png(3_000, 3_000)),
    "a picture of one line of pixels": ("a.png", lambda: hostile.vast_png(99_000_000, 1)),
    "a TIFF whose pages are a loop": ("a.tiff", hostile.looping_tiff),
    "an archive that lists too many files": ("a.docx", lambda: hostile.crowded(200_000)),
    "a Word document with a password": ("a.docx", lambda: compound.compound({"EncryptedPackage": b"x"})),
    "a Word document that is cut off": ("a.docx", lambda: documents.word(["harbour"])[:-900]),
    "a Word document of tables in tables": ("a.docx", lambda: hostile.deep_word(20_000)),
    "an OpenDocument a million deep": (
        "a.odt",
        lambda: hostile.open_body("", "<text:span>" * 10**6 + "</text:span>" * 10**6),
    ),
    "JSON a million deep": ("a.json", lambda: hostile.deep_json(1_000_000)),
    "an old Office file that ends with its first bytes": ("a.doc", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    "a program in the name of a PDF": ("a.pdf", lambda: b"MZ" + bytes(2_000)),
    "a program in the name of a text": ("a.txt", lambda: b"\x7fELF" + bytes(range(256)) * 20),
}


@pytest.fixture
def reading() -> Iterator[Reader]:
    # A parser that crashes is what is asked for: pytest would print its frames over the tests' lines.
    on = faulthandler.is_enabled()
    faulthandler.disable()
    with Reader(LIMITS, lambda: None) as reader:
        yield reader
    if on:
        faulthandler.enable()


def read(reader: Reader, folder: Path, name: str, body: bytes | str, ocr: str = "off") -> str:
    """The text, or the sentence that it ended in."""
    path = folder / "upload"
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    try:
        return "".join(part.text for portion in reader.portions(path, name, ocr=ocr) for part in portion.documents)
    except (DocumentFailed, ReaderLost) as error:
        return f"FAILED {error}"


@pytest.mark.parametrize("what", ENDS_IN_A_SENTENCE)
def test_it_ends_in_a_sentence_soon_and_within_its_memory(reading: Reader, tmp_path: Path, what: str) -> None:
    name, body = ENDS_IN_A_SENTENCE[what]
    made = body()
    started = time.monotonic()
    # A picture is looked at with recognition on alone.
    found = read(reading, tmp_path, name, made, "auto" if name.endswith((".png", ".tiff")) else "off")
    assert found.startswith("FAILED "), found[:200]
    assert found.endswith(".")
    assert str(tmp_path) not in found
    assert time.monotonic() - started < LIMITS.deadline_s
    # And the next document is read as if nothing had been.
    assert read(reading, tmp_path, "fine.html", "<p>harbour</p>") == "harbour"


@pytest.mark.parametrize("name", ["a.xml", "xxe.docx", "xxe.xlsx", "xxe.pptx", "xxe.odt", "a.svg", "a.epub"])
def test_no_file_of_the_server_gets_into_a_document(reading: Reader, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text(SECRET)
    files = hostile.calling_home(f"file://{tmp_path}/secret#")
    assert SECRET not in read(reading, tmp_path, name, files[name])


def test_no_file_calls_home(reading: Reader, tmp_path: Path) -> None:
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as home:

        def answer() -> None:
            while True:
                try:
                    caller, _ = home.accept()
                except OSError:
                    return
                calls.append(caller.recv(100))
                caller.close()

        threading.Thread(target=answer, daemon=True).start()
        address = f"http://127.0.0.1:{home.getsockname()[1]}"
        found = {name: read(reading, tmp_path, name, body) for name, body in hostile.calling_home(address).items()}
        # The listener does hear who calls.
        with socket.create_connection(home.getsockname()) as caller:
            caller.sendall(b"one")
            caller.recv(1)
        home.shutdown(socket.SHUT_RDWR)
    assert calls == [b"one"]
    assert sum("harbour" in text for text in found.values()) >= len(found) - 4, found


def test_a_pdf_that_wants_to_act_gives_its_text_only(reading: Reader, tmp_path: Path) -> None:
    assert read(reading, tmp_path, "a.pdf", hostile.acting_pdf("http://127.0.0.1:1")).strip() == "harbour"


def test_a_page_that_is_also_an_archive_is_one_or_the_other(reading: Reader, tmp_path: Path) -> None:
    both = b"<html><body>harbour</body></html>\n" + documents.archive({"evil.txt": b"evil"})
    found = read(reading, tmp_path, "a.html", both)
    assert "evil.txt" not in found or found.startswith("FAILED ")


def test_a_pdf_that_is_also_an_archive_is_a_pdf(reading: Reader, tmp_path: Path) -> None:
    both = hostile.acting_pdf("http://127.0.0.1:1") + documents.archive({"evil.txt": b"evil"})
    assert not is_archive(io.BytesIO(both), "a.zip")
    assert read(reading, tmp_path, "a.zip", both).strip() == "harbour"


def test_a_picture_that_is_also_a_page_is_a_picture(reading: Reader, tmp_path: Path) -> None:
    both = b"GIF89a/*<html><body><script>alert(1)</script>evil</body></html>*/"
    found = read(reading, tmp_path, "a.html", both, "auto")
    assert found.startswith("FAILED "), found


def test_more_pages_than_a_document_may_have_are_said(reading: Reader, tmp_path: Path) -> None:
    assert "more than 20,000 pages" in read(reading, tmp_path, "a.pdf", hostile.endless_pdf(20_001))
    sheets = "".join(f'<table:table table:name="{at}"/>' for at in range(20_001))
    assert "more than 20,000 pages" in read(reading, tmp_path, "a.ods", documents.open_document("spreadsheet", sheets))


def test_rich_text_a_million_deep_ends(reading: Reader, tmp_path: Path) -> None:
    found = read(reading, tmp_path, "a.rtf", hostile.deep_rich(1_000_000))
    assert found.startswith("FAILED ") or found.strip() == "harbour"


def test_an_archive_that_lists_too_many_files_is_not_opened() -> None:
    assert not is_archive(io.BytesIO(hostile.crowded(100_001)), "a.zip")
    assert is_archive(io.BytesIO(hostile.crowded(100)), "a.zip")


def test_formulas_of_a_workbook_are_not_calculated(reading: Reader, tmp_path: Path) -> None:
    body = documents.sheets({"a": [["harbour", '=WEBSERVICE("http://127.0.0.1:1")', "=1+1"]]})
    found = read(reading, tmp_path, "a.xlsx", body)
    assert "harbour" in found
    assert "2" not in found


def test_xml_a_million_deep_gives_what_is_in_it(reading: Reader, tmp_path: Path) -> None:
    assert read(reading, tmp_path, "a.xml", hostile.deep_xml(1_000_000)).strip() == "x"


def test_mail_in_mail_in_mail_ends(reading: Reader, tmp_path: Path) -> None:
    found = read(reading, tmp_path, "a.eml", hostile.deep_mail(5_000))
    assert found.startswith("FAILED ") or "deep" in found
