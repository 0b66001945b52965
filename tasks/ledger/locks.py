"""The publish lock of a collection: one publisher at a time, fenced by a token, lost by itself when its holder dies."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import redis

from tasks.ledger import journal, keys
from tasks.ledger.connection import Ledger
from tasks.ledger.trouble import is_damage

LOCK_S = 60
FENCES_AHEAD = 100


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


def holder(job_id: str, attempt: int) -> str:
    """The token of one attempt's publish: whoever buries that attempt can free its lock."""
    return f"{job_id}:{attempt}"


def free(ledger: Ledger, collection: str, token: str) -> bool:
    """Give up the lock of a holder that is dead; whether it had it."""
    return PublishLock(ledger, collection, token, 0).release()


def acquire(ledger: Ledger, collection: str, token: str = "") -> PublishLock | None:
    """The collection's publish lock, or None while another publish holds it."""
    token = token or secrets.token_hex(16)
    lock = keys.publish_lock(collection)
    if not ledger.redis.set(lock, token, nx=True, px=LOCK_S * 1000):
        left = ledger.redis.pttl(lock)
        if left == -1 or left > LOCK_S * 1000:
            ledger.redis.delete(lock)  # nobody holds what never ends
        return None
    return PublishLock(ledger, collection, token, _next_fence(ledger, collection))


def _next_fence(ledger: Ledger, collection: str) -> int:
    try:
        return int(ledger.redis.incr(keys.fence(collection)))
    except redis.ResponseError as error:
        if not is_damage(error):
            raise
    # Damaged; the lock is ours, so nobody else counts. It goes on above what was seen of it.
    fence = journal.seen(ledger.settings).fences.get(collection, 0) + FENCES_AHEAD
    ledger.redis.set(keys.fence(collection), fence)
    return fence
