"""Failures, and what they have in common: the stream that the scripts write, causes, and who acknowledged which.

A failure stands until its document is retried or its job is deleted; it is the cause that people work on, so
numbers, names, paths and sizes are taken out of a message before it is compared with others.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from tasks.access import Right
from tasks.errors import SubmissionRefused
from tasks.ledger import control, keys
from tasks.ledger.connection import Ledger
from tasks.ledger.records import fields_of, moment, text, whole

ACKNOWLEDGED_KEPT = 2_000
NOTE_LONGEST = 500
SLOTS = 24
SLOT_S = 3600

# From the most telling to the least: what one rule took out, the next does not see.
_RULES = (
    (re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE), "<address>"),
    (re.compile(r"\"[^\"\n]{1,300}\"|\u201c[^\u201d\n]{1,300}\u201d|(?<!\w)'[^'\n]{1,300}'(?!\w)"), "<name>"),
    (re.compile(r"(?<![\w/])(?:[A-Za-z]:)?(?:[\\/][^\s\\/:;,()]+){2,}[\\/]?|(?<!\w)/[^\s/:;,()]+\.\w{1,8}"), "<path>"),
    (re.compile(r"\b[\w()+-]+\.(?:[A-Za-z][A-Za-z0-9]{1,4}|7z)\b(?!\()"), "<file>"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b\d[\d,.]*\s?(?:[kmgt]i?)?(?:b|bytes?)\b", re.IGNORECASE), "<size>"),
    (re.compile(r"(?<![A-Za-z<])(?<![A-Za-z]-)[+-]?\d(?:[\d,._:]*\d)?"), "<number>"),
)
_SPACE = re.compile(r"\s+")
CAUSE_LONGEST = 300


@lru_cache(maxsize=4096)
def normalise(message: str) -> str:
    """The cause in a message: what differs from one failure to the next is replaced by a placeholder."""
    cause = message.strip()[: 2 * CAUSE_LONGEST]
    for pattern, placeholder in _RULES:
        cause = pattern.sub(placeholder, cause)
    cause = _SPACE.sub(" ", cause).strip()[:CAUSE_LONGEST]
    return cause or "No reason was given."


@lru_cache(maxsize=4096)
def key_of(cause: str, stage: str, ending: str) -> str:
    """Names a group of failures, without regard to case."""
    told = "\0".join((cause.casefold(), stage.casefold(), ending.casefold()))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Failure:
    """A document that failed (`document` is its number), or a job ('')."""

    job: str
    attempt: int
    document: str
    name: str  # of the document
    ending: str
    stage: str
    collection: str
    at: float  # epoch seconds
    cause: str
    key: str  # of its group
    message: str = ""  # as it was reported, cut where causes are


@dataclass(frozen=True, slots=True)
class Mended:
    """A retry: these documents of a job do not count as failed any more; None for all of them."""

    job: str
    attempt: int
    documents: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Who knows about a cause, since when, and what there is to say about it."""

    by: str
    at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of one cause, in one stage, of one kind of file. `spark` counts the last 24 hours, oldest first."""

    key: str
    cause: str
    stage: str
    ending: str
    jobs: tuple[str, ...]  # ids, the latest failure first
    documents: int  # that failed; a job that failed as a whole is none
    first_at: datetime
    last_at: datetime
    spark: tuple[int, ...]
    acknowledged: Acknowledged | None = None

    @property
    def again(self) -> bool:
        """Whether it happened again after it was acknowledged."""
        return self.acknowledged is not None and self.last_at > self.acknowledged.at


def read(entry_id: Any, fields: Mapping[Any, Any]) -> Failure | Mended | None:
    """One entry of the stream; None for one that is damaged."""

    def get(name: str) -> str:
        return text(fields.get(name.encode()))

    at, job, attempt = whole(text(entry_id).partition("-")[0]) / 1000, get("job"), whole(get("attempt"))
    if not job:
        return None
    if b"mended" in fields:
        mended = get("mended")
        return Mended(job, attempt, None if mended == "*" else frozenset(filter(None, mended.split(","))))
    ending, stage, error = get("ending"), get("stage"), get("error")
    cause = sys.intern(normalise(error))
    return Failure(
        job=job,
        attempt=attempt,
        document=get("document"),
        name=get("name"),
        ending=sys.intern(ending),
        stage=sys.intern(stage),
        collection=sys.intern(get("collection")),
        at=at,
        cause=cause,
        key=key_of(cause, stage, ending),
        message=sys.intern(error.strip()[:CAUSE_LONGEST]),
    )


def acknowledge(ledger: Ledger, key: str, note: str, *, by: str = "", cause: str = "") -> str:
    """Say that a cause is known, with a note; the sentence of its audit row."""
    if not re.fullmatch(r"[0-9a-f]{16}", key):
        raise SubmissionRefused(reason="that names no group of failures; choose one on the board")
    who = control.permit(ledger, Right.ACKNOWLEDGE, key, by=by)
    said = note.strip()[:NOTE_LONGEST]
    value = json.dumps({"by": who, "at": ledger.now(), "note": said})
    ledger.redis.hset(keys.ACKNOWLEDGED, key, value)
    _bound(ledger)
    sentence = f"{who} acknowledged the failures of one cause" + (f" ({cause[:120]})" if cause else "")
    sentence += f": {said}" if said else "."
    control.record(ledger, "acknowledge", key, by=who, result=sentence)
    return sentence


def withdraw(ledger: Ledger, key: str, *, by: str = "") -> str:
    """Take an acknowledgement back; the sentence of its audit row. Raises NotAllowed."""
    by = control.permit(ledger, Right.ACKNOWLEDGE, key, by=by, action="withdraw acknowledgement")
    found = ledger.redis.hdel(keys.ACKNOWLEDGED, key)
    sentence = f"{by} took the acknowledgement of a cause back." if found else "That cause was not acknowledged."
    control.record(ledger, "withdraw acknowledgement", key, by=by, result=sentence)
    return sentence


def acknowledged(ledger: Ledger) -> dict[str, Acknowledged]:
    """The causes that somebody knows about, by key."""
    return read_acknowledged(ledger.redis.hgetall(keys.ACKNOWLEDGED))


def read_acknowledged(found: Mapping[Any, Any]) -> dict[str, Acknowledged]:
    """Decode the hash; what is damaged in it is left out."""
    known = {}
    for key, raw in found.items():
        data = fields_of(raw)
        at = moment(data.get("at"))
        if at is not None:
            known[text(key)] = Acknowledged(text(data.get("by")), at, text(data.get("note")))
    return known


def _bound(ledger: Ledger) -> None:
    """Keep the newest of them: causes come and go over the years."""
    if ledger.redis.hlen(keys.ACKNOWLEDGED) <= ACKNOWLEDGED_KEPT:
        return
    found = ledger.redis.hgetall(keys.ACKNOWLEDGED)
    known = read_acknowledged(found)
    never = datetime.fromtimestamp(0, UTC)

    def since(name: Any) -> datetime:
        one = known.get(text(name))
        return one.at if one else never

    ledger.redis.hdel(keys.ACKNOWLEDGED, *sorted(found, key=since)[: len(found) - ACKNOWLEDGED_KEPT * 9 // 10])
