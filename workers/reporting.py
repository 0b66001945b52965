"""What a worker tells about itself: that it lives, what it has in hand, what it uses. Never what a document says."""

from __future__ import annotations

import time
from typing import Any

from tasks.ingest.run import InHand
from tasks.ledger import Ledger, keys
from tasks.ledger.records import fields_of, text
from workers.horse import Use

KEPT_S = 60


class Reporting:
    """One worker's heartbeat and figures. Make it in the worker's own process."""

    def __init__(self, ledger: Ledger, name: str, pool: str, in_hand: InHand) -> None:
        self._ledger = ledger
        self._name = name
        self._pool = pool
        self._in_hand = in_hand
        self._use = Use()
        self._clock_offset = time.time() - time.monotonic()
        self._document: tuple[str, int | None, str] = ("", None, "")

    def beat(self, target: Any, *, clock: bool) -> None:
        """It lives. `clock`: ask the server for its time first; hosts' clocks differ, and ages are told by that one."""
        if clock:
            self._clock_offset = self._ledger.now() - time.monotonic()
        target.zadd(keys.WORKERS, {self._name: time.monotonic() + self._clock_offset})

    def write(self, delivery: tuple[str, str, str] | None) -> None:
        """What it has in hand and what it uses; one round trip, two when the document is a new one."""
        percent, memory = self._use.look()
        name = self._document_name(delivery[0]) if delivery is not None else ""
        with self._ledger.redis.pipeline(transaction=False) as pipe:
            pipe.hset(
                keys.worker(self._name),
                mapping={
                    "pool": self._pool,
                    "delivery": f"{delivery[0]}:{delivery[1]}" if delivery is not None else "",
                    "document": name,
                    "stage": self._in_hand.stage if delivery is not None else "",
                    "cpu_percent": f"{percent:.1f}",
                    "rss_bytes": memory,
                    "documents_a_minute": f"{self._use.pace(self._in_hand.ended):.2f}",
                },
            )
            pipe.expire(keys.worker(self._name), KEPT_S)
            pipe.execute()

    def forget(self) -> None:
        """It ends."""
        with self._ledger.redis.pipeline(transaction=False) as pipe:
            pipe.zrem(keys.WORKERS, self._name)
            pipe.delete(keys.worker(self._name))
            pipe.execute()

    def _document_name(self, job_id: str) -> str:
        number = self._in_hand.get()
        if self._document[:2] != (job_id, number):
            raw = None if number is None else self._ledger.redis.hget(keys.documents(job_id), str(number))
            self._document = (job_id, number, _name(raw))
        return self._document[2]


def _name(raw: Any) -> str:
    return text(fields_of(raw).get("name"))
