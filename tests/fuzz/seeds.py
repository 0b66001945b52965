"""Good files of every format, and the ways in which they are spoiled."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from hypothesis import strategies as st

from tests.unit.factories import compound, documents

HOSTILE = (
    b"\xff" * 8,
    b"\x00" * 64,
    b"\x7f\xff\xff\xff",
    b"%s%n%x" * 4,
    b"<!DOCTYPE a [<!ENTITY x 'y'>]>",
    b"\\u" * 20,
    b"[" * 5_000,
    b"<a>" * 5_000,
    b"((((((((",
    b"1e999999",
    b"-2147483649",
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{ZERO WIDTH JOINER}\ufffe".encode("utf-8", "surrogatepass"),
)


def _good() -> dict[str, bytes]:
    """A good file by its name, which names its format."""
    return {
        "a.pdf": documents.pdf(["harbour", "", "quay and crane"]),
        "a.docx": documents.word(["harbour", "quay"], [["a", "b"], ["c", "d"]], "after"),
        "a.pptx": documents.slides(["harbour"], "notes", [["a", "b"]]),
        "a.xlsx": documents.sheets({"one": [["harbour", 1, 2.5], [None, "x"]], "two": [["y"]]}),
        "a.odt": documents.open_document("text", "<text:p>harbour</text:p><text:h>quay</text:h>"),
        "a.ods": documents.open_document("spreadsheet", "<table:table><table:table-row/></table:table>"),
        "a.odp": documents.open_document("presentation", "<draw:page><text:p>harbour</text:p></draw:page>"),
        "a.epub": documents.book("harbour", {"a.xhtml": "<html><body><p>quay</p></body></html>"}),
        "a.doc": compound.old_word("harbour quay " * 40),
        "a.ppt": compound.old_powerpoint([("harbour", "quay"), ("crane", "")]),
        "a.xls": compound.old_excel("one", [["harbour", 1.5], ["quay", 2.0]]),
        "a.msg": compound.outlook("harbour", "Ana", "plain words", "<p>rich words</p>", "a.bin"),
        "a.eml": documents.mail("harbour", "plain words", "<p>rich words</p>", "a.bin"),
        "a.html": b"<html><head><title>harbour</title></head><body><table><tr><td>x</table><p>quay</body></html>",
        "a.xml": b"<?xml version='1.0' encoding='utf-8'?><a b='c'><d>harbour</d><!-- x --><e/></a>",
        "a.csv": b'name,place\n"harbour, old",quay\n"a ""b""",c\n',
        "a.json": b'{"harbour": ["quay", 1, null, {"deep": true}]}',
        "a.jsonl": b'{"a": "harbour"}\n{"b": 2}\n',
        "a.rtf": rb"{\rtf1\ansi{\fonttbl{\f0 Arial;}}\f0 harbour \'e4 \u8364? {\pict 0123abcd}\par quay}",
        "a.md": "# harbour\n\n- *quay*\n\n```\ncode\n```\n\u00e4\u00f6\u00fc\n".encode(),
        "a.rst": b"harbour\n=======\n\n.. note:: quay\n\n* one\n",
        "a.org": b"* harbour\n** quay\n#+BEGIN_SRC\nx\n#+END_SRC\n",
        "a.txt": "harbour \u00e4 quay".encode("utf-16"),
        "a.png": documents.image(["harbour"]),
        "a.tiff": documents.scans([["harbour"], ["quay"]]),
    }


def _pictures() -> dict[str, bytes]:
    """What text recognition looks at: a picture of every format, and a PDF of scanned pages."""
    forms = {"a.png": "PNG", "a.jpg": "JPEG", "a.webp": "WEBP", "a.bmp": "BMP", "a.gif": "GIF"}
    made = {name: documents.image(["harbour"], form) for name, form in forms.items()}
    return {
        **made,
        "a.tiff": documents.scans([["harbour"], ["quay"]]),
        "b.tif": documents.image(["harbour"], "TIFF", "I;16"),
        "scan.pdf": documents.scans([["harbour"]], "PDF"),
    }


# Made once: some of the writers choose names at random.
GOOD = _good()
PICTURES = _pictures()
ARCHIVE = documents.archive({"a.txt": b"harbour", "inner/b.md": b"# quay", "c.bin": bytes(300)})


@st.composite
def spoiled(draw: st.DrawFn, good: Mapping[str, bytes] = GOOD) -> tuple[str, bytes]:
    """A file whose bytes, or those of one part inside of it, were changed in a few places; under any name."""
    name = draw(st.sampled_from(sorted(good)))
    body = good[name]
    if zipfile.is_zipfile(io.BytesIO(body)) and draw(st.booleans()):
        body = _with_a_part_spoiled(draw, body)
    else:
        body = _spoiled(draw, body)
    shown = draw(st.sampled_from([name, name, name, *sorted(good)]))
    return shown, body


@st.composite
def spoiled_archives(draw: st.DrawFn) -> bytes:
    """A zip archive of documents whose bytes were changed in a few places."""
    return _spoiled(draw, ARCHIVE)


def _with_a_part_spoiled(draw: st.DrawFn, body: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        parts = {info.filename: packed.read(info) for info in packed.infolist()}
    chosen = draw(st.sampled_from(sorted(parts)))
    parts[chosen] = _spoiled(draw, parts[chosen])
    return documents.archive(parts)


def _spoiled(draw: st.DrawFn, body: bytes) -> bytes:
    made = bytearray(body)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(made)))
        match draw(st.sampled_from(["flip", "insert", "cut", "copy", "end"])):
            case "flip" if at < len(made):
                made[at] ^= draw(st.integers(1, 255))
            case "insert":
                made[at:at] = draw(st.sampled_from(HOSTILE) | st.binary(min_size=1, max_size=12))
            case "cut":
                del made[at : at + draw(st.integers(1, 64))]
            case "copy":
                size = draw(st.integers(1, 400))
                made[at:at] = made[at : at + size] * draw(st.integers(1, 8))
            case "end":
                del made[max(1, at) :]
    return bytes(made)
