"""Old Word documents (.doc): the text that the piece table of the binary format leads to.

Source: [MS-DOC] 2.4.1 (retrieving text), 2.5 (the file information block), 2.9.38 (the Clx). Nothing else of
the file is looked at: no style, no macro, no embedded object.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import olefile

from tasks.errors import DocumentFailed
from tasks.ingest.loading.portions import RANGE, Piece, ranges
from tasks.ingest.loading.sentences import DAMAGED, ENCRYPTED, OTHER

_MAGIC = 0xA5EC
_WORD_97 = 0x00C1  # the first version with this layout
_ENCRYPTED, _TABLE_1 = 0x0100, 0x0200
_COUNTS = 0x4C  # ccpText, ccpFtn, ccpHdd, ccpMcr, ccpAtn, ccpEdn, ccpTxbx
_CLX = 0x01A2  # fcClx, lcbClx
_COMPRESSED = 0x40000000
_PIECES = 2  # the mark of the piece table in a Clx; 1 marks properties before it

_FIELD = re.compile("\x13[^\x13\x14\x15]*(?:\x14([^\x13\x14\x15]*))?\x15")
_MARKS = str.maketrans(
    {"\x07": " | ", "\x0b": "\n", "\x0c": "\n\n", "\r": "\n\n", "\x1e": "-", "\x1f": None, "\xa0": " "}
    | {chr(code): None for code in (*range(1, 7), 8, *range(14, 30))}
)


def read(path: Path) -> Iterator[Piece]:
    """The body, then foot and end notes and text boxes; cells of a row are joined by ` | `."""
    with olefile.OleFileIO(path) as compound:
        main = compound.openstream("WordDocument").read()
        magic, version = struct.unpack_from("<HH", main)
        (flags,) = struct.unpack_from("<H", main, 10)
        if magic != _MAGIC or version < _WORD_97:
            raise DocumentFailed(reason=OTHER.format(what="a Word file from before 1997", remedy="save it as .docx"))
        if flags & _ENCRYPTED:
            raise DocumentFailed(reason=ENCRYPTED)
        table = compound.openstream("1Table" if flags & _TABLE_1 else "0Table").read()
    text = "".join(_pieces(main, table))
    body, notes, headers, macros, comments, ends, boxes = struct.unpack_from("<7i", main, _COUNTS)
    after_notes = body + notes
    last = after_notes + headers + macros + comments
    if min(body, notes, headers, macros, comments, ends, boxes) < 0:
        raise DocumentFailed(reason=DAMAGED.format(label="an old Word document (.doc)"))
    words = _words(text[:after_notes] + "\r" + text[last : last + ends + boxes])
    total = ranges(len(words))
    for number in range(total):
        yield Piece(words[number * RANGE : (number + 1) * RANGE], number + 1, total)


def _pieces(main: bytes, table: bytes) -> Iterator[str]:
    start, size = struct.unpack_from("<II", main, _CLX)
    clx = table[start : start + size]
    at = 0
    while clx[at] == 1:
        at += 3 + int.from_bytes(clx[at + 1 : at + 3], "little")
    if clx[at] != _PIECES:
        raise DocumentFailed(reason=DAMAGED.format(label="an old Word document (.doc)"))
    (length,) = struct.unpack_from("<I", clx, at + 1)
    pieces = clx[at + 5 : at + 5 + length]
    count = (len(pieces) - 4) // 12
    positions = struct.unpack_from(f"<{count + 1}I", pieces)
    left = 2 * len(main)  # letters; a piece table that leads to the same bytes again and again is a bomb
    for number in range(count):
        letters = positions[number + 1] - positions[number]
        left -= letters
        if letters < 0 or left < 0:
            raise DocumentFailed(reason=DAMAGED.format(label="an old Word document (.doc)"))
        (where,) = struct.unpack_from("<I", pieces, 4 * (count + 1) + 8 * number + 2)
        if where & _COMPRESSED:
            first = (where & ~_COMPRESSED) // 2
            yield main[first : first + letters].decode("cp1252", "replace")
        else:
            # Two bytes a position: a letter outside the basic plane is two positions, maybe of two pieces.
            yield main[where : where + 2 * letters].decode("utf-16-le", "replace")


def _words(text: str) -> str:
    """The text without fields' codes and with a reader's line breaks for the format's marks ([MS-DOC] 2.4.1)."""
    while (shown := _FIELD.sub(lambda field: field[1] or "", text)) != text:
        text = shown
    # A row ends with a cell mark of its own.
    return text.replace("\x07\x07", "\n").translate(_MARKS)
