"""Who did what to what, from where, allowed or refused, with which result: names and reasons only."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Literal

from tasks.ledger import keys
from tasks.ledger.connection import Ledger
from tasks.ledger.origin import current

Outcome = Literal["allowed", "refused"]

KEPT = 100_000
FIELDS = ("by", "origin", "action", "subject", "outcome", "result")
AT_ONCE = 500  # rows of one script


def record(
    ledger: Ledger, action: str, subject: str, *, by: str, result: str, outcome: Outcome = "allowed", origin: str = ""
) -> None:
    """Add an audit row. Without `origin` it says what this program said of itself (`tasks.ledger.origin`)."""
    refused = {subject} if outcome == "refused" else set()
    record_all(ledger, action, [(subject, result)], by=by, refused=refused, origin=origin)


def record_all(
    ledger: Ledger,
    action: str,
    results: Iterable[tuple[str, str]],
    *,
    by: str,
    refused: Collection[str] = (),
    origin: str = "",
) -> None:
    """Add an audit row for each subject with its result, 500 in one round trip; `refused` holds those that were."""
    who, where = by or "someone", origin or current()
    left = iter(results)
    while some := list(islice(left, AT_ONCE)):
        values = [
            value
            for subject, result in some
            for value in (who, where, action, subject, "refused" if subject in refused else "allowed", result)
        ]
        ledger.run("record", [keys.AUDIT, keys.AUDIT_NUMBER], [KEPT, len(FIELDS), *FIELDS, *values])
