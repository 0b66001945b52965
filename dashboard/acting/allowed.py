"""What the person who looks is offered: what their role holds, and nothing else. A page without it is calm.

It is a courtesy and no lock. Who asks all the same, by an address, or on a page that was open before their role was
changed, meets the refusal of tasks.ledger.control (`actions.refuse`), which is on the record.
"""

from __future__ import annotations

from dashboard import connection
from tasks.access import Right
from tasks.ledger.control import RIGHTS
from tasks.ledger.states import Action


def may(right: Right) -> bool:
    """Whether to offer what takes this right."""
    return connection.redis().person.may(right)


def does(action: Action) -> bool:
    """Whether to offer this action on jobs."""
    return may(RIGHTS[action])


def offered() -> frozenset[Action]:
    """The actions on jobs to offer: what is drawn once for many viewers is drawn once for each set of them."""
    person = connection.redis().person
    return frozenset(action for action, right in RIGHTS.items() if person.may(right))
