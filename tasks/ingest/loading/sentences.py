"""The sentences that more than one reader says when it cannot read a document: what is wrong and what to do."""

from __future__ import annotations

from typing import Final

FORMATS: Final = (
    "PDF, Word, PowerPoint, Excel, OpenDocument, RTF, EPUB, e-mail, HTML, XML, CSV, JSON, plain text or a picture"
)

ENCRYPTED: Final = "The file is protected with a password; save it without one and upload it again."
DAMAGED: Final = "The file could not be read as {label}; it may be damaged: open it, save it again and upload that."
TOO_LARGE: Final = "The file holds more text than can be read in one piece; split it into several documents."
TOO_MANY_PAGES: Final = "The file has more than {most:,} pages; split it into several documents."
BOMB: Final = "The file unpacks to far more than a document needs and was not opened; save it again and upload that."
REFUSED: Final = (
    "The file made its reader try what reading needs not: to write, to start a program, or to reach the network or "
    "other files; it was stopped: save it anew from the program that made it, and upload that."
)
UNKNOWN: Final = f"The file is of a format that cannot be read here; upload {FORMATS}."
OTHER: Final = "The file is {what}, which cannot be read here; {remedy}."
HEIF: Final = "The file is a picture (HEIF), which cannot be read here; save it as JPEG or PNG and upload that."
NESTED: Final = (
    "The zip archive was not unpacked: it lies inside another one, is damaged, holds too much or is packed in an "
    "unusual way; unpack it and upload the documents in it."
)
EMPTY_ZIP: Final = "The zip archive is empty; check where it came from and upload it again."

NO_TEXT: Final = "The file holds no text; check that it is the one you meant."
NO_TEXT_PDF: Final = (
    "The PDF holds no text, only images or drawings, and text recognition (OCR) is off; submit it with OCR on auto."
)
NO_TEXT_SCAN: Final = (
    "Text recognition (OCR) found no text in the {what}; check that it is the one you meant, or scan it again larger."
)
PICTURE_OFF: Final = (
    "The file is a picture, and text recognition (OCR) is off in the recipe; submit it with OCR on auto."
)
NO_OCR: Final = (
    "Text recognition (OCR) cannot start on this worker ({reason}); ask an administrator to look at docs/formats.md, "
    "or submit with OCR off."
)
PIXELS: Final = "The picture has more than {most} megapixels; make it smaller and upload that."
