"""Who did what to what, with which result: pages of the audit stream, newest first.

A page begins at an id of the stream, so that a deep one costs what the first one costs. A filter that matches
little looks through a bounded number of rows and says from where to go on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tasks.ledger import keys
from tasks.ledger.connection import Ledger
from tasks.ledger.records import text, whole
from tasks.ledger.sight import hidden_jobs

JOB = re.compile(r"[0-9a-f]{12}")
CAUSE = re.compile(r"[0-9a-f]{16}")  # the key of a group of failures
ON_TOKENS = frozenset({"make token", "revoke token"})  # the ids of tokens look like those of jobs
BATCH = 2_000
LOOKED_THROUGH = 20_000  # rows of the stream that one page reads at most: about 0.2 s


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """One thing that a person did. `subject` is a job's id, a collection, a worker, a queue."""

    id: str
    at: datetime
    by: str
    action: str
    subject: str
    result: str
    origin: str = ""  # from where: 'page 10.0.0.7', 'cli ana@host7', 'worker host7'; '' when nobody said
    outcome: str = "allowed"  # or 'refused'


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for; empty means everything. Person and action are whole, subject and text parts of one."""

    by: str = ""
    action: str = ""
    subject: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    outcome: str = ""  # 'allowed' or 'refused'
    origin: str = ""  # a part of it

    def plain(self) -> bool:
        """Whether every row of its time matches."""
        return not (self.by or self.action or self.subject or self.text or self.outcome or self.origin)

    def within(self, row: ActivityRow) -> bool:
        """Whether the row is of the time that is asked for, which `matches` leaves to the stream."""
        return (self.since is None or row.at >= self.since) and (self.until is None or row.at <= self.until)

    def matches(self, row: ActivityRow) -> bool:
        if (self.by and row.by.casefold() != self.by.casefold()) or (self.action and row.action != self.action):
            return False
        if self.outcome and row.outcome != self.outcome:
            return False
        if self.subject and self.subject.casefold() not in row.subject.casefold():
            return False
        if self.origin and self.origin.casefold() not in row.origin.casefold():
            return False
        needle = self.text.casefold()
        told = (row.by, row.action, row.subject, row.result, row.origin)
        return not needle or any(needle in one.casefold() for one in told)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first. `older` is where an older page begins, '' when there is none.

    `looked_back_to` is set when the page ended because enough rows were looked through, not because it was full.
    """

    rows: tuple[ActivityRow, ...]
    older: str
    looked_back_to: datetime | None = None


def page(ledger: Ledger, wanted: Wanted | None = None, *, before: str = "", limit: int = 100) -> Page:
    """The newest rows that match, or those before an id of the stream. Without a filter one round trip."""
    wanted = wanted or Wanted()
    first = str(int(wanted.since.timestamp() * 1000)) if wanted.since else "-"
    last = f"({before}" if before else str(int(wanted.until.timestamp() * 1000)) if wanted.until else "+"
    plain = wanted.plain()
    found: list[ActivityRow] = []
    looked = 0
    while looked < LOOKED_THROUGH:
        batch = limit + 1 if plain else BATCH
        answer: list[Any] = ledger.redis.xrevrange(keys.AUDIT, max=last, min=first, count=batch) or []
        rows = [
            row_of(text(raw_id), {text(name): text(value) for name, value in (fields or {}).items()})
            for raw_id, fields in answer
        ]
        seen = _seen(ledger, rows) if ledger.person.limited else None
        for row in rows:
            looked += 1
            last = f"({row.id}"
            if wanted.matches(row) and (seen is None or row.id in seen):
                if len(found) == limit:
                    return Page(tuple(found), older=found[-1].id)
                found.append(row)
        if len(answer) < batch:
            return Page(tuple(found), older="")
    return Page(tuple(found), older=last[1:], looked_back_to=at_of(last[1:]))


def _seen(ledger: Ledger, rows: Sequence[ActivityRow]) -> frozenset[str]:
    """Ids of the rows that this person may read: about no job that they do not see, naming no such collection.

    A job that is gone tells its collection no more, so that its rows are for those who see everything. So are those
    about a cause of failures, which quote it, but for their own.
    """
    person = ledger.person
    jobs = {row.subject for row in rows if JOB.fullmatch(row.subject) and row.action not in ON_TOKENS}
    hidden = hidden_jobs(ledger, sorted(jobs))
    return frozenset(
        row.id
        for row in rows
        if row.subject not in hidden
        and person.sees("")
        and (row.by == person.signs() or not CAUSE.fullmatch(row.subject))
        and person.reads(row.subject)
        and person.reads(row.result)
    )


def matching(ledger: Ledger, wanted: Wanted, *, limit: int) -> tuple[list[ActivityRow], bool]:
    """Everything that matches, up to a number of rows; and whether that is all. For a file, not for a look."""
    rows: list[ActivityRow] = []
    before = ""
    while True:
        found = page(ledger, wanted, before=before, limit=min(BATCH, limit - len(rows)))
        rows += found.rows
        before = found.older
        if not before or len(rows) >= limit:
            return rows, not before


def known(ledger: Ledger) -> tuple[list[str], list[str]]:
    """The people and the actions of the newest rows, for who chooses among them."""
    rows = page(ledger, limit=BATCH).rows
    return sorted({row.by for row in rows}, key=str.casefold), sorted({row.action for row in rows})


def known_id(asked: str) -> str:
    """An id of the stream as an address may give it, or '' when it is none."""
    millis, dash, sequence = asked.partition("-")
    fits = millis.isdecimal() and sequence.isdecimal() and len(asked) <= 40 and asked.isascii()
    return asked if dash and fits else ""


def row_of(row_id: str, fields: Mapping[str, str]) -> ActivityRow:
    """A row from its id and fields; one of before outcomes were recorded was allowed."""
    return ActivityRow(
        row_id,
        at_of(row_id),
        fields.get("by", ""),
        fields.get("action", ""),
        fields.get("subject", ""),
        fields.get("result", ""),
        fields.get("origin", ""),
        "refused" if fields.get("outcome") == "refused" else "allowed",
    )


def at_of(row_id: str) -> datetime:
    """The time of an id of the stream."""
    return datetime.fromtimestamp(min(max(0.0, whole(row_id.partition("-")[0]) / 1000), 253_402_300_799), UTC)
