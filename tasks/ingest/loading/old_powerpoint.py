"""Old PowerPoint presentations (.ppt): the text of each slide, found through the directory of the last save.

The stream keeps what earlier saves wrote, so it is not read from end to end: the current user's last edit leads
to the directory, that to the document, and that to its slides. Source: [MS-PPT] 2.1.2 and 2.3 to 2.5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import olefile

from tasks.errors import DocumentFailed
from tasks.ingest.loading.portions import Piece
from tasks.ingest.loading.sentences import ENCRYPTED, TOO_LARGE

SIZE_MAX = 256 << 20
_LOCKED = 0xF3D1C4DF  # headerToken of an encrypted one
_USER_EDIT, _DIRECTORY = 0x0FF5, 0x1772
_SLIDE_LIST, _SLIDE_REFERENCE = 0x0FF0, 0x03F3
_LETTERS, _BYTES = 0x0FA0, 0x0FA8
_DEPTH_MAX = 40
_MARKS = str.maketrans({"\r": "\n", "\x0b": "\n"})


def read(path: Path) -> Iterator[Piece]:
    """One slide a page: the text of its outline and of its other shapes."""
    if path.stat().st_size > SIZE_MAX:
        raise DocumentFailed(reason=TOO_LARGE)
    with olefile.OleFileIO(path) as compound:
        user = compound.openstream("Current User").read()
        token, edit = struct.unpack_from("<II", user, 12)
        if token == _LOCKED:
            raise DocumentFailed(reason=ENCRYPTED)
        stream = compound.openstream("PowerPoint Document").read()
    places, document = _directory(stream, edit)
    slides = list(_slides(stream, places[document]))
    for number, (reference, outline) in enumerate(slides, start=1):
        shapes = _texts(stream, places[reference]) if reference in places else ()
        yield Piece("".join(f"{text}\n\n" for text in [*outline, *shapes]), number, len(slides), page=number)


def _record(stream: bytes, at: int) -> tuple[int, int, int, int]:
    """A record's version (15 for a container), instance, type and length ([MS-PPT] 2.3.1)."""
    mixed, kind, length = struct.unpack_from("<HHI", stream, at)
    return mixed & 15, mixed >> 4, kind, length


def _directory(stream: bytes, edit: int) -> tuple[dict[int, int], int]:
    """Where each object lies after the last save, and which of them is the document."""
    places: dict[int, int] = {}
    document = 0
    seen: set[int] = set()
    while edit and edit not in seen:
        seen.add(edit)
        earlier, directory, reference = struct.unpack_from("<III", stream, edit + 16)
        document = document or reference
        _, _, _, length = _record(stream, directory)
        at, end = directory + 8, min(directory + 8 + length, len(stream))
        while at + 4 <= end:
            (entry,) = struct.unpack_from("<I", stream, at)
            first, count = entry & 0xFFFFF, entry >> 20
            for index in range(count):
                (place,) = struct.unpack_from("<I", stream, at + 4 + 4 * index)
                places.setdefault(first + index, place)  # a later save wins
            at += 4 + 4 * count
        edit = earlier
    return places, document


def _slides(stream: bytes, document: int) -> Iterator[tuple[int, list[str]]]:
    """Each slide's reference with the text of its outline, in the order of the presentation."""
    for _, instance, kind, at, length in _inner(stream, document):
        if kind != _SLIDE_LIST or instance != 0:  # 1 is the list of masters, 2 of notes
            continue
        reference = 0
        outline: list[str] = []
        for _, _, inner, place, size in _records(stream, at, at + length):
            if inner == _SLIDE_REFERENCE:
                if reference:
                    yield reference, outline
                (reference,) = struct.unpack_from("<I", stream, place)
                outline = []
            elif (text := _text(stream, inner, place, size)) is not None:
                outline.append(text)
        if reference:
            yield reference, outline


def _inner(stream: bytes, at: int) -> Iterator[tuple[int, int, int, int, int]]:
    _, _, _, length = _record(stream, at)
    yield from _records(stream, at + 8, at + 8 + length)


def _records(stream: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Version, instance, type, where its content begins, and the length, of each record in a stretch."""
    end = min(end, len(stream))
    while at + 8 <= end:
        version, instance, kind, length = _record(stream, at)
        yield version, instance, kind, at + 8, length
        at += 8 + length


def _texts(stream: bytes, at: int, depth: int = 0) -> Iterator[str]:
    """The texts below a container."""
    for version, _, kind, place, length in _inner(stream, at):
        if version == 15 and depth < _DEPTH_MAX:
            yield from _texts(stream, place - 8, depth + 1)
        elif (text := _text(stream, kind, place, length)) is not None:
            yield text


def _text(stream: bytes, kind: int, at: int, length: int) -> str | None:
    """What a text atom says, None for any other record and for blank text."""
    if kind not in (_LETTERS, _BYTES):
        return None
    text = stream[at : at + length].decode("utf-16-le" if kind == _LETTERS else "latin-1", "replace")
    return text.translate(_MARKS).strip() or None
