"""What the last word of a search may become: qualifiers, then the values that jobs have. Pure but for the mirror."""

from __future__ import annotations

from collections.abc import Callable

from dashboard.memory.mirror import Mirror
from dashboard.memory.query import AGES, KNOWN, LONGEST, NAMES, PIECE, quoted
from tasks.ledger.states import STAGES

AGE_OFFERS = ("10m", "1h", "8h", "1d", "7d")
MOST_OFFERS = 12


def suggest(mirror: Mirror, typed: str) -> list[str]:
    """What the last word of a query may become, as whole texts: qualifiers, then the values that jobs have."""
    head, word = _last_word(typed)
    minus, _, name_and_value = ("-", "", word[1:]) if word.startswith("-") else ("", "", word)
    name, colon, begun = name_and_value.partition(":")
    if not colon:
        offers = [f"{minus}{one}:" for one in NAMES if one.startswith(name.lower()) and name]
    else:
        values = _values(mirror, name.lower())
        begun = begun.strip('"').casefold()
        starting = [value for value in values if value.casefold().startswith(begun)]
        inside = [value for value in values if begun in value.casefold() and value not in starting]
        offers = [f"{minus}{name.lower()}:{quoted(value)}" for value in (*starting, *inside)]
    return [f"{head}{offer}" for offer in offers[:MOST_OFFERS] if offer != word]


def _values(mirror: Mirror, name: str) -> tuple[str, ...] | list[str]:
    if name in KNOWN:
        return KNOWN[name]
    if name in AGES:
        return AGE_OFFERS
    offers: dict[str, Callable[[], list[str]]] = {
        "collection": mirror.collections,
        "owner": mirror.owners,
        "kind": mirror.kinds,
        "worker": lambda: sorted(mirror.workers),
        "stage": lambda: list(STAGES),
    }
    return offers[name]() if name in offers else []


def _last_word(typed: str) -> tuple[str, str]:
    """The text up to its last word, and that word; an open quote belongs to the word."""
    start = 0
    for piece in PIECE.finditer(typed[:LONGEST]):
        start = piece.start()
        if piece.end() == len(typed):
            return typed[:start], typed[start:]
    return typed, ""
