"""The publish lock of a collection: one publisher at a time, fenced by a token, lost by itself when its holder dies."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from tasks.ledger import keys
from tasks.ledger.connection import Ledger

LOCK_S = 60


@dataclass(frozen=True, slots=True)
class PublishLock:
    """A lock that was got. `fence` grows with each lock given out for the collection."""

    ledger: Ledger
    collection: str
    token: str
    fence: int

    def renew(self) -> bool:
        """Hold it for another minute; False when it is no longer ours."""
        return self._ask(LOCK_S * 1000)

    def release(self) -> bool:
        """Give it up; False when it was no longer ours."""
        return self._ask(0)

    def _ask(self, milliseconds: int) -> bool:
        return bool(self.ledger.run("unlock", [keys.publish_lock(self.collection)], [self.token, milliseconds]))


def acquire(ledger: Ledger, collection: str) -> PublishLock | None:
    """The collection's publish lock, or None while another publish holds it."""
    token = secrets.token_hex(16)
    if not ledger.redis.set(keys.publish_lock(collection), token, nx=True, px=LOCK_S * 1000):
        return None
    return PublishLock(ledger, collection, token, int(ledger.redis.incr(keys.fence(collection))))
