"""Whether the person in whose hands a ledger is may do a thing; a refusal goes on the record like what was done."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.access import NEEDS, Right
from tasks.errors import NotAllowed
from tasks.ledger.connection import Ledger
from tasks.ledger.control import audit


def permit(ledger: Ledger, right: Right, subjects: str | Sequence[str], *, by: str = "", action: str = "") -> str:
    """Let them, and answer the name to sign with. Raises NotAllowed, which is recorded for each subject.

    `by` is whom a program acts for; a person signs with their own name, whatever was said.
    """
    person = ledger.person
    if person.may(right):
        return person.signs(by)
    needed = NEEDS[right]
    refusal = NotAllowed(
        person=person.signs(),
        right=right.value,
        role=person.role.value if person.role else "none",
        needed=needed.value if needed else "of the programs",
    )
    named = [subjects] if isinstance(subjects, str) else subjects
    told = [(one, str(refusal)) for one in named]
    audit.record_all(
        ledger, action or right.name.lower().replace("_", " "), told, by=person.signs(), refused=set(named)
    )
    raise refusal
