"""Shards that nobody works on: their worker is gone, RQ lost them on the way, or they are to be tried again now."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.errors import Fenced, JobNotFound
from tasks.ledger import Ledger, keys, monitor, queues, store
from tasks.ledger.records import fields_of, text, whole
from tasks.recovery import recover
from tasks.repairs.finding import EACH, Check, Finding, Round, first

UNCLAIMED_S = 10.0  # a delivery that was handed over this long ago is looked for in RQ


class LostShards(Check):
    """Shards whose lease ran out: their worker is gone."""

    name = "shards of dead workers"
    every_s = 0.0

    def find(self, ledger: Ledger) -> list[Finding]:
        members = ledger.redis.zrangebyscore(keys.LEASES, "-inf", ledger.now(), start=0, num=EACH)
        return [_finding(text(member), "is in the hands of a worker that does not report") for member in members]

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        job_id, shard = finding.about
        row = row_of(ledger, job_id, shard)
        member = f"{job_id}:{shard}"
        until = ledger.redis.zscore(keys.LEASES, member)
        if until is None or float(until) > ledger.now():
            return  # its worker reported meanwhile
        if row.get("state") != "running":
            ledger.redis.zrem(keys.LEASES, member)
            return
        try:
            recover(
                ledger,
                job_id,
                shard,
                whole(row.get("attempt")),
                reason="it stopped reporting",
                killed_for="cancel" if ledger.redis.exists(keys.cancel(job_id)) else "",
            )
        except (Fenced, JobNotFound):
            ledger.redis.zrem(keys.LEASES, member)


class DueRetries(Check):
    """Lost shards whose pause before the next try is over."""

    name = "shards to be tried again"
    every_s = 0.0
    quiet = True

    def find(self, ledger: Ledger) -> list[Finding]:
        members = ledger.redis.zrangebyscore(keys.DELAYED, "-inf", ledger.now(), start=0, num=EACH)
        return [_finding(text(member), "is to be tried again now") for member in members]

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        hand_over(ledger, *finding.about)


class LostDeliveries(Check):
    """Deliveries that were handed to RQ a while ago, are not claimed and are not in a queue any more."""

    name = "shards that RQ lost"
    every_s = 2.0

    def __init__(self) -> None:
        self._at = 0

    def find(self, ledger: Ledger) -> list[Finding]:
        return first(self._find(ledger))

    def _find(self, ledger: Ledger) -> Iterator[Finding]:
        until = ledger.now() - UNCLAIMED_S
        old = ledger.redis.zrangebyscore(keys.ENQUEUED, "-inf", until, start=self._at, num=EACH)
        # What only waits its turn stays at the front of this list: the next turn looks behind it.
        self._at = self._at + EACH if len(old) == EACH else 0
        if not old:
            return
        waiting = queues.waiting_ids(ledger)
        for member in map(text, old):
            job_id, _, shard = member.rpartition(":")
            row = row_of(ledger, job_id, shard)
            if text(row.get("rq_id")) not in waiting:
                yield _finding(member, "was handed to RQ, which does not have it any more")

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        job_id, shard = finding.about
        handed = ledger.redis.zscore(keys.ENQUEUED, f"{job_id}:{shard}")
        if handed is not None and float(handed) <= ledger.now() - UNCLAIMED_S:
            hand_over(ledger, job_id, shard)


class PastLimit(Check):
    """Jobs past their time limit that nobody has in hand."""

    name = "jobs past their time limit"
    every_s = 1.0
    quiet = True

    def find(self, ledger: Ledger) -> list[Finding]:
        due = ledger.redis.zrangebyscore(keys.LIMITED, "-inf", ledger.now(), start=0, num=EACH)
        return [Finding(f"Job {text(job_id)} is past its time limit.", (text(job_id),)) for job_id in due]

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        ledger.transition("expire", finding.about[0], extra=(keys.LIMITED,))


class Records(Check):
    """Jobs that disagree with their own shards or with the indexes that list them; a round over all that there are."""

    name = "jobs and their records"
    every_s = 10.0

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once  # jobs of each index, at about 60 us of the server each
        self._rounds = [Round(key) for key in (keys.LIVE, keys.WAITING, keys.JOBS, keys.FINAL, keys.CHANGES)]

    def find(self, ledger: Ledger) -> list[Finding]:
        ids = list(dict.fromkeys(job_id for each in self._rounds for job_id in each.next(ledger, self._at_once)))
        replies = ledger.transitions("mend", [(job_id, ("0", "", ledger.settings.lease_s), ()) for job_id in ids])
        found = zip(ids, replies, strict=True)
        # A job that refuses even this is the business of `ForgedKeys`.
        return [Finding(" ".join(said), (job_id,)) for job_id, (first, *said) in found if said and first != "refused"][
            :EACH
        ]

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        (job_id,) = finding.about
        rq_id = store.new_rq_id()
        handed, *_ = ledger.transition("mend", job_id, "1", rq_id, ledger.settings.lease_s)
        if handed:
            queues.deliver(ledger, [store.Delivery(job_id, handed, rq_id)], monitor.job(ledger, job_id).priority)


class Counts(Check):
    """The number of jobs in each state, against the jobs."""

    name = "numbers of jobs"
    every_s = 60.0
    LOOKED_AT = 20_000  # jobs, which takes about 20 ms of the server

    def find(self, ledger: Ledger) -> list[Finding]:
        reply = self._run(ledger, "0")
        found = zip(reply[::3], reply[1::3], reply[2::3], strict=True)
        return [Finding(f"{counted} jobs are counted as {state} and {true} are.") for state, counted, true in found]

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        self._run(ledger, "1")

    def _run(self, ledger: Ledger, mend: str) -> list[str]:
        indexes = [keys.JOBS, keys.COUNTS, keys.LIVE, keys.WAITING, keys.FINAL]
        return [text(part) for part in ledger.run("recount", indexes, [mend, self.LOOKED_AT, keys.job("")])]


def row_of(ledger: Ledger, job_id: str, shard: str) -> dict[str, object]:
    """The ledger's row of a shard; empty when it is gone or garbled."""
    return fields_of(ledger.redis.hget(keys.shards(job_id), shard))


def hand_over(ledger: Ledger, job_id: str, shard: str) -> bool:
    """Hand a shard to RQ again under a new id; whether it still waits for that."""
    row = row_of(ledger, job_id, shard)
    reply = ledger.transition("requeue", job_id, shard, text(row.get("rq_id")), store.new_rq_id())
    if reply[0] != "enqueue":
        ledger.redis.zrem(keys.DELAYED, f"{job_id}:{shard}")
        return False
    priority = monitor.job(ledger, job_id).priority
    queues.deliver(ledger, [store.Delivery(job_id, reply[1], reply[2])], priority)
    return True


def _finding(member: str, what: str) -> Finding:
    job_id, _, shard = member.rpartition(":")
    name = "The publish" if shard == store.PUBLISH else f"Shard {shard}"
    return Finding(f"{name} of job {job_id} {what}.", (job_id, shard))
