"""One RQ worker: forks a work horse a delivery, watches it, and answers for it when it dies.

It runs registered tasks only. It keeps the lease of the shard in hand, kills a work horse that passes no
checkpoint within the grace after a cancel, and on SIGTERM lets the work horse hand its shard back.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from types import FrameType
from typing import Any

import redis
from rq import Queue, Worker
from rq.job import Job
from rq.serializers import JSONSerializer

from tasks.errors import Fenced
from tasks.ingest import publish, run
from tasks.ledger import Ledger, control, keys, locks, monitor, queues, store
from tasks.ledger.records import number, text
from tasks.snapshots.shelf import Shelf
from workers.process import die_with_parent

log = logging.getLogger(__name__)

WORKER_TTL_S = 20  # RQ waits for work this long minus 15 s at a time, so an idle worker reports every 5 s
WATCH_S = 1  # how often the parent looks after its work horse


class IngestWorker(Worker):
    """The RQ worker of one process. Make it after the fork: it holds connections."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self.ledger = ledger
        self._killed_for = ""  # why we killed the work horse: "cancel" or "shutdown"
        self._delivery: tuple[str, str, str] | None = None
        self._clock_offset = time.time() - time.monotonic()
        super().__init__(
            queues.names(ledger),
            name=name,
            connection=ledger.redis,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            job_monitoring_interval=WATCH_S,
            log_job_description=False,
            default_result_ttl=queues.RESULT_TTL_S,
            work_horse_killed_handler=self._horse_died,
        )
        self.log_result_lifespan = False
        run.in_hand = run.InHand()
        # A work horse inherits this until it installs its own: a hand-back asked too early does not kill it.
        signal.signal(signal.SIGUSR1, lambda signum, frame: None)

    # --- what may run -----------------------------------------------------------------------------

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """As RQ's, but an entry that cannot even be decoded is put aside as failed and the worker goes on."""
        while True:
            try:
                return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
            except redis.RedisError:
                raise
            except Exception as error:
                rq_id, origin = getattr(error, "job_id", None), getattr(error, "queue", None)
                if rq_id is None or origin is None:
                    raise
                self._put_aside(str(rq_id), origin.name)

    def _put_aside(self, rq_id: str, queue_name: str) -> None:
        reason = "The queue entry cannot be read; it was not made by Ingestboard and was not run."
        log.error("%s (RQ job %s)", reason, rq_id)
        with self.connection.pipeline() as pipe:
            pipe.hset(keys.rq_job(rq_id), mapping={"status": "failed", "exc_info": reason})
            pipe.zadd(f"rq:failed:{queue_name}", {rq_id: time.time() + queues.FAILURE_TTL_S})
            pipe.execute()

    def refusal(self, job: Job) -> str | None:
        """Why this delivery is not run, or None when it may be."""
        try:
            name, args, kwargs = job.func_name, job.args, job.kwargs
        except Exception:  # noqa: BLE001 - foreign bytes fail to decode in any way they like
            return "The task's data is not the JSON that Ingestboard writes; it was not run."
        if name not in queues.REGISTERED or job.instance is not None:
            return f"The task {name} is not registered with Ingestboard and was not run."
        if kwargs or len(args) != 3 or not all(isinstance(part, str) for part in args):
            return f"The arguments of {name} are not those of a delivery; it was not run."
        if job._success_callback_name or job._failure_callback_name or job._stopped_callback_name or job.webhooks:
            return f"The task {name} carries callbacks, which Ingestboard never sets; it was not run."
        return None

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run a delivery in a work horse, or refuse it; and answer for what the work horse left behind."""
        reason = self.refusal(job)
        if reason is not None:
            log.error("%s (RQ job %s)", reason, job.id)
            self._refuse(job, queue, reason)
            return
        job_id, shard, rq_id = job.args
        self._delivery, self._killed_for = (job_id, shard, rq_id), ""
        run.in_hand.set(None)
        self.connection.hset(self.key, "ingestboard_job", job_id)
        try:
            super().execute_job(job, queue)
            self._answer_for(job_id, shard, rq_id, "its task ended with an error; the worker log tells more")
        finally:
            self._delivery = None
            self.connection.hdel(self.key, "ingestboard_job")

    def _refuse(self, job: Job, queue: Queue, reason: str) -> None:
        # Nothing that the foreign entry asks for happens: no retry, no callback, no webhook.
        job.retries_left = None
        job.webhooks = []
        job._failure_callback_name = job._success_callback_name = job._stopped_callback_name = None
        job.started_at = job.ended_at = job.created_at
        self.handle_job_failure(job, queue, exc_string=reason)

    # --- the work horse ---------------------------------------------------------------------------

    def setup_work_horse_signals(self) -> None:
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        run.draining.clear()
        signal.signal(signal.SIGUSR1, lambda signum, frame: run.draining.set())
        die_with_parent()

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        super().heartbeat(timeout, pipeline)
        target = pipeline if pipeline is not None else self.connection
        if pipeline is None:
            # Hosts' clocks differ; ages are told by the server's.
            self._clock_offset = self.ledger.now() - time.monotonic()
        target.zadd(keys.WORKERS, {self.name: time.monotonic() + self._clock_offset})

    def register_death(self) -> None:
        super().register_death()  # type: ignore[no-untyped-call]
        self.connection.zrem(keys.WORKERS, self.name)

    def maintain_heartbeats(self, job: Job) -> None:
        """Each second while a work horse runs: report, keep the lease, and see whether it must be killed."""
        try:
            super().maintain_heartbeats(job)
            if self._delivery is not None:
                job_id, shard, _ = self._delivery
                store.extend_lease(self.ledger, job_id, shard)
                self._escalate(job_id)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            # The work horse goes on; leaving now would orphan it.
            log.warning("Redis does not answer (%s); the work horse goes on", type(error).__name__)
        self._shutdown_escalation()

    def _escalate(self, job_id: str) -> None:
        raw = self.connection.get(keys.cancel(job_id))
        if raw is None or self._killed_for:
            return
        try:
            mark = json.loads(raw)
        except ValueError:
            mark = {}
        waited = self.ledger.now() - number(mark.get("at") if isinstance(mark, dict) else 0)
        if (isinstance(mark, dict) and mark.get("force") is True) or waited > self.ledger.settings.cancel_grace_s:
            self._kill("cancel")

    def _shutdown_escalation(self) -> None:
        if not self._stop_requested or self._killed_for or self._shutdown_requested_date is None:
            return
        asked = time.time() - self._shutdown_requested_date.timestamp()
        if asked > self.ledger.settings.cancel_grace_s:
            self._kill("shutdown")
        elif self.horse_pid:
            self.kill_horse(signal.SIGUSR1)

    def _kill(self, why: str) -> None:
        log.warning("killing the work horse %d: %s, and no checkpoint within the grace", self.horse_pid, why)
        self._killed_for = why
        self.kill_horse()

    # --- shutdown ---------------------------------------------------------------------------------

    def handle_warm_shutdown_request(self) -> None:
        log.info("worker %s is shutting down; the work in hand is handed back at its next checkpoint", self.name)
        if self.horse_pid:
            self.kill_horse(signal.SIGUSR1)

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """A second signal: the work horse is killed and its shard goes back to the queue all the same."""
        self._killed_for = "shutdown"
        delivery = self._delivery
        try:
            super().request_force_stop(signum, frame)
        except SystemExit:
            if delivery is not None:
                self._answer_for(*delivery, "its worker was told to stop at once")
            raise

    # --- answering for a dead work horse ----------------------------------------------------------

    def _horse_died(self, job: Job, pid: int, status: int, usage: Any) -> None:
        if self._delivery is None:
            return
        if os.WIFSIGNALED(status):
            reason = f"its work horse was ended by signal {os.WTERMSIG(status)}"
        else:
            reason = "its work horse ended without a word"
        self._answer_for(*self._delivery, reason)

    def _answer_for(self, job_id: str, shard: str, rq_id: str, reason: str) -> None:
        """Settle the shard that the work horse left unsettled, if it did."""
        raw = self.connection.hget(keys.shards(job_id), shard)
        try:
            row = json.loads(raw) if raw else {}
        except ValueError:
            row = {}
        if row.get("state") != "running" or row.get("rq_id") != rq_id:
            return
        attempt = int(row.get("attempt", 0))
        try:
            recover(
                self.ledger,
                job_id,
                shard,
                attempt,
                reason=reason,
                killed_for=self._killed_for,
                document=run.in_hand.get(),
            )
        except Fenced:
            log.info("shard %s of job %s was settled by another", shard, job_id)


def recover(
    ledger: Ledger,
    job_id: str,
    shard: str,
    attempt: int,
    *,
    reason: str,
    killed_for: str = "",
    document: int | None = None,
) -> None:
    """Settle a shard whose work horse is gone: close a publish that had committed, else try the rest again.

    Raises Fenced when another attempt owns the shard by now.
    """
    job = monitor.job(ledger, job_id)
    if shard == store.PUBLISH and job.kind in (control.INGEST, control.REBUILD):
        locks.free(ledger, job.collection, locks.holder(job_id, attempt))
        shelf = Shelf(ledger.settings.data)
        row = publish.committed(shelf, job, monitor.published_attempt(ledger, job_id))
        if row is not None:
            store.close(ledger, job_id, attempt, snapshot=row.version)
            return
        shelf.discard(job.collection, job_id)
    outcome: store.Outcome = "lost"
    how = reason
    if killed_for == "cancel":
        outcome, how = "canceled", "by killing its work horse"
    elif killed_for == "shutdown":
        outcome = "released"
    delivery = store.settle(ledger, job_id, shard, attempt, outcome, how=how, document=document)
    if delivery is not None:
        queues.deliver(ledger, [delivery], job.priority)


def lost_shards(ledger: Ledger) -> list[tuple[str, str]]:
    """Job and shard of every lease that has run out."""
    members = ledger.redis.zrangebyscore(keys.LEASES, "-inf", ledger.now(), start=0, num=100)
    pairs = [text(member).rpartition(":") for member in members]
    return [(job_id, shard) for job_id, _, shard in pairs]
