"""Text recognition (OCR), by RapidOCR: the words in a picture, offline, with the models of its wheel.

The engine and its libraries are loaded with the first picture of a process and never before a fork. It runs on
one thread, for there is a worker on every core.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tasks.errors import DocumentFailed
from tasks.ingest.loading.ocr_lines import Line, arranged, pieces
from tasks.ingest.loading.sentences import NO_OCR, PIXELS

if TYPE_CHECKING:
    import numpy.typing as npt

    from tasks.ingest.loading.ocr_lines import Pixels

# From 1.29 on the wheels of ONNX Runtime report to Microsoft what they run, and keep an id of the machine for it,
# unless this is set before they are loaded (github.com/microsoft/onnxruntime/pull/27379).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # noqa: TID251 - no setting of ours: the library reads it

AUTO, ON, OFF = "auto", "on", "off"  # the values of a recipe's `ocr`
PIXELS_MAX = 100_000_000
SIDE_MAX = 2000  # pixels of the longer side; a larger picture is made smaller
FIND_SIDE = 1280  # of the copy in which lines are found, which is what costs memory
SIDE_GOOD = 1600  # a smaller one is made larger, at most twice: the gaps between words are seen better
SIDE_MIN = 12  # smaller ones hold no word
_ALLOCATION = re.compile(r"bad_alloc|allocat|[Ii]nsufficient memory")
# How far the box around a line is widened. With the engine's own 1.6 words stick together, for the models learned
# from lines with some margin.
_MARGIN = 2.0
_VOTERS = 24  # lines that tell whether a page is upside down
_SCORE = 0.5  # below it the engine only guesses


def hold_pixels(width: int, height: int) -> None:
    """Refuse a picture by its header, before it is decoded."""
    if width * height > PIXELS_MAX:
        raise too_many_pixels()


def too_many_pixels() -> DocumentFailed:
    return DocumentFailed(reason=PIXELS.format(most=PIXELS_MAX // 1_000_000))


def words(picture: Image.Image) -> str:
    """The text in an RGB picture, line by line in reading order; "" when there is none."""
    if min(picture.size) < SIDE_MIN:
        return ""
    try:
        return "\n".join(arranged(list(_lines(_pixels(picture)))))
    except DocumentFailed:
        raise
    except Exception as error:
        # The engine wraps what its libraries raise. That memory ran out is no fault of the picture.
        if _ALLOCATION.search(str(error)):
            raise MemoryError from None
        raise


def _lines(pixels: Pixels, *, turned: bool = False) -> Iterator[Line]:
    """Each line of text on the page: found, cut into pieces and recognised. A page that is upside down is turned."""
    engine = _engine()
    boxes = _boxes(engine, pixels)
    if len(boxes) == 0:
        return
    found = engine.get_crop_img_list(pixels, boxes)
    if not turned and _upside_down(engine, found):
        yield from _lines(np.ascontiguousarray(pixels[::-1, ::-1]), turned=True)
        return
    cut = [list(pieces(line)) for line in found]
    recognised, _ = engine.text_rec([piece for line in cut for piece in line])
    texts = iter(recognised)
    for box, line in zip(boxes, cut, strict=True):
        sure = [text for text, score in (next(texts) for _ in line) if score >= _SCORE]
        if text := " ".join(" ".join(sure).split()):
            yield _line(box, text)


def _boxes(engine: Any, pixels: Pixels) -> npt.NDArray[np.float32]:
    """The four corners of each line. Lines are found in a smaller copy: their letters are not needed for that."""
    height, width = pixels.shape[:2]
    factor = min(1.0, FIND_SIDE / max(height, width))
    small = Image.fromarray(pixels).resize((max(1, round(width * factor)), max(1, round(height * factor))))
    boxes, _ = engine(np.asarray(small), use_cls=False, use_rec=False, unclip_ratio=_MARGIN)
    return np.asarray(boxes or [], dtype=np.float32) / np.float32(factor)


def _upside_down(engine: Any, found: Sequence[Pixels]) -> bool:
    """Whether most lines stand on their head. The engine would turn single ones, often wrongly."""
    _, votes, _ = engine.text_cls(list(found[:_VOTERS]))
    return bool(sum(label == "180" for label, _ in votes) > len(votes) / 2)


def _line(box: Sequence[Sequence[float]], text: str) -> Line:
    across, down = [point[0] for point in box], [point[1] for point in box]
    return Line(text, min(across), min(down), max(across), max(down))


def _pixels(picture: Image.Image) -> Pixels:
    """The picture as the engine takes it: of a size that it reads well, blue before red."""
    longer = max(picture.size)
    factor = min(SIDE_MAX / longer, max(1.0, min(2.0, SIDE_GOOD / longer)))
    if factor != 1:
        width, height = (max(1, round(side * factor)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])


@lru_cache(maxsize=1)
def _engine() -> Any:
    try:
        import cv2
        from rapidocr_onnxruntime import RapidOCR
    except ImportError as error:  # a system library that is missing, such as libGL on a slim image
        raise DocumentFailed(reason=NO_OCR.format(reason=str(error).splitlines()[0])) from error
    cv2.setNumThreads(1)
    return RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1, det_limit_type="max")  # never enlarge by itself
