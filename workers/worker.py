"""One RQ worker: takes the delivery whose turn it is, forks a work horse for it, watches it, and answers for its end.

It looks after the work horse four times a second: keeps the lease of the shard in hand, kills the work horse with
all that it has started when a stop finds no checkpoint within the grace, and on SIGTERM lets it hand its shard back.
"""

from __future__ import annotations

import logging
import os
import signal
import time
import warnings
from types import FrameType
from typing import Any, NoReturn

import redis
from rq import Queue
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer

from tasks.errors import Fenced, JobNotFound, RecordDamaged
from tasks.ingest import run
from tasks.ledger import Ledger, keys, queues, store, trouble
from tasks.ledger.records import fields_of, whole
from tasks.lineage import adopt_orphans, below, end_all_below, end_with_parent, kill_all
from tasks.recovery import recover
from workers.admission import is_delivery, refusal
from workers.guarded import guarded
from workers.horse import Ending
from workers.recovery import shard_row
from workers.reporting import Reporting
from workers.taking import TakingWorker

log = logging.getLogger(__name__)

WORKER_TTL_S = 20
LOOK_S = 0.25  # how often the parent looks after its work horse
BEAT_S = 1.0  # how often it reports meanwhile, and keeps the lease
OVER_S = 60.0  # after a job's own limit in RQ: then the work horse does not even take its alarm
WRITTEN_OFF_EXIT = 3


