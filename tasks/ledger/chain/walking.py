"""Walks along the files line by line and says where the chain breaks. Knows nothing of Redis."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.ledger.chain.files import contents, first_of, pieces
from tasks.ledger.chain.lines import Line, read
from tasks.ledger.records import whole


@dataclass(frozen=True, slots=True)
class Fault:
    """What shows that the files are not as they were written: the file, the line in it (from 1), and a sentence."""

    file: str
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.sentence}" if self.file else self.sentence


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole line with its place. `unfinished`: bytes before it that a crash had left, of which it tells."""

    file: str
    line: int
    what: Line
    unfinished: int = 0


@dataclass
class _At:
    """What the next line must follow; `hash` None: a line that could not be read was the last."""

    n: int | None
    hash: str | None
    number: int | None


def walk(files: Sequence[Path], *, from_the_start: bool = True) -> Iterator[Whole | Fault]:
    """Every whole line of these files, and every break between them. Raises OSError."""
    at = _At(0, "", 0) if from_the_start else _At(None, None, None)
    for path in files:
        first = first_of(path)
        if at.n is not None and first != at.n + 1:
            yield Fault(path.name, 1, _missing(at.n + 1, first))
            at = _At(first - 1, None, None)
        elif at.n is None:
            at = _At(first - 1, at.hash, at.number)
        yield from _file(path, at)


def _file(path: Path, at: _At) -> Iterator[Whole | Fault]:
    data = contents(path)
    offset = number = 0
    skip_to = -1
    for raw in pieces(data):
        start, offset, number = offset, offset + len(raw), number + 1
        if start < skip_to:
            continue
        line = read(raw)
        unfinished = 0
        if line is None or not _goes_on(line, at.n, at.hash):
            note = told_of(data, start, at.n, at.hash)
            if note is not None:
                skip_to = note  # the note itself is read next, and follows
                continue
        if line is None:
            what = "was changed, or is no line of the record" if raw.endswith(b"\n") else "ends in the middle"
            yield Fault(path.name, number, f"This line {what}.")
            at.n, at.hash, at.number = None, None, None
            continue
        yield from _breaks(path.name, number, line, at)
        if line.kind == "torn" and start == skip_to:
            unfinished = whole(line.body.get("bytes"))
        elif line.kind == "torn":
            yield Fault(path.name, number, "The unfinished bytes that this line tells of are not before it any more.")
        yield Whole(path.name, number, line, unfinished)
        at.n, at.hash, at.number = line.n, line.hash, line.number


def _breaks(file: str, number: int, line: Line, at: _At) -> Iterator[Fault]:
    """What is wrong between a line and the one before it."""
    if at.n is not None and line.n != at.n + 1:
        yield Fault(file, number, _missing(at.n + 1, line.n))
    elif at.hash is not None and line.before != at.hash:
        yield Fault(file, number, "This line does not follow the one before it: one of the two was replaced.")
    elif at.number is not None and line.kind == "row" and not _counts_on(line, at.number):
        yield Fault(file, number, f"The rows go from number {at.number} to {line.number} without a word.")
    if line.kind == "cut":
        said = f"Line {line.body.get('n')}, to which the files had come, was gone or another one when this was written."
        yield Fault(file, number, said)


def _counts_on(line: Line, number: int) -> bool:
    """Whether a row has the next number; a row of before they were numbered has none."""
    return line.number == (number + 1 if whole(line.body.get("number")) else number)


def _missing(wanted: int, found: int) -> str:
    if found < wanted:
        return f"Line {wanted} of the record should be here and line {found} is: lines were moved or doubled."
    if found - wanted == 1:
        return f"Line {wanted} of the record is missing before this one."
    return f"Lines {wanted} to {found - 1} of the record are missing before this one."


def told_of(data: bytes, start: int, n: int | None, before: str | None) -> int | None:
    """Where the line stands that tells of the bytes from `start` up to it as left by a crash; None: none does.

    It must follow line `n` with the hash `before`, as far as these are known.
    """
    found = data.find(b'"torn":{', start)
    while found >= 0:
        begin = data.rfind(b"\n", 0, found) + 1
        end = data.find(b"\n", found) + 1 or len(data)
        line = read(data[begin:end])
        if line is not None and line.kind == "torn" and _goes_on(line, n, before):
            tells = (line.body.get("bytes"), line.body.get("sha256"))
            if tells == (begin - start, hashlib.sha256(data[start:begin]).hexdigest()):
                return begin
        found = data.find(b'"torn":{', end)
    return None


def _goes_on(line: Line, n: int | None, before: str | None) -> bool:
    return (n is None or line.n == n + 1) and (before is None or line.before == before)
