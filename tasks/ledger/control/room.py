"""Whether a person may submit more just now; a refusal goes on the record. What is counted stands in `allowance`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tasks.errors import AllowanceUsed
from tasks.ledger import allowance
from tasks.ledger.connection import Ledger
from tasks.ledger.control import audit


def look_for_room(ledger: Ledger, collection: str, *, size_bytes: int = 0, token: str = "") -> None:
    """Whether one more job of that size would be taken now, asked before its bytes are saved. Raises AllowanceUsed."""
    with _on_the_record(ledger, [collection]):
        allowance.look(ledger, size_bytes, token=token)


def take_room(ledger: Ledger, collections: Sequence[str], wanted: Sequence[allowance.Wanted]) -> None:
    """Count these jobs for the collections as submitted. Raises AllowanceUsed; then none was counted."""
    with _on_the_record(ledger, collections):
        allowance.take(ledger, wanted)


@contextmanager
def _on_the_record(ledger: Ledger, collections: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except AllowanceUsed as refusal:
        told = [(name, str(refusal)) for name in dict.fromkeys(collections)]
        audit.record_all(ledger, "submit", told, by=ledger.person.signs(), refused={name for name, _ in told})
        raise