class IngestWorker(TakingWorker):
    """The RQ worker of one process. Make it after the fork: it holds connections."""

    def __init__(self, ledger: Ledger, name: str, pool: str = "") -> None:
        self.ledger = ledger
        self._killed_for = ""  # why we killed the work horse: "cancel", "limit", "document", "fenced" or "shutdown"
        self._delivery: tuple[str, str, str] | None = None
        self._looked = float("-inf")
        self._canceled_since: float | None = None
        self._fenced_since: float | None = None
        self._shutdown_asked = 0.0
        self._away = 0  # looks in a row that Redis did not answer
        super().__init__(
            queues.names(ledger),
            name=name,
            connection=ledger.redis,
            serializer=JSONSerializer,
            job_class=guarded(ledger.settings),
            worker_ttl=WORKER_TTL_S,
            job_monitoring_interval=1,
            log_job_description=False,
            default_result_ttl=queues.RESULT_TTL_S,
            work_horse_killed_handler=self._horse_died,
        )
        self.log_result_lifespan = False
        run.in_hand = run.InHand()
        self._reporting = Reporting(ledger, name, pool, run.in_hand)
        ledger.give_up_when(self._stopping)
        adopt_orphans()
        # A work horse inherits this until it installs its own: a hand-back asked too early does not kill it.
        signal.signal(signal.SIGUSR1, lambda signum, frame: None)

    def _set_ip_address(self, connection: redis.Redis) -> None:
        # RQ warns that a server is too old where only the right to list clients is missing, which nobody needs here.
        with warnings.catch_warnings(action="ignore"):
            super()._set_ip_address(connection)

    # --- running it -------------------------------------------------------------------------------

    def refusal(self, job: Job) -> str | None:
        """Why this entry is not run, or None when it may be."""
        return refusal(job, self.ledger.settings)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run an entry in a work horse, or refuse it; and answer for what the work horse left behind."""
        reason = self.refusal(job)
        if reason is not None:
            log.error("%s (RQ job %s)", reason, job.id)
            self._refuse(job, queue, reason)
            return
        self._killed_for, self._canceled_since, self._fenced_since = "", None, None
        run.in_hand.set(None)
        if not is_delivery(job):
            super().execute_job(job, queue)
            return
        job_id, shard, rq_id = job.args
        self._delivery = (job_id, shard, rq_id)
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
        self._forget_intermediate(queue.name, job.id)

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        super().fork_work_horse(job, queue)
        # The work horse does it too. Whoever is first: from here on a signal to its group misses the pool's.
        try:
            os.setpgid(self.horse_pid, self.horse_pid)
        except OSError:
            return

    def setup_work_horse_signals(self) -> None:
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        run.draining.clear()
        signal.signal(signal.SIGUSR1, lambda signum, frame: run.draining.set())
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        if not end_with_parent(self.pid or os.getppid()):
            os._exit(1)

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        super().prepare_job_execution(job, remove_from_intermediate_queue or not is_delivery(job))

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        super().heartbeat(timeout, pipeline)
        self._beaten = time.monotonic()
        self._reporting.beat(pipeline if pipeline is not None else self.connection, clock=pipeline is None)

    def register_death(self) -> None:
        super().register_death()  # type: ignore[no-untyped-call]
        self._reporting.forget()

    # --- the work horse ---------------------------------------------------------------------------

    def monitor_work_horse(self, job: Job, queue: Queue) -> None:
        """Look after it until it ends; RQ then does what it does for each ending."""
        started = self._looked = time.monotonic()
        with Ending(self.horse_pid) as horse:
            while not horse.within(LOOK_S):
                self._look(job, time.monotonic() - started)
        super().monitor_work_horse(job, queue)

    def wait_for_horse(self) -> tuple[int | None, int | None, Any]:
        """As RQ's; and what the work horse had started ends with it, whatever it did to get away."""
        ended = super().wait_for_horse()
        if not end_all_below():
            log.error("processes that a work horse of worker %s had started do not end", self.name)
        return ended

    def _look(self, job: Job, working_s: float) -> None:
        now = time.monotonic()
        since, self._looked = now - self._looked, now
        self._end_what_overstays(job, working_s)
        try:
            # The client is patient; this loop must not be, for it also kills and hands back.
            with self.ledger.hurried():
                self._obey(since)
                if now - self._beaten >= BEAT_S:
                    self.set_current_job_working_time(working_s)
                    self.maintain_heartbeats(job)
            self._away = 0
        except trouble.WAITED_OUT as error:
            # The work horse goes on; leaving now would orphan it.
            if self._away == 0:
                log.warning("Redis does not serve us (%s); the work horse goes on", trouble.reason(error))
            self._away += 1
        self._shutdown_escalation()

    def _end_what_overstays(self, job: Job, working_s: float) -> None:
        """A work horse past its limit in RQ, or past that of a document, which met no checkpoint to notice it."""
        if self._killed_for:
            return
        if job.timeout not in (None, -1) and working_s > float(job.timeout) + OVER_S:
            self._kill("limit")
        elif self._delivery is not None and run.in_hand.overdue_s > self.ledger.settings.cancel_grace_s:
            self._kill("document")

    def _obey(self, since_last_s: float) -> None:
        """Is a stop asked for, or is this worker written off? One round trip."""
        with self.connection.pipeline(transaction=False) as pipe:
            pipe.hexists(keys.WRITTEN_OFF, self.name)
            if self._delivery is not None:
                pipe.get(keys.cancel(self._delivery[0]))
            written_off, *marks = pipe.execute()
        if written_off:
            self._end_written_off()
        if self._delivery is None:
            return
        if since_last_s > self.ledger.settings.lease_s and not self._ours():
            # Stopped or starved for so long that another worker has the shard by now.
            log.warning("worker %s was away for %.0f s and lost its shard; it ends", self.name, since_last_s)
            self._end()
        self._escalate(marks[0])

    def _ours(self) -> bool:
        assert self._delivery is not None
        job_id, shard, rq_id = self._delivery
        row = shard_row(self.ledger, job_id, shard)
        return row.get("rq_id") == rq_id and row.get("worker", self.name) == self.name

    def _escalate(self, raw: Any) -> None:
        if raw is None or self._killed_for:
            return
        # A monotonic clock from when we saw it first: the hosts' and the server's clocks may jump.
        self._canceled_since = self._canceled_since or time.monotonic()
        forced = fields_of(raw).get("force") is True
        if forced or time.monotonic() - self._canceled_since >= self.ledger.settings.cancel_grace_s:
            self._kill("cancel")

    def maintain_heartbeats(self, job: Job) -> None:
        """Each second while a work horse runs: report, and keep the lease."""
        super().maintain_heartbeats(job)
        self._reporting.write(self._delivery)
        if self._delivery is not None:
            self._heed_fence(store.extend_lease(self.ledger, *self._delivery) or self._ours())

    def _heed_fence(self, ours: bool) -> None:
        """A shard that another has by now: a work horse that does not learn of it is ended, and says nothing."""
        if ours:
            self._fenced_since = None
            return
        self._fenced_since = self._fenced_since or time.monotonic()
        if not self._killed_for and time.monotonic() - self._fenced_since >= self.ledger.settings.cancel_grace_s:
            self._kill("fenced")

    def _shutdown_escalation(self) -> None:
        if self._killed_for or self._shutdown_requested_date is None:
            return
        asked = time.monotonic() - self._shutdown_asked
        if asked > self.ledger.settings.cancel_grace_s:
            self._kill("shutdown")
        else:
            self._ask_horse_to_hand_back()

    def _kill(self, why: str) -> None:
        log.warning("killing the work horse %d: %s, and no checkpoint within the grace", self.horse_pid, why)
        self._killed_for = why
        self.kill_horse()

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """End the work horse with its process group and all that it has started, a stopped one too."""
        horse = self.horse_pid
        if not horse:
            return
        started = below(horse)
        try:
            if os.getpgid(horse) == horse:
                os.killpg(horse, sig)
            else:
                os.kill(horse, sig)
        except ProcessLookupError:
            log.debug("the work horse %d had ended", horse)
        if sig == signal.SIGKILL:
            kill_all(started)

    # --- shutdown ---------------------------------------------------------------------------------

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]
        signal.signal(signal.SIGUSR2, self._leave)

    def _leave(self, signum: int, frame: FrameType | None) -> None:
        """From the pool, when it shrinks: end what is in hand, take nothing more, then end."""
        self._stop_requested = True
        if self._waiting:
            raise StopRequested

    def handle_warm_shutdown_request(self) -> None:
        log.info("worker %s is shutting down; the work in hand is handed back at its next checkpoint", self.name)
        self._shutdown_asked = time.monotonic()
        self._ask_horse_to_hand_back()

    def _ask_horse_to_hand_back(self) -> None:
        if self.horse_pid:
            try:
                os.kill(self.horse_pid, signal.SIGUSR1)
            except ProcessLookupError:
                return

    def _shutdown(self) -> None:
        # Not as RQ's, which writes to Redis from a signal handler, and can lose what was just taken off a queue.
        self._stop_requested = True
        if self._waiting:
            raise StopRequested

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """A second signal: the work horse is killed and its shard goes back to the queue all the same."""
        delivery = self._delivery
        try:
            super().request_force_stop(signum, frame)
        except SystemExit:
            if delivery is not None:
                self._killed_for = "shutdown"
                self._answer_for(*delivery, "its worker was told to stop at once")
            raise

    def _end_written_off(self) -> NoReturn:
        log.warning("worker %s was written off; it writes nothing more and ends", self.name)
        self._end(WRITTEN_OFF_EXIT)

    def _end(self, code: int = 1) -> NoReturn:
        """Without a word about the work in hand, which is another's by now."""
        if self.horse_pid:
            self.kill_horse()
        end_all_below()
        try:
            self.register_death()
        except redis.RedisError:
            log.info("Redis is away; the worker's entry ends by itself")
        os._exit(code)

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
        row = shard_row(self.ledger, job_id, shard)
        if row.get("state") != "running" or row.get("rq_id") != rq_id:
            return
        try:
            recover(
                self.ledger,
                job_id,
                shard,
                whole(row.get("attempt")),
                reason=reason,
                killed_for=self._killed_for if self._killed_for != "document" or run.in_hand.overdue_s else "",
                document=run.in_hand.get(),
            )
        except Fenced:
            log.info("shard %s of job %s was settled by another", shard, job_id)
        except (RecordDamaged, JobNotFound) as error:
            log.warning("Shard %s of job %s is left to the janitor: %s", shard, job_id, error)
