"""The views of the board that a team has saved: a name for a query and an order, and who gave it.

Written here alone, with an audit row each. A damaged entry is left out of the list, never an error.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from tasks.access import Right
from tasks.errors import ViewExists, ViewNotFound, ViewRefused
from tasks.ledger import keys
from tasks.ledger.connection import Ledger
from tasks.ledger.control import permit, record
from tasks.ledger.records import loaded, moment, text

KEPT = 200
LONGEST_NAME = 60
LONGEST_QUERY = 1_000


@dataclass(frozen=True, slots=True)
class SavedView:
    """One saved view: its query and sort as the address of the board spells them."""

    name: str
    query: str
    sort: str
    by: str
    at: datetime | None


def views(ledger: Ledger) -> list[SavedView]:
    """Those that name no collection that this person does not see, by name."""
    found = (_view(text(name), raw) for name, raw in ledger.redis.hgetall(keys.SAVED_VIEWS).items())
    read = ledger.person.reads
    seen = (view for view in found if view is not None and read(view.query) and read(view.name))
    return sorted(seen, key=lambda view: view.name.casefold())


def save(ledger: Ledger, name: str, *, query: str, sort: str = "", by: str = "", replace: bool = False) -> SavedView:
    """Save a view under a name. Raises NotAllowed, ViewRefused, or ViewExists unless it may replace another."""
    by = permit(ledger, Right.SAVE_VIEWS, name, by=by, action="save view")
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ViewRefused(reason=f"its name takes 1 to {LONGEST_NAME} letters, digits, blanks or signs")
    if len(query) > LONGEST_QUERY or len(sort) > LONGEST_NAME:
        raise ViewRefused(reason=f"its query is longer than {LONGEST_QUERY} characters; shorten it")
    before = ledger.redis.hget(keys.SAVED_VIEWS, name)
    if before is None and ledger.redis.hlen(keys.SAVED_VIEWS) >= KEPT:
        raise ViewRefused(reason=f"there are {KEPT} views already; delete one that nobody uses")
    now = ledger.now()
    value = json.dumps({"query": query, "sort": sort, "by": by, "at": now})
    if replace:
        ledger.redis.hset(keys.SAVED_VIEWS, name, value)
    elif not ledger.redis.hsetnx(keys.SAVED_VIEWS, name, value):
        other = _view(name, before) if before is not None else None
        raise ViewExists(name=name, by=other.by if other else "someone")
    done = "replaced" if before is not None else "saved"
    record(ledger, "save view", name, by=by, result=f"The view {name} was {done}: {query or 'all jobs'}.")
    return SavedView(name, query, sort, by, moment(now))


def forget(ledger: Ledger, name: str, *, by: str = "") -> None:
    """Delete a view. Raises NotAllowed or ViewNotFound."""
    by = permit(ledger, Right.SAVE_VIEWS, name, by=by, action="delete view")
    if not ledger.redis.hdel(keys.SAVED_VIEWS, name):
        raise ViewNotFound(name=name)
    record(ledger, "delete view", name, by=by, result=f"The view {name} was deleted.")


def _view(name: str, raw: bytes | str) -> SavedView | None:
    fields = loaded(raw)
    if not isinstance(fields, dict):
        return None
    query, sort, by = (text(fields.get(key) or "") for key in ("query", "sort", "by"))
    return SavedView(name, query, sort, by, moment(fields.get("at")))
