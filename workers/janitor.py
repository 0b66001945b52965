"""Keeps ledger, RQ and disk in agreement, by the checks of `tasks.repairs`. It lives in every pool.

One janitor works at a time, by a lease; each turn is bounded. What was damaged and is repaired is told in the log and
on the record; what happens all the time, such as a retry that is due, is just done.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress

import redis

from tasks import repairs
from tasks.errors import IngestboardError, RecordDamaged
from tasks.ledger import Ledger, chain, control, history, journal, keys, trouble
from tasks.ledger.records import text
from tasks.repairs import Check
from tasks.repairs.shards import LostShards

log = logging.getLogger(__name__)

TURN_S = 1.0
LONGEST_PAUSE_S = 5.0
LEASE_MS = 10_000
AWAY_S = 3.0  # a turn that comes so much later than it should, by either clock: Redis, or this process, was away
PRUNE_EVERY_S = 60.0
SAY_AGAIN_S = 3600.0
SAID_KEPT = 1_000


class Janitor:
    """One pool's janitor. `turn` does nothing while another one has the lease."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self.ledger = ledger
        self.name = name
        self.checks = repairs.checks()
        self._due: dict[str, float] = {}
        self._reclaim_at = 0.0  # monotonic: workers that live get time to say so after Redis was away
        self._turned_at = 0.0
        self._offset: float | None = None  # the server's clock less our monotonic one
        self._prune_at = 0.0
        self._said_at: dict[tuple[str, str], float] = {}
        self._noted = journal.seen(ledger.settings)
        self._copier = chain.Copier(ledger)

    def work(self) -> None:
        """Turn by turn until the process ends; a Redis in trouble is waited for, and said once."""
        pause, said = TURN_S, False
        while True:
            try:
                with self.ledger.hurried():
                    self.turn()
                pause, said = TURN_S, False
            except trouble.WAITED_OUT as error:
                if not said:
                    log.warning("Redis does not serve us (%s); the janitor waits for it", trouble.reason(error))
                pause, said = min(LONGEST_PAUSE_S, pause * 1.5), True
                self._was_away()
            time.sleep(pause)

    def turn(self) -> bool:
        """Whether it was our turn and the work was done."""
        began = time.monotonic()
        late = began - self._turned_at > TURN_S + AWAY_S if self._turned_at else self._server_is_new()
        if late or self._clock_jumped():
            self._was_away()
        if not self._my_turn():
            self._turned_at = time.monotonic()
            return False
        self._repair_what_is_due()
        self._keep_house()
        self._turned_at = time.monotonic()
        return True

    def _my_turn(self) -> bool:
        if self.ledger.redis.set(keys.JANITOR, self.name, nx=True, px=LEASE_MS):
            return True
        if text(self.ledger.redis.get(keys.JANITOR)) != self.name:
            # Somebody else's lease ends within moments; what has no end is none.
            left = self.ledger.redis.pttl(keys.JANITOR)
            if left == -1 or left > LEASE_MS:
                self.ledger.redis.delete(keys.JANITOR)
            return False
        self.ledger.redis.pexpire(keys.JANITOR, LEASE_MS)
        return True

    def _server_is_new(self) -> bool:
        """Whether the server was started again, or another took over, since a janitor looked last."""
        before = journal.seen(self.ledger.settings).run
        return bool(before) and before != self.ledger.server_run()

    def _clock_jumped(self) -> bool:
        """Whether the server's clock went on much faster than time did: then leases are over that nobody let go."""
        before, self._offset = self._offset, self.ledger.now() - time.monotonic()
        return before is not None and self._offset - before > AWAY_S

    def _was_away(self) -> None:
        self._reclaim_at = time.monotonic() + self.ledger.settings.lease_s
        self._due.clear()

    def _repair_what_is_due(self) -> None:
        for check in self.checks:
            now = time.monotonic()
            if now < self._due.get(check.name, 0.0) or (isinstance(check, LostShards) and now < self._reclaim_at):
                continue
            self._due[check.name] = now + check.every_s
            # What fails for one kind of damage must not keep the others from being mended.
            try:
                self._run(check)
            except (OSError, IngestboardError) as error:
                self._say(check.name, f"The check of {check.name} did not come to its end: {error}")
            except redis.ResponseError as error:
                if not trouble.is_damage(error):
                    raise
                self._say(check.name, f"The check of {check.name} met a damaged record and did not come to its end.")

    def _run(self, check: Check) -> None:
        for finding in check.find(self.ledger):
            if not self._my_turn():
                return
            try:
                check.repair(self.ledger, finding)
            except IngestboardError as error:
                self._say(check.name, f"{finding.sentence} This could not be repaired: {error}")
                continue
            if not check.quiet:
                log.warning("%s It was repaired.", finding.sentence)
                subject = finding.about[0] if finding.about else check.name
                with suppress(RecordDamaged):  # the record itself is what may have been damaged
                    control.record(self.ledger, "repair", subject, by="the janitor", result=finding.sentence)

    def _say(self, about: str, sentence: str) -> None:
        """What is damaged for good would be told again with every turn: once an hour is enough."""
        now = time.monotonic()
        if now - self._said_at.get((about, sentence), float("-inf")) < SAY_AGAIN_S:
            return
        if len(self._said_at) >= SAID_KEPT:
            self._said_at.clear()
        self._said_at[about, sentence] = now
        log.warning("%s", sentence)

    def _keep_house(self) -> None:
        """What is no repair: the history is rolled up; the record, and how far the ledger is, go on disk."""
        try:
            history.roll_up(self.ledger)
        except redis.ResponseError as error:
            if not trouble.is_damage(error):
                raise
            self._say("history", "The history met a damaged record and is not rolled up for now.")
        now = repairs.now_seen(self.ledger)
        if repairs.emptied(self._noted, now):
            log.warning("Redis was emptied; what it held is not brought back.")
            journal.set_aside(self.ledger.settings)
        if now.run != self._noted.run or now.revision != self._noted.revision:
            with suppress(OSError):  # a disk that refuses is told wherever something of worth is lost
                journal.note(self.ledger.settings, now)
                self._noted = now
        self._copier.turn()
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + PRUNE_EVERY_S
            journal.prune(self.ledger.settings, now.at - journal.KEPT_S)
