"""Texts that other programs stored compressed: unpacked up to a limit, so that no small record fills the memory."""

from __future__ import annotations

import binascii
import zlib
from base64 import b64decode
from typing import Any

MOST_BYTES = 512 * 1024  # of unpacked text; a traceback is a few kilobytes
HEAD, TAIL = 4_000, 16_000  # characters shown of a longer one: a traceback's end tells most


def inflated(raw: bytes) -> str:
    """A text as RQ stores it in a job's hash: deflated, or plain where an older RQ wrote it."""
    if not raw:
        return ""
    machine = zlib.decompressobj()
    try:
        found = machine.decompress(raw, MOST_BYTES)
    except zlib.error:
        return _shortened(raw[:MOST_BYTES].decode("utf-8", "replace"))
    return _shortened(found.decode("utf-8", "replace"), more=bool(machine.unconsumed_tail))


def traceback_of(value: Any) -> str:
    """The `exc_string` of a result: base64 of a deflated text; '' when there is none."""
    if not isinstance(value, bytes) or not value:
        return ""
    try:
        packed = b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return _shortened(value[:MOST_BYTES].decode("utf-8", "replace"))
    return inflated(packed)


def _shortened(text: str, *, more: bool = False) -> str:
    note = "\n… the rest was not unpacked, because it is too long." if more else ""
    if len(text) > HEAD + TAIL:
        text = f"{text[:HEAD]}\n… {len(text) - HEAD - TAIL:,} characters are left out …\n{text[-TAIL:]}"
    return text + note
