"""Rich text (RTF), by striprtf: the words without the marks. Pictures in it are cut out before it is parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from striprtf.striprtf import rtf_to_text

from tasks.errors import DocumentFailed
from tasks.ingest.loading.portions import Piece
from tasks.ingest.loading.sentences import TOO_LARGE

SIZE_MAX = 64 << 20  # bytes of the file
WORDS_MAX = 8 << 20  # bytes that are left without its pictures; the parser goes letter by letter

_PICTURE = re.compile(rb"(?:[0-9a-fA-F]{2}\s{0,2}){256,}")
_BINARY = re.compile(rb"\\bin(\d{1,9}) ?")


def read(path: Path) -> Iterator[Piece]:
    """The text as a whole; the code page that the file declares decides its letters."""
    if path.stat().st_size > SIZE_MAX:
        raise DocumentFailed(reason=TOO_LARGE)
    body = _PICTURE.sub(b"", _without_binary(path.read_bytes()))
    if len(body) > WORDS_MAX:
        raise DocumentFailed(reason=TOO_LARGE)
    # The format is 7-bit; a byte above it is a letter of a code page that was written plainly.
    yield Piece(rtf_to_text(body.decode("cp1252", "replace"), errors="replace"), 1, 1)  # type: ignore[no-untyped-call]


def _without_binary(body: bytes) -> bytes:
    r"""The file without its `\binN` stretches, which may hold braces."""
    parts, at = [], 0
    while found := _BINARY.search(body, at):
        parts.append(body[at : found.start()])
        at = found.end() + int(found[1])
    return b"".join([*parts, body[at:]])
