"""Files that were made to do harm: what opens them must end with a sentence, or with harmless text."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from tests.unit.factories import documents

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SLIDE = "http://schemas.openxmlformats.org/presentationml/2006/main"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"


def laughs(tag: str = "a") -> str:
    """XML whose entities unfold to ten thousand million words."""
    entities = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 11))
    return f"<?xml version='1.0'?><!DOCTYPE {tag} [<!ENTITY l0 'ha'>{entities}]>"


def quadratic() -> str:
    """XML in which one long entity is named many times."""
    return f"<!DOCTYPE a [<!ENTITY x '{'A' * 100_000}'>]><a>{'&x;' * 20_000}</a>"


def with_part(document: bytes, part: str, body: bytes) -> bytes:
    """A document that is a zip file, with one of its parts replaced."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(document)) as good, zipfile.ZipFile(stream, "w") as made:
        for info in good.infolist():
            made.writestr(info, body if info.filename == part else good.read(info))
    return stream.getvalue()


def word_with_part(part: str, body: bytes) -> bytes:
    """A Word document with one of its parts replaced."""
    return with_part(documents.word(["before"]), part, body)


def sheet_body(doctype: str, inside: str) -> bytes:
    """A workbook with a document type in front of its sheet."""
    body = f"{doctype}<worksheet xmlns='{SHEET}'><sheetData><row><c t='inlineStr'><is><t>{inside}</t></is></c></row></sheetData></worksheet>"  # noqa: E501
    return with_part(documents.sheets({"a": [["x"]]}), "xl/worksheets/sheet1.xml", body.encode())


def slide_body(doctype: str, inside: str) -> bytes:
    """A presentation with a document type in front of its slide."""
    body = (
        f'{doctype}<p:sld xmlns:p="{SLIDE}" xmlns:a="{DRAWING}"><p:cSld><p:spTree><p:sp><p:txBody><a:p><a:r>'
        f"<a:t>{inside}</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>"
    )
    return with_part(documents.slides(["x"]), "ppt/slides/slide1.xml", body.encode())


def open_body(doctype: str, inside: str) -> bytes:
    """An OpenDocument text with a document type in front of its content."""
    made = documents.open_document("text", f"<text:p>{inside}</text:p>")
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        content = archive.read("content.xml").decode()
    start = content.index("?>") + 2 if content.startswith("<?xml") else 0
    return with_part(made, "content.xml", f"{content[:start]}{doctype}{content[start:]}".encode())


def word_body(doctype: str, inside: str) -> bytes:
    """A Word document with a document type in front of its body."""
    body = (
        f'{doctype}<w:document xmlns:w="{WORD}"><w:body><w:p><w:r><w:t>{inside}</w:t></w:r></w:p></w:body></w:document>'
    )
    return word_with_part("word/document.xml", body.encode())


def bomb(member: str, megabytes: int) -> bytes:
    """An archive of a few kilobytes whose member unpacks to so much."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made, made.open(member, "w") as out:
        for _ in range(megabytes):
            out.write(bytes(1 << 20))
    return stream.getvalue()


def overlapping(copies: int, megabytes: int) -> bytes:
    """An archive whose directory lists the same packed bytes again and again (D. Fifield, A better zip bomb, 2019)."""
    one = bytearray(bomb("a.txt", megabytes))
    end = one.rindex(b"PK\x05\x06")
    size, start = struct.unpack_from("<II", one, end + 12)
    entry = bytes(one[start : start + size])
    directory = b"".join(entry.replace(b"a.txt", b"%c.txt" % (97 + at % 26)) for at in range(copies))
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, copies, copies, len(directory), start, 0)
    return bytes(one[:start]) + directory + tail


def nested(depth: int) -> bytes:
    """An archive in an archive in an archive."""
    body = documents.archive({"a.txt": b"the innermost words"})
    for at in range(depth):
        body = documents.archive({f"level{at}.zip": body})
    return body


def pdf(objects: list[str]) -> bytes:
    """A PDF of these objects, numbered from 1; the first is its catalogue."""
    out = b"%PDF-1.7\n"
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    trailer = f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF"
    return out + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode()


def looping_pdf() -> bytes:
    """A PDF whose tree of pages is its own child."""
    return pdf(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            "<< /Type /Pages /Kids [2 0 R 3 0 R] /Count 1000000 >>",
            "<< /Type /Pages /Parent 2 0 R /Kids [2 0 R] /Count 1000000 >>",
        ]
    )


def endless_pdf(pages: int) -> bytes:
    """A PDF that has one page so many times."""
    return pdf(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            f"<< /Type /Pages /Kids [{'3 0 R ' * pages}] /Count {pages} >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] >>",
        ]
    )


def claiming_pdf(pages: int) -> bytes:
    """A PDF with one page that claims to have so many."""
    return pdf(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            f"<< /Type /Pages /Kids [3 0 R] /Count {pages} >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] >>",
        ]
    )


def looping_form() -> bytes:
    """A PDF whose page draws a form that draws itself."""
    draw = "<< /Length 6 >>\nstream\n/F Do \nendstream"
    form = draw.replace(
        "<<", "<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /F 5 0 R >> >>"
    )
    return pdf(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Contents 4 0 R "
            "/Resources << /XObject << /F 5 0 R >> >> >>",
            draw,
            form,
        ]
    )


def acting_pdf(address: str) -> bytes:
    """A PDF that wants to run JavaScript, start a program and call an address when it is opened."""
    text = "BT /F1 12 Tf 10 10 Td (harbour) Tj ET"
    action = (
        f"<< /S /JavaScript /JS (app.launchURL\\('{address}'\\)) /Next << /S /Launch /F (/bin/sh) "
        f"/Next << /S /URI /URI ({address}) >> >> >>"
    )
    return pdf(
        [
            f"<< /Type /Catalog /Pages 2 0 R /OpenAction {action} >>",
            "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> "
            f"/AA << /O {action} >> >>",
            f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
            "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        ]
    )


def unfolding_pdf(megabytes: int) -> bytes:
    """A PDF whose page is a stream that unpacks to so much of nothing."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(megabytes)) + packer.flush()
    inner = packed.decode("latin-1")
    return pdf(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Contents 4 0 R >>",
            f"<< /Length {len(packed)} /Filter /FlateDecode >>\nstream\n{inner}\nendstream",
        ]
    )


