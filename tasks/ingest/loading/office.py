"""Word, PowerPoint and Excel: zip files of XML, guarded against bombs before a parser opens them.

python-docx and python-pptx open the package (neither resolves entities); the text is then walked in the XML
itself, because their paragraph classes leave out inserted text, content controls, text boxes and groups.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
from lxml import etree

from tasks import archive as archives
from tasks.errors import DocumentFailed
from tasks.ingest.loading.portions import Piece
from tasks.ingest.loading.sentences import BOMB, TOO_LARGE

UNCOMPRESSED_MAX = 1 << 30  # bytes of all parts together
RATIO_MAX = 200  # uncompressed to compressed, looked at above RATIO_FROM
RATIO_FROM = 64 << 20
PART_MAX = 128 << 20  # bytes of one XML part that is parsed as a whole

_SKIPPED = frozenset(
    {"Fallback", "pPr", "rPr", "tblPr", "trPr", "tcPr", "sectPr", "del", "moveFrom", "instrText", "delText"}
)
_BLOCKS = 200  # blocks of a Word document, or rows of a sheet, that make one piece


def members(path: Path) -> list[str]:
    """The names of an archive's members.

    Raises DocumentFailed for a bomb or an encrypted archive, zipfile.BadZipFile for a damaged one.
    """
    try:
        with path.open("rb") as file:
            archives.hold_directory(file)
    except archives.ArchiveRefused:
        raise DocumentFailed(reason=BOMB) from None
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    total = sum(info.file_size for info in infos)
    packed = max(1, min(sum(info.compress_size for info in infos), path.stat().st_size))
    if total > UNCOMPRESSED_MAX or (total > RATIO_FROM and total > RATIO_MAX * packed):
        raise DocumentFailed(reason=BOMB)
    for info in infos:
        if info.file_size > PART_MAX and info.filename.endswith(".xml") and "worksheets/" not in info.filename:
            raise DocumentFailed(reason=TOO_LARGE)
    if any(info.flag_bits & 1 for info in infos):
        raise DocumentFailed(
            reason="The archive is protected with a password; save it without one and upload it again."
        )
    return [info.filename for info in infos]


def read_docx(path: Path) -> Iterator[Piece]:
    """Paragraphs and tables in their order; cells of a row are joined by ` | `."""
    body = docx.Document(str(path)).element.body
    blocks = list(body)
    total = max(1, len(blocks))
    lines: list[str] = []
    for done, block in enumerate(blocks, start=1):
        for line in _lines(block):
            lines.append(line)
            if len(lines) >= _BLOCKS:
                yield Piece("".join(lines), done - 1, total)
                lines.clear()
    yield Piece("".join(lines), total, total)


def read_pptx(path: Path) -> Iterator[Piece]:
    """One slide a page: its shapes, groups and tables, then its notes."""
    slides = list(pptx.Presentation(str(path)).slides)
    for number, slide in enumerate(slides, start=1):
        lines = list(_lines(slide.element))
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            lines.append(slide.notes_slide.notes_text_frame.text + "\n")
        yield Piece("".join(lines), number, len(slides), page=number)


def read_xlsx(path: Path) -> Iterator[Piece]:
    """One sheet a page: its name, then its rows with their cells joined by ` | `. Formulas give their last value."""
    # An open file, for openpyxl refuses a path by its suffix and uploads have none.
    with path.open("rb") as file:
        with warnings.catch_warnings():
            # openpyxl warns of what it will not keep when it saves; nothing is saved here.
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheets = book.worksheets
        for number, sheet in enumerate(sheets, start=1):
            yield from _sheet(sheet, number, len(sheets))


def _sheet(sheet: Any, number: int, total: int) -> Iterator[Piece]:
    # The dimensions that a file states may be a million empty rows.
    sheet.reset_dimensions()
    title = f"{sheet.title}\n\n"  # goes with the first rows: alone it is no content
    lines: list[str] = []
    for count, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        cells = (_cell(value) for value in row if value is not None)
        if line := " | ".join(cell for cell in cells if cell):
            lines.append(title + line + "\n")
            title = ""
        if count % _BLOCKS == 0:
            yield Piece("".join(lines), number - 1, total, page=number)
            lines.clear()
    yield Piece("".join(lines), number, total, page=number)


def _cell(value: Any) -> str:
    if isinstance(value, datetime | date | time):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return str(value).strip()


def _name(element: etree._Element) -> str:
    """The local name of an element; comments and processing instructions have none."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _lines(element: etree._Element) -> Iterator[str]:
    """The text below an element of WordprocessingML or DrawingML, a paragraph or a table row at a time."""
    name = _name(element)
    if name in _SKIPPED:
        return
    if name == "p":
        if text := _paragraph(element).strip():
            yield text + "\n\n"
    elif name == "tr":
        cells = (" ".join("".join(_lines(cell)).split()) for cell in element)
        if row := " | ".join(cell for cell in cells if cell):
            yield row + "\n"
    else:
        for child in element:
            yield from _lines(child)
        if name == "tbl":
            yield "\n"


def _paragraph(element: etree._Element) -> str:
    """The text of one paragraph; those of a text box inside it follow on lines of their own."""
    name = _name(element)
    if name == "t":
        return element.text or ""
    if name == "tab":
        return "\t"
    if name in ("br", "cr"):
        return "\n"
    inner = "".join(_paragraph(child) for child in element if _name(child) not in _SKIPPED)
    return f"\n{inner}" if name == "p" else inner
