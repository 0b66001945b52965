"""What one person may submit: jobs a minute, jobs that are not final, bytes a day. Asked before anything is written.

One script decides and counts, so that two submissions at once cannot both have the last of it. What the programs do in
the name of nobody is not counted, and the same submission that comes twice is counted once.

Jobs that are not final are kept as a set of ids for each person, and whoever ended is dropped from it when it is
looked at. A counter would have to be right in every transition of every job and be repaired when it is not; the set is
right whenever it is compared with the ledger's own list of live jobs, which costs some twenty look-ups for a
submission, and the whole set (5,000 ids: a few milliseconds of the server) only near the limit. A job that is retried
after it was dropped is not counted again: nothing new was submitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.errors import AllowanceUsed
from tasks.ledger import keys
from tasks.ledger.connection import Ledger
from tasks.ledger.records import text, whole

NO_TOKEN = "-"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One job that is asked for: its size, the id that it gets, and the token of its submission ('' for none)."""

    size_bytes: int
    job: str = ""
    token: str = ""


def take(ledger: Ledger, wanted: Sequence[Wanted]) -> None:
    """Count these jobs as submitted by the person who holds the ledger. Raises AllowanceUsed; then none is counted."""
    _ask(ledger, wanted, count=True)


def look(ledger: Ledger, size_bytes: int = 0, *, token: str = "") -> None:
    """Whether a job of this size would be taken now, before its bytes are saved. Raises AllowanceUsed."""
    _ask(ledger, [Wanted(size_bytes, token=token)], count=False)


def _ask(ledger: Ledger, wanted: Sequence[Wanted], *, count: bool) -> None:
    settings, person = ledger.settings, ledger.person
    limits = settings.person_jobs_per_minute, settings.person_jobs_live, settings.person_bytes_per_day
    if person.program or not any(limits) or not wanted:
        return
    name = person.signs()
    markers = [keys.allowance_token(name, one.token) if one.token else NO_TOKEN for one in wanted]
    sizes = [part for one in wanted for part in (max(0, one.size_bytes), one.job)]
    reply = ledger.run(
        "allowance",
        [keys.allowance(name), keys.allowance_live(name), keys.LIVE, *markers],
        [*limits, "1" if count else "0", *sizes],
    )
    if text(reply[0]) != "ok":
        what, *figures = map(text, reply)
        raise _refusal(name, what, *map(whole, figures))


def _refusal(person: str, what: str, limit: int, used: int, asked: int, wait_s: int) -> AllowanceUsed:
    if what == "live":
        told = f"{used:,} jobs that have not ended, and one person may have {limit:,}"
        remedy = "wait until some have ended, or cancel some"
        return AllowanceUsed(person=person, what=told, remedy=remedy, wait_s=None)
    told = {
        "jobs": f"{used:,} jobs within a minute, and one person may submit {limit:,}",
        "bytes": f"{_size(used)} within 24 hours, and one person may submit {_size(limit)}",
    }[what]
    if wait_s < 0:
        more = f"{asked:,} jobs" if what == "jobs" else _size(asked)
        remedy = f"these are {more}, so submit them in parts"
        return AllowanceUsed(person=person, what=told, remedy=remedy, wait_s=None)
    remedy = f"this can be submitted in {_lasting(wait_s)}"
    return AllowanceUsed(person=person, what=told, remedy=remedy, wait_s=wait_s)


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.4g} {unit}"
        amount /= 1000
    return f"{amount:.4g} TB"


def _lasting(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{-(-seconds // 60)} min" if seconds < 7_200 else f"{-(-seconds // 3600)} h"
