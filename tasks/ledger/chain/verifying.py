"""Whether the record on disk is whole: the chain of all files, its end as Redis knows it, and its newest rows.

Whoever can rewrite every file and Redis too can forge another chain; docs/audit.md says what to do about that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.ledger import keys
from tasks.ledger.chain.copying import cleaned
from tasks.ledger.chain.files import Head, folder, head, paths, trouble
from tasks.ledger.chain.walking import Fault, Whole, walk
from tasks.ledger.connection import Ledger
from tasks.ledger.records import text, whole
from tasks.settings import Settings

FAULTS_MOST = 100
BATCH = 2_000
BEHIND_S = 60.0  # by which the copy may be late, and a row ahead of the clock


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at and what was found. `compared` is the number of rows that Redis still holds; None: not asked.

    `notes` are sentences about what is missing or unfinished and was said when it happened.
    """

    files: int
    lines: int
    rows: int
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    last: str  # hash of the last line
    compared: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How the copy is now: what is wrong with its last file, how late it is, and what keeps it from going on."""

    faults: tuple[Fault, ...]
    rows: int  # in the last file
    behind_s: float
    trouble: str


class _Tally:
    """What a walk met."""

    def __init__(self, known: Head | None, noted: Collection[str] = ()) -> None:
        self.known = known
        self.noted = set(noted)  # hashes that were not met yet
        self.lines = self.rows = 0
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        self.last: Whole | None = None

    def take(self, found: Whole | Fault) -> bool:
        """Count it; whether there is room for more faults."""
        if isinstance(found, Fault):
            self.faults.append(found)
            return len(self.faults) < FAULTS_MOST
        self.lines += 1
        self.rows += found.what.kind == "row"
        self.last = found
        self.noted.discard(found.what.hash)
        at = f"{found.file}, line {found.line}"
        if found.what.kind == "gap":
            lost = found.what.body.get("lost")
            many = "1 row was" if lost == 1 else f"{lost:,} rows were" if isinstance(lost, int) else "Some rows may be"
            self.notes.append(f"{at}: {many} gone from Redis before they could be copied.")
        if found.unfinished:
            self.notes.append(f"{at}: A program died while it wrote; {found.unfinished} bytes before it do not count.")
        if self.known is not None and found.what.n == self.known.n and found.what.hash != self.known.hash:
            self.faults.append(Fault(found.file, found.line, "Redis knows another line by this number."))
        return True

    def end(self, files: Sequence[Path]) -> None:
        """What the end of the files lacks."""
        last = self.last.what.n if self.last else 0
        if self.known is not None and self.known.n > last:
            name = files[-1].name if files else self.known.file
            many = self.known.n - last
            said = f"{many:,} lines are missing" if many > 1 else "A line is missing"
            at = self.last.line if self.last else 0
            self.faults.append(Fault(name, at, f"{said} after this one: Redis knows of line {self.known.n}."))
        for noted in sorted(self.noted):
            self.faults.append(Fault("", 0, f"No line has the hash {noted}: the record is another one than was noted."))


def verify(settings: Settings, ledger: Ledger | None, *, noted: Collection[str] = ()) -> Report:
    """Walk all files and compare them with Redis, if it is there. Raises OSError.

    `noted` are hashes that were kept elsewhere: the chain must still go through each of them.
    """
    known = head(ledger) if ledger else None  # first: the files only grow
    files = paths(folder(settings))
    tally = _Tally(known, noted)
    recent = _Recent(ledger) if ledger else None
    for found in walk(files):
        if recent is not None and isinstance(found, Whole):
            recent.note(found)
        if not tally.take(found):
            tally.notes.append(f"There are more; the walk ended after {FAULTS_MOST}.")
            break
    else:
        tally.end(files)
        if recent is not None:
            for fault in recent.compare():
                tally.faults.append(fault)
                if len(tally.faults) >= FAULTS_MOST:
                    break
    if ledger is not None and (known is None or not known.n) and tally.lines:
        tally.notes.append("Redis holds no head, so an end that was cut off cannot be told until more was copied.")
    return Report(
        files=len(files),
        lines=tally.lines,
        rows=tally.rows,
        faults=tuple(tally.faults),
        notes=tuple(tally.notes),
        last=tally.last.what.hash if tally.last else "",
        compared=recent.compared if recent is not None else None,
    )


def standing(ledger: Ledger) -> Standing:
    """How the last file and the copy are, for a look that takes no time. Raises OSError."""
    known = head(ledger)
    files = [path for path in paths(folder(ledger.settings)) if path.stat().st_size]
    tally = _Tally(known)
    for found in walk(files[-1:], from_the_start=len(files) < 2):
        if not tally.take(found):
            break
    tally.end(files)
    last = tally.last.what.id if tally.last else ""
    now = ledger.now()
    if last and _seconds(last) > now + BEHIND_S:
        assert tally.last is not None
        tally.faults.append(Fault(tally.last.file, tally.last.line, "This row is of a time that has not come yet."))
    waiting: list[Any] = ledger.redis.xrange(keys.AUDIT, min=f"({last}" if last else "-", count=1) or []
    behind_s = max(0.0, now - _seconds(text(waiting[0][0]))) if waiting else 0.0
    return Standing(tuple(tally.faults), tally.rows, behind_s, trouble(ledger))


class _Recent:
    """The rows of the files that Redis may still hold, and whether the two agree."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        oldest: list[Any] = ledger.redis.xrange(keys.AUDIT, count=1) or []
        self._from = _order(text(oldest[0][0])) if oldest else None
        self._files: dict[str, Whole] = {}
        self._last = (0, 0)
        self.compared = 0

    def note(self, found: Whole) -> None:
        if found.what.kind != "row":
            return
        at = _order(found.what.id)
        self._last = max(self._last, at)
        if self._from is not None and at >= self._from:
            self._files[found.what.id] = found

    def compare(self) -> Iterator[Fault]:
        first: tuple[int, int] | None = None
        for row_id, row in self._stream():
            at = _order(row_id)
            first = first or at
            if at > self._last:
                break  # not copied yet
            found = self._files.pop(row_id, None)
            said = f"{row.get('action', '')} on {row.get('subject', '')}"
            if found is None:
                when = datetime.fromtimestamp(_seconds(row_id), UTC).isoformat(timespec="seconds")
                yield Fault("", 0, f"A row that Redis holds is not in the files: {said} at {when} ({row_id}).")
            elif found.what.body != row:
                yield Fault(found.file, found.line, f"This row is not as Redis holds it: {said} ({row_id}).")
            self.compared += 1
        for found in self._files.values():
            # What was trimmed meanwhile is older than the first that we read.
            if first is not None and _order(found.what.id) >= first:
                yield Fault(
                    found.file,
                    found.line,
                    "Redis should hold this row and does not: it forgot it when it died, or somebody added the row "
                    "here or removed it there.",
                )

    def _stream(self) -> Iterator[tuple[str, dict[str, str]]]:
        start = "-"
        while True:
            answer: list[Any] = self._ledger.redis.xrange(keys.AUDIT, min=start, count=BATCH) or []
            for row_id, fields in answer:
                yield text(row_id), cleaned(fields or {})
            if len(answer) < BATCH:
                return
            start = f"({text(answer[-1][0])}"


def _order(row_id: str) -> tuple[int, int]:
    """Ids of a stream compare as two numbers."""
    millis, _, sequence = row_id.partition("-")
    return whole(millis), whole(sequence)


def _seconds(row_id: str) -> float:
    return min(_order(row_id)[0] / 1000, 253_402_300_799.0)
