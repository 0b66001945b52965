"""How a worker comes by its work: it takes what it may in one step, and waits by a bell that signals can end."""

from __future__ import annotations

import logging
import time
from typing import Any, NoReturn

import redis
from rq import Queue, Worker
from rq.exceptions import NoSuchJobError, StopRequested
from rq.job import Job
from rq.utils import now
from rq.worker import WorkerStatus

from tasks.ledger import Ledger, keys, queues, trouble
from workers.reporting import Reporting

log = logging.getLogger(__name__)

IDLE_BEAT_S = 5.0
WAIT_S = 1.0  # how long an idle worker waits for the bell before it looks by itself
HELD_S = 0.5  # and while it may take nothing
AWAY_S = (0.5, 1.0, 2.0, 5.0)  # waits for a Redis that does not answer
LISTEN_AGAIN_S = 2.0


class _Sentences(logging.Filter):
    """RQ logs what ends a worker with its traceback; of what somebody wrote into its keys the last line tells all."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and trouble.is_damage(error):
            record.msg, record.args = f"{record.getMessage()} ({trouble.reason(error)})", ()
            record.exc_info = record.exc_text = None
        told = record.getMessage()
        if "WRONGTYPE" in told and "Traceback" in told:
            first, _, trace = told.partition("Traceback")
            record.msg, record.args = f"{first.strip()} {trace.strip().splitlines()[-1]}", ()
        return True


for _name in ("rq.worker", "rq.scheduler", "rq.job", "rq.queue"):
    logging.getLogger(_name).addFilter(_Sentences())


class TakingWorker(Worker):
    """The idle half of a worker; the busy one is workers.worker."""

    ledger: Ledger
    _reporting: Reporting
    _waiting = False  # idle: a signal may end the wait
    _beaten = float("-inf")  # monotonic seconds of the last heartbeat

    def _end_written_off(self) -> NoReturn:
        raise NotImplementedError

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """In place of RQ's: takes in one step with the look whether it may, by priority and age; waits by a bell.

        RQ pops while it blocks, so that a pause or a drain would come too late for what it pops.
        """
        idle_since = time.monotonic()
        if self.get_state() != WorkerStatus.IDLE:
            self.set_state(WorkerStatus.IDLE)
        away = 0
        while True:
            if self._stopping():
                raise StopRequested
            try:
                # The client is patient; this loop must stay open to signals.
                with self.ledger.hurried():
                    self._beat_idle()
                    answer = queues.take(self.ledger, self.name)
                away = 0
                if isinstance(answer, queues.Taken):
                    if self._stopping():
                        queues.put_back(self.ledger, answer)
                        continue
                    found = self._fetched(answer)
                    if found is not None:
                        return found
                    continue
                if answer is queues.Held.WRITTEN_OFF:
                    self._end_written_off()
                if timeout is None:
                    return None
                if max_idle_time is not None and time.monotonic() - idle_since > max_idle_time:
                    return None
                self._wait(answer)
            except trouble.WAITED_OUT as error:
                if away == 0:
                    log.warning(
                        "Redis does not serve us (%s); worker %s waits for it", trouble.reason(error), self.name
                    )
                self._rest(AWAY_S[min(away, len(AWAY_S) - 1)])
                away += 1

    def _stopping(self) -> bool:
        """A function, for a signal may come between any two lines."""
        return self._stop_requested

    def _wait(self, held: queues.Held) -> None:
        if held is not queues.Held.EMPTY:
            self._rest(HELD_S)
            return
        self._waiting = True
        try:
            if not self._stop_requested:
                with self.ledger.hurried():
                    self.connection.blpop([keys.BELL], WAIT_S)
        finally:
            self._waiting = False

    def _rest(self, seconds: float) -> None:
        self._waiting = True
        try:
            if not self._stop_requested:
                time.sleep(seconds)
        finally:
            self._waiting = False

    def _beat_idle(self) -> None:
        if time.monotonic() - self._beaten < IDLE_BEAT_S:
            return
        self.heartbeat()
        self._reporting.write(None)
        if self.should_run_maintenance_tasks:
            self.run_maintenance_tasks()

    def run_maintenance_tasks(self) -> None:
        """RQ's, for functions of the operator's. What is damaged in its registries must not end the worker."""
        try:
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            if not trouble.is_damage(error):
                raise
            log.warning("RQ's registries hold something damaged; worker %s does not clean them for now", self.name)
        except Exception as error:  # noqa: BLE001 - foreign bytes fail to decode in any way they like
            log.warning(
                "RQ's registries hold an entry that cannot be read (%s); worker %s does not clean them for now",
                type(error).__name__,
                self.name,
            )
        self.last_cleaned_at = now()  # type: ignore[assignment]

    def _fetched(self, taken: queues.Taken) -> tuple[Job, Queue] | None:
        """The entry, decoded; None when it went away or cannot be read."""
        try:
            job = self.job_class.fetch(taken.rq_id, connection=self.connection, serializer=self.serializer)
        except NoSuchJobError:
            self._forget_intermediate(taken.queue, taken.rq_id)
            return None
        except redis.RedisError:
            raise
        except Exception:  # noqa: BLE001 - foreign bytes fail to decode in any way they like
            self._put_aside(taken)
            return None
        job.redis_server_version = self.get_redis_server_version()  # type: ignore[no-untyped-call]
        return job, next(queue for queue in self.queues if queue.name == taken.queue)

    def _put_aside(self, taken: queues.Taken) -> None:
        reason = "The queue entry cannot be read; it was not made by Ingestboard and was not run."
        log.error("%s (RQ job %s)", reason, taken.rq_id)
        with self.connection.pipeline() as pipe:
            pipe.hset(keys.rq_job(taken.rq_id), mapping={"status": "failed", "exc_info": reason})
            pipe.zadd(keys.rq_registry("failed", taken.queue), {taken.rq_id: time.time() + queues.FAILURE_TTL_S})
            pipe.lrem(keys.rq_intermediate(taken.queue), 1, taken.rq_id)
            pipe.execute()

    def _forget_intermediate(self, queue: str, rq_id: str) -> None:
        self.connection.lrem(keys.rq_intermediate(queue), 1, rq_id)

    def handle_payload(self, message: Any) -> None:
        """A command from RQ's channel; one that nobody of ours sent must not end the thread that listens."""
        try:
            super().handle_payload(message)  # type: ignore[no-untyped-call]
        except redis.RedisError:
            raise
        except Exception as error:  # noqa: BLE001 - foreign bytes fail to decode in any way they like
            log.warning("worker %s was sent a command that cannot be read (%s)", self.name, type(error).__name__)

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        """RQ's listener for commands waits too, and leaves it to the others to say so; RQ ends it at a timeout."""
        if not trouble.passes(exc):
            super()._pubsub_exception_handler(exc, pubsub, pubsub_thread)
        time.sleep(LISTEN_AGAIN_S)
