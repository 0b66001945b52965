"""What a file is: decided by its content first and by its name only where the content leaves it open.

Reads a few kilobytes, parses nothing. What cannot be ingested is refused here with a sentence that says
what the file is and what to upload instead.
"""

from __future__ import annotations

import errno
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import olefile
from olefile.olefile import OleFileError

from tasks.errors import DocumentFailed
from tasks.ingest.loading import office, text
from tasks.ingest.loading.sentences import DAMAGED, EMPTY_ZIP, ENCRYPTED, HEIF, NESTED, OTHER, UNKNOWN
from tasks.ingest.loading.signatures import OLE_STREAMS, OPEN_DOCUMENT, OTHERS, PICTURES

_SUFFIXES = {
    "pdf": ".pdf",
    "docx": ".docx",
    "pptx": ".pptx",
    "xlsx": ".xlsx",
    "doc": ".doc",
    "ppt": ".ppt",
    "xls": ".xls",
    "odt": ".odt",
    "ods": ".ods",
    "odp": ".odp",
    "rtf": ".rtf",
    "epub": ".epub",
    "eml": ".eml",
    "msg": ".msg",
    "html": ".html .htm .xhtml",
    "xml": ".xml",
    "csv": ".csv .tsv",
    "json": ".json",
    "jsonl": ".jsonl .ndjson",
    "md": ".md .markdown",
    "rst": ".rst",
    "org": ".org",
    "txt": ".txt .text .log",
    "picture": ".png .jpg .jpeg .tif .tiff .webp .bmp .gif",
}
SUPPORTED: Mapping[str, str] = MappingProxyType(
    {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
)

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "pdf": "a PDF",
        "docx": "a Word document",
        "pptx": "a PowerPoint presentation",
        "xlsx": "an Excel workbook",
        "doc": "an old Word document (.doc)",
        "ppt": "an old PowerPoint presentation (.ppt)",
        "xls": "an old Excel workbook (.xls)",
        "odt": "an OpenDocument text",
        "ods": "an OpenDocument spreadsheet",
        "odp": "an OpenDocument presentation",
        "rtf": "rich text (RTF)",
        "epub": "an e-book (EPUB)",
        "eml": "an e-mail",
        "msg": "an Outlook message",
        "html": "a web page",
        "xml": "XML",
        "csv": "a table (CSV)",
        "json": "JSON",
        "jsonl": "JSON lines",
        "md": "Markdown",
        "rst": "reStructuredText",
        "org": "an Org file",
        "txt": "text",
        "picture": "a picture",
    }
)

_HEAD = 8192
_PLAIN = frozenset({"md", "txt"})
_PACKED = (b"PK\x03\x04", b"PK\x05\x06", olefile.MAGIC)
_TEXTS = frozenset({"eml", "html", "xml", "csv", "json", "jsonl", "md", "rst", "org", "txt"})
_ZIPPED = frozenset({"docx", "pptx", "xlsx", "odt", "ods", "odp", "epub"})

_HTML = re.compile(
    r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_XML = re.compile(r"\s*<\?xml\b")
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
    if named in _TEXTS:
        return named
    if text.looks_like_text(head):
        return _by_text(text.head(head))
    if named:
        raise DocumentFailed(reason=DAMAGED.format(label=LABELS[named]))
    raise DocumentFailed(reason=UNKNOWN)


def is_plain(path: Path, name: str) -> bool:
    """Whether it is a text that has no parser; told without one, so nothing that is packed is opened."""
    with path.open("rb") as file:
        if file.read(len(olefile.MAGIC)).startswith(_PACKED):
            return False
    return kind(path, name) in _PLAIN


def _by_magic(path: Path, head: bytes, named: str) -> str:
    """The kind that the first bytes prove, or "" when they prove none."""
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_kind(path, named)
    if head.startswith(olefile.MAGIC):
        return _ole_kind(path, named)
    if head.startswith(b"{\\rtf"):
        return "rtf"
    if any(head.startswith(magic) for magic in PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "picture"
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "picture"
    if head[4:8] == b"ftyp":
        if head[8:12] in (b"heic", b"heix", b"mif1", b"avif"):
            raise DocumentFailed(reason=HEIF)
        raise DocumentFailed(reason=OTHER.format(what="a video or a sound file", remedy="upload its text"))
    for magic, what, remedy in OTHERS:
        if head.startswith(magic):
            raise DocumentFailed(reason=OTHER.format(what=what, remedy=remedy))
    return ""


def _zip_kind(path: Path, named: str) -> str:
    """What a zip file is, told by the names of its parts; an archive of documents was unpacked before, or never."""
    try:
        names = office.members(path)
        for folder, found in (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx")):
            if any(member.startswith(folder) for member in names):
                return found
        if "META-INF/container.xml" in names:
            return "epub"
        if "content.xml" in names:
            return _open_document(path, names, named)
    except zipfile.BadZipFile:
        label = LABELS[named] if named in _ZIPPED else "an Office document or a zip archive"
        raise DocumentFailed(reason=DAMAGED.format(label=label)) from None
    raise DocumentFailed(reason=NESTED if names else EMPTY_ZIP)


def _open_document(path: Path, names: list[str], named: str) -> str:
    """Text, spreadsheet or presentation, by the member `mimetype` (OpenDocument 1.3, part 2, 3.3)."""
    if "mimetype" in names:
        try:
            with zipfile.ZipFile(path) as archive, archive.open("mimetype") as member:
                declared = member.read(200).decode("ascii", "replace").strip()
        except (zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError):
            raise zipfile.BadZipFile from None
        except OSError as error:
            if error.errno != errno.EINVAL:  # that is an offset of garbage; all else is the disk
                raise
            raise zipfile.BadZipFile from None
        if found := next((kind for ending, kind in OPEN_DOCUMENT if ending in declared), ""):
            return found
    return named if named in ("odt", "ods", "odp") else "odt"


def _ole_kind(path: Path, named: str) -> str:
    """What an OLE compound file is, told by the streams that lie in its root ([MS-CFB])."""
    try:
        with olefile.OleFileIO(path) as compound:
            streams = {entry[0] for entry in compound.listdir()}
    except (OleFileError, ValueError, IndexError, TypeError, AttributeError, RecursionError):
        label = LABELS.get(named, "an old Office file")
        raise DocumentFailed(reason=DAMAGED.format(label=label)) from None
    if "EncryptedPackage" in streams:
        raise DocumentFailed(reason=ENCRYPTED)
    for stream, found in OLE_STREAMS:
        if stream in streams:
            return found
    raise DocumentFailed(reason=OTHER.format(what="an old Office file", remedy="save it as .docx, .xlsx or .pptx"))


def _by_text(start: str) -> str:
    """The kind of a text whose name says nothing of use."""
    if _HTML.match(start):
        return "html"
    if _XML.match(start):
        return "xml"
    if _MAIL.match(start):
        return "eml"
    return "txt"
