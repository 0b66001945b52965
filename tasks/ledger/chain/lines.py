"""One line of an audit file: what it holds, its hash, and how it is written and read.

A line is a JSON object in one form (sorted names, no blanks, ASCII) whose last member is `hash`: the SHA-256 of that
same text without it. `before` in it is the hash of the line before, so that each line vouches for all before it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

# row: an audit row. gap: rows that the stream had lost before they were copied. torn: the bytes before this line are
# of a write that was cut short. cut: lines that had been written were gone when this one was.
Kind = Literal["row", "gap", "torn", "cut"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_MARK = b',"hash":"'
_END = b'"}\n'
_HEX = 64
_TAIL = len(_MARK) + _HEX + len(_END)


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is whole. `id` and `number` are those of the newest row of the stream up to here."""

    n: int
    before: str
    id: str
    number: int
    kind: Kind
    body: dict[str, Any]
    hash: str

    def follows(self, n: int, before: str) -> bool:
        return self.n == n + 1 and self.before == before


def write(n: int, before: str, row_id: str, number: int, kind: Kind, body: dict[str, Any]) -> tuple[Line, bytes]:
    """A line, and its bytes."""
    held = {"n": n, "before": before, "id": row_id, "number": number, kind: body}
    text = json.dumps(held, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    digest = hashlib.sha256(text).hexdigest()
    return Line(n, before, row_id, number, kind, body, digest), text[:-1] + _MARK + digest.encode() + _END


def read(raw: bytes) -> Line | None:
    """The line that these bytes are, its line end included; None when one of them is not as it was written."""
    if len(raw) <= _TAIL or raw[-_TAIL : -_TAIL + len(_MARK)] != _MARK or not raw.endswith(_END):
        return None
    text, digest = raw[:-_TAIL] + b"}", raw[-_HEX - len(_END) : -len(_END)].decode("ascii", "replace")
    if hashlib.sha256(text).hexdigest() != digest:
        return None
    try:
        return _line(json.loads(text), digest)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _line(held: dict[str, Any], digest: str) -> Line | None:
    (kind,) = [one for one in KINDS if one in held]
    n, before, row_id, number, body = held["n"], held["before"], held["id"], held["number"], held[kind]
    if type(n) is not int or type(number) is not int or not isinstance(body, dict):
        return None
    if not isinstance(before, str) or not isinstance(row_id, str) or len(held) != 5:
        return None
    return Line(n, before, row_id, number, kind, body, digest)
