"""RQ's own scheduler, for functions of the operator's that were put off or repeat. One a queue, by RQ's lock."""

from __future__ import annotations

import logging
import time

import redis
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer
from rq.utils import current_timestamp

from tasks.ledger import Ledger, queues

log = logging.getLogger(__name__)

LOOK_FOR_LOCKS_S = 5.0  # RQ's own is ten minutes, which is how long a dead scheduler would be missed


class _Scheduler(RQScheduler):
    """Looks for the locks of a scheduler that died sooner than RQ's does."""

    _looked = float("-inf")

    @property
    def should_reacquire_locks(self) -> bool:
        missing = self._queue_names != self._acquired_locks
        return missing and time.monotonic() - self._looked > LOOK_FOR_LOCKS_S

    def acquire_locks(self, auto_start: bool = False) -> set[str]:
        self._looked = time.monotonic()
        found: set[str] = super().acquire_locks(auto_start)  # type: ignore[no-untyped-call]
        return found

    def enqueue_scheduled_jobs(self) -> None:
        """As RQ's; one damaged entry must not keep the others back."""
        try:
            super().enqueue_scheduled_jobs()  # type: ignore[no-untyped-call]
        except redis.RedisError:
            raise
        except Exception:  # noqa: BLE001 - foreign bytes fail to decode in any way they like
            self._drop_damaged()

    def _drop_damaged(self) -> None:
        for registry in self._scheduled_job_registries:
            for rq_id in registry.get_jobs_to_schedule(current_timestamp()):
                try:
                    Job.fetch(rq_id, connection=self.connection, serializer=JSONSerializer)
                except (NoSuchJobError, redis.RedisError):
                    continue
                except Exception:  # noqa: BLE001 - as above
                    log.error("The RQ job %s was to run now and cannot be read; it was taken off the schedule.", rq_id)
                    registry.remove(rq_id)


def schedule(ledger: Ledger, name: str) -> None:
    """Hand over what is due, until SIGTERM."""
    scheduler = _Scheduler(
        queues.names(ledger),
        connection=ledger.redis,
        interval=1,
        logging_level="WARNING",
        serializer=JSONSerializer,
        name=name,
    )
    scheduler.work()  # type: ignore[no-untyped-call]
