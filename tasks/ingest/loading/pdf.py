"""PDF, by PDFium: the text of each page, one page a piece."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pypdfium2 as pdfium

from tasks.errors import DocumentFailed
from tasks.ingest.loading.kinds import ENCRYPTED
from tasks.ingest.loading.portions import Piece

_PASSWORD = 4  # FPDF_ERR_PASSWORD of PDFium's fpdfview.h
_SECURITY = 5  # FPDF_ERR_SECURITY
# PDFium marks a word that is hyphenated over a line's end with U+FFFE or U+0002.
_HYPHENATED = re.compile("[\ufffe\x02]\r?\n?")


def read(path: Path) -> Iterator[Piece]:
    """Every page in order; a page without text is an empty piece, so that progress goes on."""
    try:
        pdf = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        if error.err_code in (_PASSWORD, _SECURITY):
            raise DocumentFailed(reason=ENCRYPTED) from None
        raise
    try:
        total = len(pdf)
        for number in range(1, total + 1):
            yield Piece(_page(pdf, number), number, total, page=number)
    finally:
        pdf.close()


def _page(pdf: pdfium.PdfDocument, number: int) -> str:
    try:
        page = pdf[number - 1]
    except pdfium.PdfiumError:
        reason = f"Page {number} of the PDF is damaged; open the file, save it again and upload that."
        raise DocumentFailed(reason=reason) from None
    try:
        words = page.get_textpage()
        try:
            text: str = words.get_text_bounded()
        finally:
            words.close()
    finally:
        page.close()
    return _HYPHENATED.sub("", text).replace("\r\n", "\n")
