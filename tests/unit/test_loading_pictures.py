"""Loading of pictures and scans: their words are recognised, offline, page by page, when the recipe says so."""

from __future__ import annotations

import io
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import DocumentFailed
from tasks.ingest import load
from tasks.ingest.loading import ocr, pdf, portions
from tasks.ingest.loading.ocr_lines import Line, arranged
from tasks.ingest.loading.sentences import NO_OCR
from tests.unit.factories import documents
from tests.unit.factories.reading import Put, pages_of, reason, text_of

SIGN = ["Harbour of Bergen", "Opened in 1070"]


def line(text: str, left: float, top: float, right: float) -> Line:
    return Line(text, left, top, right, top + 20)


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("PNG", "RGBA"),
        ("PNG", "1"),
        ("JPEG", "L"),
        ("WEBP", "RGB"),
        ("BMP", "RGB"),
        ("GIF", "P"),
        ("TIFF", "I;16"),
    ],
)
def test_the_words_in_a_picture_are_recognised(put: Put, form: str, mode: str) -> None:
    assert text_of(put(documents.image(SIGN, form, mode)), "sign").split("\n")[:2] == SIGN


def test_a_page_that_was_scanned_upside_down_is_turned(put: Put) -> None:
    lines = [*SIGN, "The pier was built later", "and is closed in winter"]
    stream = io.BytesIO()
    documents.picture(lines).rotate(180).save(stream, "PNG")
    assert text_of(put(stream.getvalue()), "a.png").split("\n")[:4] == lines


def test_words_of_a_long_line_stay_apart(put: Put) -> None:
    body = "The committee met on Tuesday and approved the budget of the old harbour of Bergen"
    assert text_of(put(documents.image([body[:41], body[41:].strip()])), "a.png").split() == body.split()


def test_each_page_of_a_tiff_is_a_page(put: Put) -> None:
    pages = pages_of(put(documents.scans([["First page"], ["Second page"]])), "a.tif")
    assert pages == [(1, "First page\n\n"), (2, "Second page\n\n")]


def test_pages_of_a_pdf_without_text_are_recognised_one_at_a_time(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "PACE_S", 0.0)
    path = put(documents.scans([["First page"], ["Second page"]], "PDF"))
    seen = list(load.read(path, "scan.pdf"))
    assert [portion.done for portion in seen][:2] == [1, 2]
    assert pages_of(path, "scan.pdf") == [(1, "First page"), (2, "Second page")]


def test_with_recognition_off_scans_and_pictures_ask_for_it(put: Put) -> None:
    assert "(OCR) is off" in reason(put(documents.scans([SIGN], "PDF")), "scan.pdf", ocr="off")
    assert "(OCR) is off" in reason(put(documents.image(SIGN)), "sign.png", ocr="off")


def test_pictures_on_a_page_with_text_are_recognised_only_with_recognition_on(put: Put) -> None:
    path = put(documents.text_beside_a_picture("The caption", SIGN))
    assert text_of(path, "a.pdf").strip() == "The caption"
    words = text_of(path, "a.pdf", ocr="on")
    assert words.startswith("The caption")
    assert all(one in words for one in SIGN)


def test_an_empty_page_of_a_pdf_is_not_rendered(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "_rendered", lambda page: pytest.fail("rendered"))
    assert "found no text in the PDF" in reason(put(documents.pdf(["", ""])), "scan.pdf")


def test_a_picture_without_words_says_so(put: Put) -> None:
    assert "found no text in the picture" in reason(put(documents.image([])), "a.png")


@pytest.mark.parametrize("width", [2_500, 5_000, 60_000])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(put: Put, width: int) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, 50_000, 8, 2, 0, 0, 0)
    body = b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + struct.pack(">I", zlib.crc32(header))
    assert "more than 100 megapixels" in reason(put(body + b"\0\0\0\0IDAT" + bytes(100)), "a.png")


@pytest.mark.parametrize("share", [0.2, 0.6])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF"])
def test_a_truncated_picture_says_that_it_is_damaged(put: Put, form: str, share: float) -> None:
    body = documents.image(SIGN, form)
    assert "could not be read as a picture" in reason(put(body[: int(len(body) * share)]), "a.png")


def test_a_worker_that_lacks_a_library_says_so(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise DocumentFailed(reason=NO_OCR.format(reason="libGL.so.1 is missing"))

    monkeypatch.setattr(ocr, "_engine", missing)
    assert "cannot start on this worker (libGL.so.1 is missing)" in reason(put(documents.image(SIGN)), "a.png")


def test_memory_that_ran_out_is_not_blamed_on_the_picture(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    def engine() -> Callable[..., None]:
        def run(pixels: object, **options: object) -> None:
            raise RuntimeError("[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer")

        return run

    monkeypatch.setattr(ocr, "_engine", engine)
    with pytest.raises(MemoryError):
        text_of(put(documents.image(SIGN)), "a.png")


def test_recognition_opens_no_connection(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    ocr._engine.cache_clear()
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("a connection was opened"))
    assert text_of(put(documents.image(SIGN)), "a.png").startswith(SIGN[0])


def test_the_engine_keeps_nothing_about_this_machine_and_reports_to_nobody(tmp_path: Path) -> None:
    """Its reporter begins with an id and a database in the home folder; a CI's variables would switch it off."""
    home, picture = tmp_path / "home", tmp_path / "a.png"
    home.mkdir()
    picture.write_bytes(documents.image(SIGN))
    code = (
        "import sys; from pathlib import Path; from tasks.ingest import load; list(load.read(Path(sys.argv[1]), 'a'))"
    )
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code, picture], env=environment, check=True, timeout=120)
    assert [path.relative_to(home).as_posix() for path in home.rglob("*")] == []


def test_the_engine_is_not_loaded_before_the_first_picture() -> None:
    code = "import sys, tasks.ingest.load; sys.exit(any(name in sys.modules for name in ('cv2', 'onnxruntime')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_lines_of_a_row_are_joined_from_left_to_right() -> None:
    rows = [line("b", 200, 2, 260), line("a", 0, 0, 60), line("c", 0, 40, 60)]
    assert arranged(rows) == ["a b", "c"]


def test_columns_of_prose_are_read_one_after_the_other_between_heading_and_foot() -> None:
    left = [line(f"left {n}", 0, 100 + 30 * n, 290) for n in range(6)]
    right = [line(f"right {n}", 310, 100 + 30 * n, 600) for n in range(6)]
    page = [line("heading", 100, 0, 500), *left, *right, line("foot", 100, 400, 500)]
    assert arranged(page) == ["heading", *(one.text for one in left), *(one.text for one in right), "foot"]


def test_a_table_is_read_row_by_row() -> None:
    cells = [
        line(f"{row}{column}", 200 * at, 30 * row, 200 * at + 40) for row in range(6) for at, column in enumerate("abc")
    ]
    assert arranged(cells) == [f"{row}a {row}b {row}c" for row in range(6)]
