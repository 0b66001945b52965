"""What a file is: decided by its content first and by its name only where the content leaves it open.

Reads a few kilobytes, parses nothing. What cannot be ingested is refused here with a sentence that says
what the file is and what to upload instead.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from tasks.errors import DocumentFailed
from tasks.ingest.loading import office, text

SUPPORTED: Mapping[str, str] = MappingProxyType(
    {
        ".pdf": "pdf",
        ".docx": "docx",
        ".pptx": "pptx",
        ".xlsx": "xlsx",
        ".eml": "eml",
        ".html": "html",
        ".htm": "html",
        ".xhtml": "html",
        ".csv": "csv",
        ".tsv": "csv",
        ".json": "json",
        ".jsonl": "jsonl",
        ".ndjson": "jsonl",
        ".md": "md",
        ".markdown": "md",
        ".txt": "txt",
        ".text": "txt",
        ".log": "txt",
        ".rst": "txt",
        ".org": "txt",
    }
)

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "pdf": "a PDF",
        "docx": "a Word document",
        "pptx": "a PowerPoint presentation",
        "xlsx": "an Excel workbook",
        "eml": "an e-mail",
        "html": "a web page",
        "csv": "a table (CSV)",
        "json": "JSON",
        "jsonl": "JSON lines",
        "md": "Markdown",
        "txt": "text",
    }
)

FORMATS = "PDF, Word, PowerPoint, Excel, e-mail, HTML, CSV, JSON, Markdown or plain text"
ENCRYPTED = "The file is protected with a password; save it without one and upload it again."
DAMAGED = "The file could not be read as {label}; it may be damaged: open it, save it again and upload that."

_HEAD = 8192
_BINARY = {"pdf", "docx", "pptx", "xlsx"}
_PICTURE = "The file is a picture ({format}) and holds no text; upload {formats}."
_OTHER = "The file is {what}, which cannot be read here; {remedy}."
_INSTEAD = f"upload {FORMATS}"
_UNPACK = "unpack it and upload the documents in it"

_PICTURES = (
    (b"\x89PNG\r\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)
_OTHERS = (
    (b"{\\rtf", "a rich text (RTF) file", "save it as .docx or PDF"),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a", "a RAR archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\0", "an xz archive", _UNPACK),
    (b"\x7fELF", "a program", _INSTEAD),
    (b"SQLite format 3\0", "a database", "export its tables as CSV"),
    (b"%!PS", "a PostScript file", "save it as PDF"),
    (b"ID3", "a sound file", _INSTEAD),
    (b"OggS", "a sound file", _INSTEAD),
    (b"PAR1", "a Parquet table", "save it as CSV"),
)

# Names of streams in the directory of an OLE compound file ([MS-CFB] 2.6.1), UTF-16 there.
_OLE_STREAMS = (
    ("EncryptedPackage", "", ""),
    ("WordDocument", "an old Word file (.doc)", "save it as .docx"),
    ("PowerPoint Document", "an old PowerPoint file (.ppt)", "save it as .pptx"),
    ("Workbook", "an old Excel file (.xls)", "save it as .xlsx"),
    ("__properties_version1.0", "an Outlook message (.msg)", "save it as .eml"),
    ("__nameid_version1.0", "an Outlook message (.msg)", "save it as .eml"),
)

_HTML = re.compile(
    r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_MAIL = re.compile(
    r"(?:(?:From|To|Subject|Date|Received|Return-Path|Message-ID|MIME-Version):[^\n]*\n(?:[ \t][^\n]*\n)*){2}", re.I
)


def kind(path: Path, name: str) -> str:
    """The kind of the file, one of the values of SUPPORTED.

    Raises DocumentFailed for what is empty or of no format that we read; OSError from the disk passes.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise DocumentFailed(reason="The file is empty; check where it came from and upload it again.")
    named = SUPPORTED.get(PurePosixPath(name).suffix.lower(), "")
    found = _by_magic(path, head, named)
    if found:
        return found
    if named and named not in _BINARY:
        return named
    if text.looks_like_text(head):
        return _by_text(text.head(head))
    if named:
        raise DocumentFailed(reason=DAMAGED.format(label=LABELS[named]))
    raise DocumentFailed(reason=f"The file is of a format that cannot be read here; upload {FORMATS}.")


def _by_magic(path: Path, head: bytes, named: str) -> str:
    """The kind that the first bytes prove, or "" when they prove none."""
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_kind(path, named)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        raise DocumentFailed(reason=_ole_reason(path, head))
    for magic, picture in _PICTURES:
        if head.startswith(magic):
            raise DocumentFailed(reason=_PICTURE.format(format=picture, formats=FORMATS))
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        raise DocumentFailed(reason=_PICTURE.format(format="WebP", formats=FORMATS))
    if head[4:8] == b"ftyp":
        if head[8:12] in (b"heic", b"heix", b"mif1", b"avif"):
            raise DocumentFailed(reason=_PICTURE.format(format="HEIF", formats=FORMATS))
        raise DocumentFailed(reason=_OTHER.format(what="a video", remedy=_INSTEAD))
    for magic, what, remedy in _OTHERS:
        if head.startswith(magic):
            raise DocumentFailed(reason=_OTHER.format(what=what, remedy=remedy))
    return ""


def _zip_kind(path: Path, named: str) -> str:
    try:
        names = office.members(path)
    except zipfile.BadZipFile:
        label = LABELS[named] if named in ("docx", "pptx", "xlsx") else "an Office document"
        raise DocumentFailed(reason=DAMAGED.format(label=label)) from None
    for folder, found in (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx")):
        if any(member.startswith(folder) for member in names):
            return found
    if "META-INF/container.xml" in names:
        what, remedy = "an e-book (EPUB)", "save it as PDF or HTML"
    elif "content.xml" in names:
        what, remedy = "an OpenDocument file", "save it as .docx, .xlsx, .pptx or PDF"
    else:
        what, remedy = "a zip archive", _UNPACK
    raise DocumentFailed(reason=_OTHER.format(what=what, remedy=remedy))


def _ole_reason(path: Path, head: bytes) -> str:
    """What an OLE compound file is, told by the first kilobytes of its directory."""
    size = 1 << min(int.from_bytes(head[30:32], "little"), 16)
    with path.open("rb") as file:
        file.seek((int.from_bytes(head[48:52], "little") + 1) * size)
        directory = file.read(4096)
    for stream, what, remedy in _OLE_STREAMS:
        if stream.encode("utf-16-le") in directory:
            return _OTHER.format(what=what, remedy=remedy) if what else ENCRYPTED
    return _OTHER.format(what="an old Office file", remedy="save it as .docx, .xlsx or .pptx")


def _by_text(start: str) -> str:
    """The kind of a text whose name says nothing of use."""
    if _HTML.match(start):
        return "html"
    if _MAIL.match(start):
        return "eml"
    return "txt"
