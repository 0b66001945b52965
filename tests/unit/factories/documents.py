"""Documents as bytes, each by a writer of its own format, and some that no writer should make."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from email.message import EmailMessage

import docx
import openpyxl
import pptx
from fpdf import FPDF, XPos, YPos
from lxml import etree
from pptx.util import Inches

PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + bytes(range(64))


def pdf(pages: Sequence[str], password: str = "") -> bytes:
    """A PDF with one line of text on each page; a page of "" stays blank."""
    made = FPDF()
    made.set_font("Helvetica", size=12)
    for text in pages:
        made.add_page()
        if text:
            made.cell(0, 10, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    if password:
        made.set_encryption(owner_password="owner-" + password, user_password=password)
    return bytes(made.output())


def word(paragraphs: Sequence[str], table: Sequence[Sequence[str]] = (), after: str = "") -> bytes:
    """A Word document: paragraphs, then a table, then one more paragraph."""
    made = docx.Document()
    for text in paragraphs:
        made.add_paragraph(text)
    if table:
        grid = made.add_table(rows=len(table), cols=len(table[0]))
        for row, cells in zip(grid.rows, table, strict=True):
            for cell, text in zip(row.cells, cells, strict=True):
                cell.text = text
    if after:
        made.add_paragraph(after)
    return _saved(made)


def word_with_xml(inside_body: str) -> bytes:
    """A Word document whose body begins with that WordprocessingML (prefix `w`)."""
    made = docx.Document()
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    for position, element in enumerate(etree.fromstring(f'<x xmlns:w="{space}">{inside_body}</x>')):
        made.element.body.insert(position, element)
    return _saved(made)


def slides(titles: Sequence[str], notes: str = "", table: Sequence[Sequence[str]] = ()) -> bytes:
    """A presentation with one titled slide each; notes and table go on the last."""
    made = pptx.Presentation()
    for title in titles:
        slide = made.slides.add_slide(made.slide_layouts[5])
        slide.shapes.title.text = title
    if notes:
        slide.notes_slide.notes_text_frame.text = notes
    if table:
        size = (len(table), len(table[0]))
        grid = slide.shapes.add_table(*size, Inches(1), Inches(2), Inches(5), Inches(2)).table
        for at, cells in enumerate(table):
            for column, text in enumerate(cells):
                grid.cell(at, column).text = text
    return _saved(made)


def sheets(content: Mapping[str, Sequence[Sequence[object]]]) -> bytes:
    """A workbook; each sheet has a name and rows."""
    made = openpyxl.Workbook()
    made.remove(made.worksheets[0])
    for name, rows in content.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    return _saved(made)


def mail(subject: str, text: str = "", html: str = "", attachment: str = "") -> bytes:
    """An e-mail from Ana to Ben, as an .eml file holds it."""
    made = EmailMessage()
    made["Subject"], made["From"], made["To"] = subject, "Ana <ana@example.org>", "ben@example.org"
    made["Date"] = "Mon, 05 Jan 2026 10:00:00 +0000"
    if text:
        made.set_content(text)
    if html:
        made.add_alternative(html, subtype="html") if text else made.set_content(html, subtype="html")
    if attachment:
        made.add_attachment(b"bytes", maintype="application", subtype="octet-stream", filename=attachment)
    return bytes(made)


def archive(members: Mapping[str, bytes]) -> bytes:
    """A zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name, body in members.items():
            made.writestr(name, body)
    return stream.getvalue()


def compound(stream: str) -> bytes:
    """The beginning of an OLE compound file with one stream of that name ([MS-CFB] 2.2 and 2.6.1)."""
    header = bytearray(512)
    header[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    struct.pack_into("<H", header, 30, 9)  # sectors of 512 bytes
    struct.pack_into("<I", header, 48, 0)  # the directory is the first
    return bytes(header) + stream.encode("utf-16-le").ljust(512, b"\0")


def _saved(made: object) -> bytes:
    stream = io.BytesIO()
    made.save(stream)  # type: ignore[attr-defined]
    return stream.getvalue()