def vast_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims so many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack("!I", len(body)) + kind + body + struct.pack("!I", zlib.crc32(kind + body))

    head = struct.pack("!2I5B", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def looping_tiff() -> bytes:
    """A TIFF whose only page comes after itself, for ever."""
    tags = [(256, 3, 1, 9), (257, 3, 1, 9), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    tags += [(277, 3, 1, 1), (278, 3, 1, 9), (279, 4, 1, 81)]
    pixels = bytes(82)
    page = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(pixels)) + pixels + page + struct.pack("<I", 8 + len(pixels))


def crowded(entries: int) -> bytes:
    """An archive whose directory lists so many files of one byte, all of them the same."""
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0) + b"a"
    first = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 1, 1, 1, 0) + b"ax"
    # The number that it states is a lie; there is room for 16 bits only.
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(entry) * entries, len(first), 0)
    return first + entry * entries + end


def deep_word(depth: int) -> bytes:
    """A Word document of tables in tables."""
    inside = "<w:tbl><w:tr><w:tc>" * depth + "<w:p/>" + "</w:tc></w:tr></w:tbl>" * depth
    return word_with_part(
        "word/document.xml", f'<w:document xmlns:w="{WORD}"><w:body>{inside}</w:body></w:document>'.encode()
    )


def deep_open(depth: int) -> bytes:
    """An OpenDocument text of spans in spans."""
    return open_body("", "<text:span>" * depth + "harbour" + "</text:span>" * depth)


def deep_rich(depth: int) -> str:
    return r"{\rtf1 " + "{" * depth + "harbour" + "}" * depth + "}"


def deep_json(depth: int) -> str:
    return "[" * depth + "]" * depth


def deep_xml(depth: int) -> str:
    return "<a>" * depth + "x" + "</a>" * depth


def deep_mail(depth: int) -> bytes:
    """An e-mail with so many multiparts in each other."""
    lines = [b"From: a@example.org\nSubject: deep"]
    for at in range(depth):
        lines.append(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d' % (at, at))
    return b"\n".join([*lines, b"Content-Type: text/plain\n\nthe innermost words\n"])


def calling_home(address: str) -> dict[str, bytes]:
    """Files of several formats that name an address to be fetched, by file name."""
    entity = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{address}/entity"><!ENTITY % p SYSTEM "{address}/parameter"> %p;]>'
    page = (
        f'<html><head><link rel="stylesheet" href="{address}/a.css"><script src="{address}/a.js"></script>'
        f'<base href="{address}/"></head><body><img src="{address}/a.png"><iframe src="{address}/f"></iframe>'
        "harbour</body>"
    )
    template = f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate" Target="{address}/t.dotm" TargetMode="External"/></Relationships>'  # noqa: E501
    return {
        "a.xml": f"{entity}<a>harbour &x;</a>".encode(),
        "a.svg": f'{entity}<svg xmlns="http://www.w3.org/2000/svg"><image href="{address}/i"/>harbour</svg>'.encode(),
        "a.html": page.encode(),
        "a.docx": word_with_part("word/_rels/settings.xml.rels", template.encode()),
        "xxe.docx": word_body(entity, "harbour &x;"),
        "xxe.xlsx": sheet_body(entity, "harbour &x;"),
        "xxe.pptx": slide_body(entity, "harbour &x;"),
        "xxe.odt": open_body(entity, "harbour &x;"),
        "a.eml": documents.mail("news", html=page),
        "a.epub": documents.book("t", {"a.xhtml": f"{entity}{page}</html>"}),
        "a.odt": documents.open_document("text", f'<text:p>harbour <draw:image href="{address}/i.png"/></text:p>'),
        "a.rtf": rb"{\rtf1 harbour {\field{\*\fldinst INCLUDEPICTURE " + address.encode() + rb"/p.png}{\fldrslt x}}}",
        "a.pdf": acting_pdf(address),
        "a.md": f"harbour ![x]({address}/i.png) <img src='{address}/j.png'>".encode(),
        "a.rst": f"harbour\n\n.. image:: {address}/i.png\n\n.. include:: /etc/passwd\n".encode(),
    }
