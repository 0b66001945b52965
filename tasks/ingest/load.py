"""The door to the loaders: a file goes in, portions of LlamaIndex documents come out, or one sentence.

This is the only place where what a parser raises on garbage is turned into DocumentFailed. What our own
disk or memory does is no fault of the document and passes through.
"""

from __future__ import annotations

import csv
import errno
import logging
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
from tasks.ingest.loading import mail, office, pdf, structures, tables, text, web
from tasks.ingest.loading.kinds import DAMAGED, LABELS, SUPPORTED, kind
from tasks.ingest.loading.portions import Piece, Portion, portions

__all__ = ["SUPPORTED", "Portion", "read"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_READERS: Mapping[str, Callable[[Path], Iterator[Piece]]] = MappingProxyType(
    {
        "pdf": pdf.read,
        "docx": office.read_docx,
        "pptx": office.read_pptx,
        "xlsx": office.read_xlsx,
        "eml": mail.read,
        "html": web.read,
        "csv": tables.read,
        "json": structures.read,
        "jsonl": structures.read_lines,
        "md": text.read,
        "txt": text.read,
    }
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
    csv.Error,
    UnicodeError,
    EOFError,
    RecursionError,
)

_NO_TEXT = "The file holds no text; check that it is the one you meant."
_NO_TEXT_PDF = "The PDF holds no text, only images or drawings; run text recognition (OCR) on it and upload the result."


def read(path: Path, name: str) -> Iterator[Portion]:
    """The portions of the file at `path`, whose display name is `name`; the caller may stop between any two.

    Raises DocumentFailed with a sentence when the document is at fault; OSError of our disk and MemoryError pass.
    """
    named = SUPPORTED.get(PurePosixPath(name).suffix.lower(), "")
    found = _guarded(lambda: kind(path, name), LABELS.get(named, "a document"), name)
    inner = portions(_READERS[found](path))
    blank = True
    while (portion := _guarded(lambda: next(inner, None), LABELS[found], name)) is not None:
        blank = blank and not portion.documents
        yield portion
    if blank:
        raise DocumentFailed(reason=_NO_TEXT_PDF if found == "pdf" else _NO_TEXT)


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
