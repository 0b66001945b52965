"""Recovers what dead workers and lost messages left behind. One janitor at a time, by lease; bounded work a turn.

It lives in every pool. What it repairs: shards whose worker is gone, deliveries that RQ lost, retries that
are due, publishes that committed and were not recorded, staging of dead jobs, and history past its time.
"""

from __future__ import annotations

import json
import logging
import time

from tasks.errors import Fenced, JobNotFound
from tasks.ledger import Ledger, keys, monitor, queues, store
from tasks.ledger.records import text, whole
from workers.worker import lost_shards, recover

log = logging.getLogger(__name__)

TURN_S = 1.0
LEASE_MS = 10_000
UNCLAIMED_S = 10.0  # a delivery that was handed over this long ago is looked for in RQ
EACH = 200  # of each kind a turn
HISTORY_EVERY_S = 60.0
DAYS_KEPT = 60


class Janitor:
    """One pool's janitor. `turn` does nothing while another one has the lease."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self.ledger = ledger
        self.name = name
        self._history_due = 0.0

    def turn(self) -> bool:
        """Whether it was our turn and the work was done."""
        if not self._my_turn():
            return False
        self.reclaim()
        self.hand_over_due()
        self.find_lost_deliveries()
        if time.monotonic() >= self._history_due:
            self._history_due = time.monotonic() + HISTORY_EVERY_S
            self.forget_history()
        return True

    def _my_turn(self) -> bool:
        if self.ledger.redis.set(keys.JANITOR, self.name, nx=True, px=LEASE_MS):
            return True
        if text(self.ledger.redis.get(keys.JANITOR)) != self.name:
            return False
        self.ledger.redis.pexpire(keys.JANITOR, LEASE_MS)
        return True

    def reclaim(self) -> None:
        """Shards whose lease ran out: their worker is gone."""
        for job_id, shard in lost_shards(self.ledger):
            raw = self.ledger.redis.hget(keys.shards(job_id), shard)
            row = _row(raw)
            if row.get("state") != "running":
                self.ledger.redis.zrem(keys.LEASES, f"{job_id}:{shard}")
                continue
            canceled = self.ledger.redis.exists(keys.cancel(job_id))
            try:
                recover(
                    self.ledger,
                    job_id,
                    shard,
                    whole(row.get("attempt")),
                    reason="it stopped reporting",
                    killed_for="cancel" if canceled else "",
                )
                log.warning("shard %s of job %s was taken back from a worker that is gone", shard, job_id)
            except (Fenced, JobNotFound):
                self.ledger.redis.zrem(keys.LEASES, f"{job_id}:{shard}")

    def hand_over_due(self) -> None:
        """Retries whose time has come."""
        for member in self.ledger.redis.zrangebyscore(keys.DELAYED, "-inf", self.ledger.now(), start=0, num=EACH):
            self._hand_over(text(member))

    def find_lost_deliveries(self) -> None:
        """Deliveries that were handed to RQ a while ago, are not claimed and are not in a queue any more."""
        old = self.ledger.redis.zrangebyscore(keys.ENQUEUED, "-inf", self.ledger.now() - UNCLAIMED_S, start=0, num=EACH)
        if not old:
            return
        waiting = queues.waiting_ids(self.ledger)
        for member in map(text, old):
            job_id, _, shard = member.rpartition(":")
            rq_id = text(_row(self.ledger.redis.hget(keys.shards(job_id), shard)).get("rq_id"))
            if rq_id not in waiting and self._hand_over(member):
                log.warning("shard %s of job %s had been lost on its way and was handed over again", shard, job_id)

    def forget_history(self) -> None:
        """Final jobs past their time or number, days of figures past 60, and entries without a job."""
        settings = self.ledger.settings
        over = max(0, self.ledger.redis.zcard(keys.FINAL) - settings.retention_jobs)
        expired = self.ledger.redis.zrangebyscore(
            keys.FINAL, "-inf", self.ledger.now() - settings.retention_days * 86_400, start=0, num=EACH
        )
        excess = self.ledger.redis.zrange(keys.FINAL, 0, min(over, EACH) - 1) if over else []
        for job_id in {*map(text, expired), *map(text, excess)}:
            self.ledger.transition("delete", job_id)
        oldest = int(self.ledger.now() // 86_400) - DAYS_KEPT
        fields = map(text, self.ledger.redis.hkeys(keys.DAYS))
        stale = [field for field in fields if whole(field.split(":")[0]) < oldest]
        if stale:
            self.ledger.redis.hdel(keys.DAYS, *stale)
        self._forget_orphans()
        self.ledger.redis.zremrangebyscore(keys.WORKERS, "-inf", self.ledger.now() - 3600)
        self.ledger.redis.zremrangebyscore(keys.POOLS, "-inf", self.ledger.now() - 3600)

    def _forget_orphans(self) -> None:
        """Index entries whose job hash is gone, for instance evicted by hand."""
        for member in self.ledger.redis.zrange(keys.LIVE, 0, EACH - 1):
            if not self.ledger.redis.exists(keys.job(text(member))):
                self.ledger.transition("delete", text(member))

    def _hand_over(self, member: str) -> bool:
        job_id, _, shard = member.rpartition(":")
        row = _row(self.ledger.redis.hget(keys.shards(job_id), shard))
        reply = self.ledger.transition("requeue", job_id, shard, text(row.get("rq_id")), store.new_rq_id())
        if reply[0] != "enqueue":
            self.ledger.redis.zrem(keys.DELAYED, member)
            return False
        priority = monitor.job(self.ledger, job_id).priority
        queues.deliver(self.ledger, [store.Delivery(job_id, reply[1], reply[2])], priority)
        return True


def _row(raw: object) -> dict[str, object]:
    try:
        row = json.loads(raw) if isinstance(raw, bytes) else {}
    except ValueError:
        row = {}
    return row if isinstance(row, dict) else {}
