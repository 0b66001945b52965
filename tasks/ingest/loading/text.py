"""Text files: which encoding they have, and their text in ranges cut at line breaks.

A file of any size is read in bounded memory. UTF-8 is proved over the whole file; only what is no UTF-8 is
guessed, by charset-normalizer from a sample.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from charset_normalizer import from_bytes

from tasks.errors import DocumentFailed
from tasks.ingest.loading.portions import RANGE, Piece, ranges

NO_TEXT = "The file is no text although its name says so; check what it is and upload it under its right name."

_SAMPLE = 64 * 1024
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark its own begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# The encodings that documents really have; the rest only makes a guess worse.
_CANDIDATES = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp850", "mac_roman", "koi8_r"),
    *("cp932", "euc_jp", "iso2022_jp", "gb18030", "big5", "cp949", "tis_620"),
]
_CONTROLS = bytes(set(range(32)) - {7, 8, 9, 10, 12, 13, 26, 27})


def looks_like_text(sample: bytes) -> bool:
    """Whether bytes are the beginning of a text: no control characters, save in UTF-16 and UTF-32."""
    if _marked(sample) or _wide(sample):
        return True
    return len(sample.translate(None, _CONTROLS)) >= len(sample) * 0.999


def head(sample: bytes) -> str:
    """The first bytes of a file as text, good enough to look for a pattern."""
    return sample.decode(_marked(sample) or _wide(sample) or "utf-8", "replace")


def encoding(path: Path, declared: str | None = None) -> str:
    """The encoding of a text file: its byte order mark, UTF-8 if it is, what it declares, or a guess.

    Raises DocumentFailed for a file that is no text.
    """
    with path.open("rb") as file:
        sample = file.read(_SAMPLE)
    found = _marked(sample) or _wide(sample)
    if found:
        return found
    if not looks_like_text(sample):
        raise DocumentFailed(reason=NO_TEXT)
    strange = _not_utf8(path)
    if strange is None:
        return "utf-8"
    if declared and known(declared):
        return declared
    with path.open("rb") as file:
        file.seek(max(0, strange - _SAMPLE // 4))
        return _guess(file.read(_SAMPLE))


def opened(path: Path, encoding: str, newline: str | None = None) -> TextIO:
    """The file as text. A byte that its encoding lacks becomes U+FFFD and fails nothing."""
    return path.open("r", encoding=encoding, errors="replace", newline=newline, buffering=_SAMPLE)


def position(file: TextIO, size: int) -> tuple[int, int]:
    """How many ranges of the open file have been read, of how many."""
    total = ranges(size)
    return min(total, file.buffer.tell() // RANGE), total


def blocks(path: Path, encoding: str) -> Iterator[Piece]:
    """The text in ranges that end at a line break, or at a space where a line is longer than a range."""
    size = path.stat().st_size
    kept = ""
    with opened(path, encoding) as file:
        while block := file.read(RANGE):
            block = kept + block
            cut = block.rfind("\n") + 1 or block.rfind(" ") + 1 or len(block)
            kept = block[cut:]
            yield Piece(block[:cut], *position(file, size))
        if kept:
            yield Piece(kept, ranges(size), ranges(size))


def read(path: Path) -> Iterator[Piece]:
    """Plain text or Markdown."""
    yield from blocks(path, encoding(path))


def _marked(sample: bytes) -> str:
    return next((name for mark, name in _BOMS if sample.startswith(mark)), "")


def _wide(sample: bytes) -> str:
    """UTF-16 without a mark: most letters of most languages in it leave every second byte NUL."""
    even, odd = sample[0::2], sample[1::2]
    if len(sample) < 4:
        return ""
    if odd.count(0) > len(odd) * 0.4 and even.count(0) < len(even) * 0.02:
        return "utf-16-le"
    if even.count(0) > len(even) * 0.4 and odd.count(0) < len(odd) * 0.02:
        return "utf-16-be"
    return ""


def _not_utf8(path: Path) -> int | None:
    """Where the file stops being UTF-8, in bytes; None when all of it is."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    start = 0
    with path.open("rb") as file:
        while True:
            block = file.read(RANGE)
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return start + error.start
            if not block:
                return None
            start += len(block)


def known(name: str) -> bool:
    """Whether Python has a text encoding of that name."""
    try:
        # Codecs such as "hex" are known too, but are none of text.
        return bool(codecs.lookup(name)._is_text_encoding)
    except LookupError:
        return False


def _guess(sample: bytes) -> str:
    """The likeliest encoding of a sample; Windows-1252 when nothing speaks for another."""
    matches = list(from_bytes(sample[: sample.rfind(b"\n") + 1] or sample, cp_isolation=_CANDIDATES))
    if not matches:
        return "cp1252"
    best = matches[0]
    possible = {name for match in matches for name in match.could_be_from_charset}
    if "cp1252" not in possible:
        return best.encoding
    # Western texts fit many code pages: then the one wins that makes letters, not symbols, of the bytes.
    western = [name for name in ("cp1252", "cp1250", best.encoding) if name in possible]
    return min(western, key=lambda name: _symbols(sample, name))


def _symbols(sample: bytes, name: str) -> int:
    usual = "\u2018\u2019\u201c\u201d\u201e\u2013\u2014\u2026\u00ab\u00bb\u00a0\u20ac\u00a7\u00a9\u00ae\u00b0\u2022"
    decoded = sample.decode(name, "replace")
    return sum(1 for letter in decoded if letter > "\x7f" and not letter.isalpha() and letter not in usual)
