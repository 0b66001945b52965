"""RQ entries of ours whose job is gone. What other applications keep in this Redis is never touched."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.ledger import Ledger, keys, queues
from tasks.ledger.records import text
from tasks.repairs.finding import LOOKED_AT, Check, Finding, first

FIELD = "ingestboard_shard"  # what queues.deliver marks its own with


class StrayEntries(Check):
    """Entries in our queues that we made, for jobs that there are no more."""

    name = "RQ entries without a job"

    def __init__(self) -> None:
        self._at: dict[str, int] = {}

    def find(self, ledger: Ledger) -> list[Finding]:
        return first(self._find(ledger))

    def _find(self, ledger: Ledger) -> Iterator[Finding]:
        for name in queues.names(ledger):
            at = self._at.get(name, 0)
            ids = [text(rq_id) for rq_id in ledger.redis.lrange(keys.rq_queue(name), at, at + LOOKED_AT - 1)]
            self._at[name] = at + LOOKED_AT if len(ids) == LOOKED_AT else 0
            with ledger.redis.pipeline(transaction=False) as pipe:
                for rq_id in ids:
                    pipe.hget(keys.rq_job(rq_id), FIELD)
                marks = [text(mark) for mark in pipe.execute()] if ids else []
                jobs = [mark.rpartition(":")[0] for mark in marks]
                for job_id in jobs:
                    pipe.exists(keys.job(job_id))
                there = pipe.execute() if jobs else []
            for rq_id, job_id, known in zip(ids, jobs, there, strict=True):
                if job_id and not known:
                    yield Finding(f"The queue {name} holds an entry for job {job_id}, which is gone.", (name, rq_id))

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        name, rq_id = finding.about
        job_id = text(ledger.redis.hget(keys.rq_job(rq_id), FIELD)).rpartition(":")[0]
        if job_id and not ledger.redis.exists(keys.job(job_id)):
            queues.withdraw(ledger, [rq_id], name.removeprefix(ledger.settings.queue_prefix))
