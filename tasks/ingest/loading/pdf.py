"""PDF, by PDFium: the text of each page, one page a piece; text recognition for pages that are pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from PIL import Image

from tasks.errors import DocumentFailed
from tasks.ingest.loading import ocr
from tasks.ingest.loading.portions import Piece
from tasks.ingest.loading.sentences import ENCRYPTED, NO_TEXT_PDF, NO_TEXT_SCAN

DPI = 200

_PASSWORD = 4  # FPDF_ERR_PASSWORD of PDFium's fpdfview.h
_SECURITY = 5  # FPDF_ERR_SECURITY
# PDFium marks a word that is hyphenated over a line's end with U+FFFE or U+0002.
_HYPHENATED = re.compile("[\ufffe\x02]\r?\n?")


def read(path: Path, recognise: str) -> Iterator[Piece]:
    """Every page in order; a page without text is an empty piece, so that progress goes on.

    `recognise` is a recipe's `ocr`: with "auto" a page without text is rendered and its words are recognised,
    with "on" also the pictures on a page that has text, with "off" neither.
    """
    try:
        pdf = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        if error.err_code in (_PASSWORD, _SECURITY):
            raise DocumentFailed(reason=ENCRYPTED) from None
        raise
    blank = True
    try:
        total = len(pdf)
        for number in range(1, total + 1):
            text = _page(pdf, number, recognise)
            blank = blank and not text.strip()
            yield Piece(text, number, total, page=number)
    finally:
        pdf.close()
    if blank:
        raise DocumentFailed(reason=NO_TEXT_PDF if recognise == ocr.OFF else NO_TEXT_SCAN.format(what="PDF"))


def _page(pdf: pdfium.PdfDocument, number: int, recognise: str) -> str:
    try:
        page = pdf[number - 1]
    except pdfium.PdfiumError:
        reason = f"Page {number} of the PDF is damaged; open the file, save it again and upload that."
        raise DocumentFailed(reason=reason) from None
    try:
        text = _text(page)
        if recognise == ocr.OFF or (text.strip() and recognise == ocr.AUTO):
            return text
        if not text.strip():
            return ocr.words(_rendered(page)) if _shows_something(page) else ""
        return "\n\n".join([text, *_in_pictures(page)])
    finally:
        page.close()


def _text(page: pdfium.PdfPage) -> str:
    words = page.get_textpage()
    try:
        text: str = words.get_text_bounded()
    finally:
        words.close()
    return _HYPHENATED.sub("", text).replace("\r\n", "\n")


def _shows_something(page: pdfium.PdfPage) -> bool:
    """Whether there is anything on the page: an empty one need not be rendered."""
    return bool(pdfium_c.FPDFPage_CountObjects(page.raw) > 0 or pdfium_c.FPDFPage_GetAnnotCount(page.raw) > 0)


def _rendered(page: pdfium.PdfPage) -> Image.Image:
    """The page as a picture of DPI dots an inch, no side longer than the engine looks at."""
    scale = min(DPI / 72, ocr.SIDE_MAX / max(1.0, *page.get_size()))
    return _picture(page.render(scale=scale, no_smoothpath=True))


def _in_pictures(page: pdfium.PdfPage) -> Iterator[str]:
    """The words in the pictures on a page, each as it is stored."""
    for found in page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE], max_depth=5):
        width, height = found.get_px_size()
        if min(width, height) < ocr.SIDE_MIN or width * height > ocr.PIXELS_MAX:
            continue
        try:
            bitmap = found.get_bitmap()
        except pdfium.PdfiumError:  # a damaged picture is no reason to lose the page's text
            continue
        if text := ocr.words(_picture(bitmap)):
            yield text


def _picture(bitmap: pdfium.PdfBitmap) -> Image.Image:
    try:
        # A copy, for the bitmap owns the pixels that it shows.
        picture: Image.Image = bitmap.to_pil().convert("RGB").copy()
        return picture
    finally:
        bitmap.close()
