"""Documents as bytes, each by a writer of its own format, and some that no writer should make."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from email.message import EmailMessage

import docx
import openpyxl
import pptx
from fpdf import FPDF, XPos, YPos
from lxml import etree
from PIL import Image, ImageDraw, ImageFont
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


def _saved(made: object) -> bytes:
    stream = io.BytesIO()
    made.save(stream)  # type: ignore[attr-defined]
    return stream.getvalue()


def open_document(kind: str, body: str, *, locked: bool = False) -> bytes:
    """An OpenDocument file: `kind` is "text", "spreadsheet" or "presentation", `body` what is inside that element."""
    spaces = "".join(
        f' xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for prefix, name in (("office", "office"), ("text", "text"), ("table", "table"), ("draw", "drawing"))
    )
    content = f"<office:document-content{spaces}><office:body><office:{kind}>{body}</office:{kind}></office:body>"
    manifest = "<manifest:encryption-data/>" if locked else "<manifest:manifest/>"
    return archive(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}".encode(),
            "content.xml": f"{content}</office:document-content>".encode(),
            "META-INF/manifest.xml": manifest.encode(),
        }
    )


def book(title: str, chapters: Mapping[str, str], *, order: Sequence[str] = (), locked_with: str = "") -> bytes:
    """An EPUB with chapters by file name, in the reading order given."""
    rows = "".join(f'<item id="{name}" href="{name}" media-type="application/xhtml+xml"/>' for name in chapters)
    spine = "".join(f'<itemref idref="{name}"/>' for name in order or chapters)
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>{title}</dc:title></metadata><manifest>{rows}</manifest><spine>{spine}</spine></package>"
    )
    members = {
        "mimetype": b"application/epub+zip",
        "META-INF/container.xml": b'<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        "OPS/book.opf": package.encode(),
        **{f"OPS/{name}": body.encode() for name, body in chapters.items()},
    }
    if locked_with:
        members["META-INF/encryption.xml"] = f'<x><EncryptionMethod Algorithm="{locked_with}"/></x>'.encode()
    return archive(members)


def picture(lines: Sequence[str]) -> Image.Image:
    """A picture with one line of text under the other."""
    made = Image.new("RGB", (900, 60 + 60 * len(lines)), "white")
    pen = ImageDraw.Draw(made)
    for at, line in enumerate(lines):
        pen.text((40, 30 + 60 * at), line, fill="black", font=ImageFont.load_default(34))
    return made


def image(lines: Sequence[str], form: str = "PNG", mode: str = "RGB") -> bytes:
    """A picture of that text as a file."""
    stream = io.BytesIO()
    picture(lines).convert(mode).save(stream, form)
    return stream.getvalue()


def scans(pages: Sequence[Sequence[str]], form: str = "TIFF") -> bytes:
    """A TIFF or a PDF whose pages are pictures of text."""
    first, *others = [picture(lines) for lines in pages]
    stream = io.BytesIO()
    first.save(stream, form, save_all=True, append_images=others)
    return stream.getvalue()


def text_beside_a_picture(text: str, lines: Sequence[str]) -> bytes:
    """A PDF of one page with a line of text and a picture of others."""
    made = FPDF()
    made.set_font("Helvetica", size=12)
    made.add_page()
    made.cell(0, 10, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    made.image(picture(lines), w=180)
    return bytes(made.output())
