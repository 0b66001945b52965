"""OpenDocument text, spreadsheets and presentations: the XML of `content.xml`, walked as it is parsed.

Only what a reader of the document sees: no deleted text, no comments, no form code. The tree is thrown away
block by block, so memory holds one paragraph or one table row. Source: OpenDocument 1.3, parts 2 and 3.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from tasks.errors import DocumentFailed
from tasks.ingest.loading import office
from tasks.ingest.loading.portions import RANGE, Piece, ranges
from tasks.ingest.loading.sentences import ENCRYPTED

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_PARAGRAPHS = (_TEXT + "p", _TEXT + "h")
_ROW, _TAB, _SHEET, _SLIDE = _TABLE + "table-row", _TEXT + "tab", _TABLE + "table", _DRAW + "page"
_HIDDEN = (_TEXT + "tracked-changes", _OFFICE + "annotation", _OFFICE + "scripts", _OFFICE + "forms")
_SPACES_MAX = 100
_BLOCKS = 200


def read(path: Path) -> Iterator[Piece]:
    """Paragraphs and table rows in their order; a sheet or a slide is a page."""
    office.members(path)
    with zipfile.ZipFile(path) as archive:
        if _encrypted(archive):
            raise DocumentFailed(reason=ENCRYPTED)
        total = ranges(archive.getinfo("content.xml").file_size)
        with archive.open("content.xml") as part:
            page: int | None = None
            lines: list[str] = []
            for line, at in _lines(part):
                if at != page or len(lines) >= _BLOCKS:
                    yield Piece("".join(lines), min(total - 1, part.tell() // RANGE), total, page=page)
                    lines.clear()
                    page = at
                lines.append(line)
            yield Piece("".join(lines), total, total, page=page)


def _encrypted(archive: zipfile.ZipFile) -> bool:
    try:
        with archive.open("META-INF/manifest.xml") as part:
            return b"encryption-data" in part.read(1 << 20)
    except KeyError:
        return False


def _lines(part: object) -> Iterator[tuple[str, int | None]]:
    """Each paragraph or table row with the number of its sheet or slide, None in a text."""
    hidden, rows, sheets, slides = 0, 0, 0, 0
    page: int | None = None
    spreadsheet = False
    events = etree.iterparse(
        part, events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True
    )
    for event, element in events:
        tag = element.tag
        if event == "start":
            hidden += tag in _HIDDEN
            rows += tag == _ROW
            if tag == _OFFICE + "spreadsheet":
                spreadsheet = True
            elif tag == _SLIDE:
                slides += 1
                page = slides
            elif tag == _SHEET and spreadsheet and not rows:
                sheets += 1
                page = sheets
                yield f"{element.get(_TABLE + 'name', '')}\n\n", page
            continue
        if tag in _HIDDEN:
            hidden -= 1
            element.clear(keep_tail=True)
        elif tag == _ROW:
            rows -= 1
            if not rows:
                if not hidden and (row := _row(element)):
                    yield row + "\n", page
                _drop(element)
        elif tag in _PARAGRAPHS and not rows and not _inside_paragraph(element):
            if not hidden and (words := _words(element).strip()):
                yield words + "\n\n", page
            _drop(element)
        elif tag == _SHEET and not rows:
            yield "\n", page
            _drop(element)


def _drop(element: etree._Element) -> None:
    """Forget a block that was read, and the empty ones before it that its parent still holds."""
    element.clear(keep_tail=True)
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _inside_paragraph(element: etree._Element) -> bool:
    """Whether a paragraph belongs to a text box or a note that is anchored in another one, which reads it."""
    return any(parent.tag in _PARAGRAPHS for parent in element.iterancestors(*_PARAGRAPHS))


def _row(row: etree._Element) -> str:
    """The cells of a row that hold something. A repeated empty cell, of which there may be a million, is one."""
    cells = (" ".join(_words(cell).split()) for cell in row.iter(_TABLE + "table-cell"))
    return " | ".join(cell for cell in cells if cell)


def _words(element: etree._Element) -> str:
    """The text below an element; white space is an element of its own in this format."""
    parts = [element.text or ""]
    for child in element:
        tag = child.tag
        if tag == _TEXT + "s":
            count = child.get(_TEXT + "c", "1")
            parts.append(" " * min(_SPACES_MAX, int(count) if count.isdecimal() else 1))
        elif tag == _TAB:
            parts.append("\t")
        elif tag == _TEXT + "line-break":
            parts.append("\n")
        elif isinstance(tag, str) and tag not in _HIDDEN:
            inner = _words(child)
            parts.append(f"\n{inner}\n" if tag in _PARAGRAPHS else inner)
        parts.append(child.tail or "")
    return "".join(parts)
