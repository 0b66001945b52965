"""What is past its time: final jobs beyond their days or number, days, processes, tokens that opened something."""

from __future__ import annotations

from tasks.ledger import Ledger, control, keys, tokens
from tasks.ledger.records import text, whole
from tasks.repairs.finding import EACH, Check, Finding

DAYS_KEPT = 60
PROCESSES_KEPT_S = 3600


class ExpiredHistory(Check):
    """Final jobs that the board keeps no longer, and figures of days and processes of long ago."""

    name = "history past its time"
    every_s = 60.0
    quiet = True

    def find(self, ledger: Ledger) -> list[Finding]:
        settings, now = ledger.settings, ledger.now()
        over = max(0, ledger.redis.zcard(keys.FINAL) - settings.retention_jobs)
        before = now - settings.retention_days * 86_400
        expired = ledger.redis.zrangebyscore(keys.FINAL, "-inf", before, start=0, num=EACH)
        excess = ledger.redis.zrange(keys.FINAL, 0, min(over, EACH) - 1) if over else []
        jobs = dict.fromkeys([*map(text, expired), *map(text, excess)])
        found = [Finding(f"Job {job_id} is past its time on the board.", ("job", job_id)) for job_id in jobs]
        days = [day for day in map(text, ledger.redis.hkeys(keys.DAYS)) if self._stale(day, now)]
        if days:
            found.append(Finding(f"Figures of {len(days)} days are older than {DAYS_KEPT} days.", ("days", *days)))
        gone = now - PROCESSES_KEPT_S
        if ledger.redis.zcount(keys.WORKERS, "-inf", gone) or ledger.redis.zcount(keys.POOLS, "-inf", gone):
            found.append(Finding("Processes that ended long ago are still listed.", ("processes",)))
        return found

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        what, *about = finding.about
        if what == "job":
            ledger.transition("delete", about[0])
        elif what == "days":
            ledger.redis.hdel(keys.DAYS, *about)
        else:
            for key in (keys.WORKERS, keys.POOLS):
                ledger.redis.zremrangebyscore(key, "-inf", ledger.now() - PROCESSES_KEPT_S)
            control.forget_workers(ledger)

    def _stale(self, day: str, now: float) -> bool:
        return whole(day.split(":")[0]) < int(now // 86_400) - DAYS_KEPT


class ExpiredTokens(Check):
    """Personal tokens that have opened nothing for a month, because their time is over."""

    name = "tokens past their time"
    every_s = 3600.0

    def find(self, ledger: Ledger) -> list[Finding]:
        old = len(tokens.long_expired(ledger))
        told = "A token" if old == 1 else f"{old} tokens"
        return [Finding(f"{told} expired more than a month ago.")] if old else []

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        tokens.forget_expired(ledger)
