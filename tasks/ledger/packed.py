"""A job as the board keeps it in memory: a plain tuple of text and numbers, about half the size of a JobRow.

Plain tuples without anything but text and numbers are not looked through by the garbage collector, and repeated
words are shared: a hundred thousand of them cost nothing but their room. What the board does not show (recipe,
arguments, sync) is not read for it. Times are epoch seconds, 0 for none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from tasks.ledger.records import JobRow, StopReceipt, moment, number, text, whole
from tasks.ledger.states import LIVE, State

Packed = tuple[Any, ...]

DAMAGED = "The record of this job is damaged."
_WORDS_KEPT = 20_000
_words: dict[bytes, str] = {}


def _word(value: Any) -> str:
    """Text that many jobs have in common, kept once."""
    if not value:
        return ""
    found = _words.get(value)
    if found is None:
        if len(_words) >= _WORDS_KEPT:
            _words.clear()
        found = _words[value] = text(value)
    return found


def _time(value: Any) -> float:
    seconds = number(value) if value else 0.0
    return seconds if 0 < seconds <= 253_402_300_799 else 0.0


def _count(value: Any) -> int:
    return whole(value) if value else 0


_PERCENTS = {float(value): float(value) for value in range(101)}


def _percent(value: Any) -> float:
    share = min(100.0, max(0.0, number(value) if value else 0.0))
    return _PERCENTS.get(share, share)


def _seconds(value: Any) -> float:
    return max(0.0, number(value)) if value else 0.0


# Field of the job's hash -> how it is kept. The order is that of the tuple, after the id.
_KEPT: dict[str, Callable[[Any], Any]] = {
    "state": _word,
    "title": text,
    "collection": _word,
    "owner": _word,
    "kind": _word,
    "priority": _word,
    "stage": _word,
    "current_step": _count,
    "total_steps": _count,
    "step_description": _word,
    "percent": _percent,
    "documents_total": _count,
    "documents_done": _count,
    "documents_failed": _count,
    "documents_cached": _count,
    "chunks": _count,
    "attempt": _count,
    "worker": _word,
    "created_at": _time,
    "started_at": _time,
    "last_updated": _time,
    "ended_at": _time,
    "error": _word,
    "snapshot": _word,
    "revision": _count,
    "progressed_at": _time,
    "time_limit_s": _seconds,
    "document_limit_s": _seconds,
    "stop_asked_at": _time,
    "stop_asked_by": _word,
    "stop_forced": _word,
    "stopped_at": _time,
    "stop_how": _word,
}
FIELDS = tuple(_KEPT)
_DECODERS = tuple(_KEPT.values())
_AT = {name: at for at, name in enumerate(("id", *FIELDS))}

ID = 0
STATE = _AT["state"]
TITLE = _AT["title"]
COLLECTION = _AT["collection"]
OWNER = _AT["owner"]
KIND = _AT["kind"]
PRIORITY = _AT["priority"]
STAGE = _AT["stage"]
PERCENT = _AT["percent"]
DOCUMENTS = _AT["documents_total"]
FAILED = _AT["documents_failed"]
CHUNKS = _AT["chunks"]
ATTEMPT = _AT["attempt"]
WORKER = _AT["worker"]
CREATED = _AT["created_at"]
STARTED = _AT["started_at"]
UPDATED = _AT["last_updated"]
ENDED = _AT["ended_at"]
ERROR = _AT["error"]
SNAPSHOT = _AT["snapshot"]
REVISION = _AT["revision"]

_STATES = {state.value.encode(): state.value for state in State}
LIVE_STATES = frozenset(state.value for state in LIVE)
MOVING_STATES = LIVE_STATES - {State.QUEUED.value}  # somebody has them in hand, or had
_TIMES = frozenset(name for name, decoder in _KEPT.items() if decoder is _time)
_STOP = ("stop_asked_at", "stop_asked_by", "stop_forced", "stopped_at", "stop_how")
_DIRECT = tuple(
    (field.name, _AT[field.name], field.name in _TIMES)
    for field in fields(JobRow)
    if field.name in _AT and field.name != "state"
)


def pack(job_id: str, values: Sequence[Any]) -> Packed | None:
    """A job from the values of its FIELDS; None when there is no such job.

    A record without a state that we know reads as failed, with the reason in its error, as in `records.job_row`.
    """
    state = _STATES.get(values[0])
    if state is None:
        if all(value is None for value in values):
            return None
        kept = [decode(value) for decode, value in zip(_DECODERS, values, strict=True)]
        kept[STATE - 1] = State.FAILED.value
        kept[ERROR - 1] = kept[ERROR - 1] or DAMAGED
        return (job_id, *kept)
    return (job_id, state, *[decode(value) for decode, value in zip(_DECODERS[1:], values[1:], strict=True)])


def unpack(row: Packed) -> JobRow:
    """The job as readers know it, without what the board does not show."""
    found: dict[str, Any] = {name: (moment(row[at]) if timed else row[at]) for name, at, timed in _DIRECT}
    return JobRow(state=State(row[STATE]), stop=_stop(row), **found)


def _stop(row: Packed) -> StopReceipt | None:
    asked_at, by, forced, stopped_at, how = (row[_AT[name]] for name in _STOP)
    asked, stopped = moment(asked_at), moment(stopped_at)
    if asked is None:
        return None
    took_s = max(0.0, (stopped - asked).total_seconds()) if stopped else None
    return StopReceipt(asked, by, forced == "1", stopped, how, took_s)


def took_s(row: Packed, now: float) -> float:
    """Seconds of the attempt, up to its end, or up to now while it goes on; 0 before it starts."""
    ended = row[ENDED] or (now if row[STATE] in MOVING_STATES else 0.0)
    return max(0.0, ended - row[STARTED]) if row[STARTED] else 0.0


def left_s(row: Packed, now: float) -> float | None:
    """Seconds left, as `JobRow.left_s` tells them; None while that cannot be told."""
    elapsed, percent = took_s(row, now), row[PERCENT]
    if row[STATE] != State.RUNNING.value or elapsed < 2 or percent < 2:
        return None
    return float(elapsed * (100.0 - percent) / percent)
