"""Pictures: PNG, JPEG, TIFF of many pages, WebP, BMP and the first image of a GIF, by text recognition.

Size is looked at in the header and refused there. Only these decoders of Pillow are allowed to open a file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tasks.errors import DocumentFailed
from tasks.ingest.loading import ocr
from tasks.ingest.loading.portions import Piece
from tasks.ingest.loading.sentences import NO_TEXT_SCAN, PICTURE_OFF

_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "MPO")


def read(path: Path, recognise: str) -> Iterator[Piece]:
    """The words in the picture; each page of a TIFF is a page."""
    if recognise == ocr.OFF:
        raise DocumentFailed(reason=PICTURE_OFF)
    try:
        yield from _pages(path)
    except Image.DecompressionBombError:  # Pillow's own limit, which it looks at first
        raise ocr.too_many_pixels() from None


def _pages(path: Path) -> Iterator[Piece]:
    blank = True
    with path.open("rb") as file, warnings.catch_warnings():
        # Pillow warns of odd tags and of many pixels; the first does no harm and the second is refused here.
        warnings.simplefilter("ignore")
        with Image.open(file, formats=_FORMATS) as picture:
            ocr.hold_pixels(*picture.size)
            total = int(getattr(picture, "n_frames", 1)) if picture.format == "TIFF" else 1
            yield Piece("", 0, total)  # the bar shows that it is at it, before the engine is loaded
            for number in range(1, total + 1):
                picture.seek(number - 1)
                ocr.hold_pixels(*picture.size)
                text = ocr.words(_plain(picture))
                blank = blank and not text.strip()
                yield Piece(f"{text}\n\n" if text else "", number, total, page=number if total > 1 else None)
    if blank:
        raise DocumentFailed(reason=NO_TEXT_SCAN.format(what="picture"))


def _plain(picture: Image.Image) -> Image.Image:
    """The picture upright, in RGB, on white where it is transparent, not larger than is looked at."""
    picture.draft("RGB", (ocr.SIDE_MAX, ocr.SIDE_MAX))  # a JPEG is decoded smaller at once; others take no notice
    upright: Image.Image = ImageOps.exif_transpose(picture)
    seen_through = "transparency" in upright.info or upright.mode in ("PA", "La", "RGBa")
    if upright.mode.startswith("I;16"):
        upright = upright.convert("I")
    elif upright.mode in ("1", "P") or seen_through:
        upright = upright.convert("RGBA" if seen_through else "RGB" if upright.mode == "P" else "L")
    upright.thumbnail((2 * ocr.SIDE_MAX, 2 * ocr.SIDE_MAX))  # before more copies of it are made
    if upright.mode in ("I", "F"):
        upright = _eight_bits(upright)
    elif upright.mode in ("LA", "RGBA"):
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    return upright.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey of more depth, its own range stretched over 256 shades."""
    values = np.asarray(picture, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    return Image.fromarray(((values - low) * (255 / ((high - low) or 1))).astype(np.uint8))
