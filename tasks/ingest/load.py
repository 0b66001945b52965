"""The door to the loaders: a file goes in, portions of LlamaIndex documents come out, or one sentence.

This is the only place where what a parser raises on garbage is turned into DocumentFailed. What our own
disk or memory does is no fault of the document and passes through.
"""

from __future__ import annotations

import csv
import errno
import logging
import struct
import traceback
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from email.errors import MessageError
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TypeVar
from xml.etree.ElementTree import ParseError

import pypdfium2 as pdfium
from docx.opc.exceptions import OpcError
from lxml import etree
from openpyxl.utils.exceptions import InvalidFileException
from pptx.exc import PythonPptxError
from rq.timeouts import BaseTimeoutException

from tasks.errors import DocumentFailed, IngestboardError
from tasks.ingest.loading import (
    epub,
    mail,
    markup,
    office,
    old_excel,
    old_powerpoint,
    old_word,
    open_document,
    outlook,
    pdf,
    pictures,
    rich,
    structures,
    tables,
    text,
    trees,
    web,
)
from tasks.ingest.loading.kinds import LABELS, SUPPORTED, kind
from tasks.ingest.loading.portions import Piece, Portion, portions
from tasks.ingest.loading.sentences import DAMAGED, NO_TEXT

__all__ = ["SUPPORTED", "Portion", "read"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_READERS: Mapping[str, Callable[[Path], Iterator[Piece]]] = MappingProxyType(
    {
        "docx": office.read_docx,
        "pptx": office.read_pptx,
        "xlsx": office.read_xlsx,
        "doc": old_word.read,
        "ppt": old_powerpoint.read,
        "xls": old_excel.read,
        "odt": open_document.read,
        "ods": open_document.read,
        "odp": open_document.read,
        "rtf": rich.read,
        "epub": epub.read,
        "eml": mail.read,
        "msg": outlook.read,
        "html": web.read,
        "xml": trees.read,
        "csv": tables.read,
        "json": structures.read,
        "jsonl": structures.read_lines,
        "md": text.read,
        "rst": markup.read_rst,
        "org": markup.read_org,
        "txt": text.read,
    }
)
# These look at the pictures in a document, when the recipe lets them.
_LOOKING: Mapping[str, Callable[[Path, str], Iterator[Piece]]] = MappingProxyType(
    {"pdf": pdf.read, "picture": pictures.read}
)

_EXPECTED = (
    pdfium.PdfiumError,
    zipfile.BadZipFile,
    zlib.error,
    etree.LxmlError,
    ParseError,
    OpcError,
    PythonPptxError,
    InvalidFileException,
    MessageError,
    struct.error,
    csv.Error,
    UnicodeError,
    EOFError,
    RecursionError,
)


def read(path: Path, name: str, *, ocr: str = "auto") -> Iterator[Portion]:
    """The portions of the file at `path`, whose display name is `name`; the caller may stop between any two.

    `ocr` is the recipe's: "auto" recognises the text of pictures and of PDF pages that have none, "on" also that
    of pictures on PDF pages with text, "off" none. Raises DocumentFailed with a sentence when the document is at
    fault; OSError of our disk and MemoryError pass.
    """
    named = SUPPORTED.get(PurePosixPath(name).suffix.lower(), "")
    found = _guarded(lambda: kind(path, name), LABELS.get(named, "a document"), name)
    inner = portions(_LOOKING[found](path, ocr) if found in _LOOKING else _READERS[found](path))
    blank = True
    while (portion := _guarded(lambda: next(inner, None), LABELS[found], name)) is not None:
        blank = blank and not portion.documents
        yield portion
    if blank:
        raise DocumentFailed(reason=NO_TEXT)


def _guarded(step: Callable[[], _T], label: str, name: str) -> _T:
    """One step of a parser; what it raises on garbage becomes DocumentFailed."""
    failure = DocumentFailed(reason=DAMAGED.format(label=label))
    try:
        return step()
    except (IngestboardError, MemoryError, BaseTimeoutException):
        raise
    except OSError as error:
        if _of_our_disk(error):
            raise
        raise failure from None
    except _EXPECTED:
        raise failure from None
    except Exception as error:  # noqa: BLE001 - parsers raise nearly anything on garbage; this is their only door
        # Frames and type only: the message of a parser's exception may quote the document.
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.warning("%s: unexpected %s while reading %s\n%s", name, type(error).__name__, label, frames)
        raise failure from None


def _of_our_disk(error: OSError) -> bool:
    """Whether the system said it: parsers raise OSError without a number, or EINVAL for an offset that is garbage."""
    return error.errno is not None and error.errno != errno.EINVAL
