"""A pool of workers on one host: imports everything once, forks the workers, replaces those that die, and grows or
shrinks while it runs.

The pool's own process opens no Lance table, runs no tokenizer and holds no thread, so that its forks start
clean. Each worker forks a work horse a delivery in turn.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import time
import warnings
from itertools import count
from types import FrameType

import redis

from tasks import confinement
from tasks.access import PROGRAM
from tasks.errors import IngestboardError
from tasks.ingest import preload, run
from tasks.ledger import Ledger, connect, keys, trouble
from tasks.ledger.records import text
from tasks.lineage import adopt_orphans, end_all_below
from tasks.settings import Settings
from workers.janitor import Janitor
from workers.offspring import Offspring
from workers.recovery import expire_leases_of
from workers.sizing import Sizing

log = logging.getLogger(__name__)

POLL_S = 0.2
ASK_S = 0.5
BEAT_S = 2.0
KEPT_S = 60
END_S = 5.0  # beyond the grace, for the end of all at a shutdown


class Pool:
    """`size` workers, unless another number is asked for the host, and a janitor; until SIGTERM or SIGINT."""

    def __init__(self, settings: Settings, size: int) -> None:
        self.settings = settings
        self.host = socket.gethostname()
        self.name = f"{self.host}-{os.getpid()}"
        self.size = size
        self._numbers = count(1)
        self.workers: list[Offspring] = []
        self.others = [Offspring(lambda: f"{self.name}-janitor", self._clean)]
        if settings.rq_functions:
            self.others.append(Offspring(lambda: f"{self.name}-scheduler", self._schedule))
        self.stopping = False
        self.away = False  # Redis did not answer the last beat

    def run(self) -> int:
        """Run until told to stop; the exit code."""
        connect(self.settings, PROGRAM).close()  # a sentence now rather than n of them from the workers
        preload()
        run.warm(self.settings)
        if self.settings.confine_readers and (lacking := confinement.missing(confinement.standing())):
            log.warning("%s", lacking)
        # lancedb is imported and not used here, which is the case that its warning at each fork does not mean.
        warnings.filterwarnings("ignore", message="lancedb fork support", category=RuntimeWarning)
        gc.collect()
        gc.freeze()
        adopt_orphans()
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        ledger = connect(self.settings, PROGRAM)
        sizing = Sizing(ledger, self.name, self.size)
        log.info("pool %s starts %d workers", self.name, self.size)
        asked = beat = float("-inf")
        while not self.stopping:
            now = time.monotonic()
            try:
                with ledger.hurried():
                    self._reap(ledger)
                    if now - asked >= ASK_S:
                        asked = now
                        self._beside(ledger, sizing)
                    if self._resize(ledger, sizing.size) or now - beat >= BEAT_S:
                        beat = now
                        self._beat(ledger, sizing)
                self.away = self.away and now not in (asked, beat)
            except trouble.WAITED_OUT as error:
                if not self.away:
                    log.warning("Redis does not serve us (%s); the pool waits for it", trouble.reason(error))
                self.away = True
            self._start()
            time.sleep(POLL_S)
        self._end_children()
        try:
            with ledger.hurried():
                ledger.redis.zrem(keys.POOLS, self.name)
                ledger.redis.delete(keys.pool(self.name))
        except redis.RedisError:
            log.info("Redis is away; the pool's entry ends by itself")
        return 0

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopping = True

    # --- how many ---------------------------------------------------------------------------------

    def _beside(self, ledger: Ledger, sizing: Sizing) -> None:
        before = sizing.size
        sizing.ask()
        if sizing.size != before:
            log.info("pool %s goes from %d to %d workers", self.name, before, sizing.size)

    def _resize(self, ledger: Ledger, size: int) -> bool:
        """Grow at once; shrink by having idle workers leave first, busy ones when they are done. Whether it changed."""
        staying = [worker for worker in self.workers if not worker.leaving]
        for _ in range(size - len(staying)):
            self.workers.append(Offspring(lambda: f"{self.name}-{next(self._numbers)}", self._work))
        if len(staying) > size:
            for worker in self._idle_first(ledger, staying)[: len(staying) - size]:
                worker.leaving = True
                worker.signal(signal.SIGUSR2)
        self.workers = [worker for worker in self.workers if worker.pid or not worker.leaving]
        return len(staying) != size

    def _idle_first(self, ledger: Ledger, workers: list[Offspring]) -> list[Offspring]:
        with ledger.redis.pipeline(transaction=False) as pipe:
            for worker in workers:
                pipe.hget(keys.rq_worker(worker.name), "state")
            states = [text(state) for state in pipe.execute()]
        newest_first = sorted(zip(workers, states, strict=True), key=lambda pair: pair[0].pid, reverse=True)
        return [worker for worker, state in sorted(newest_first, key=lambda pair: pair[1] == "busy")]

    def _beat(self, ledger: Ledger, sizing: Sizing) -> None:
        size = sum(1 for worker in self.workers if worker.pid and not worker.leaving)
        with ledger.redis.pipeline(transaction=False) as pipe:
            pipe.zadd(keys.POOLS, {self.name: ledger.now()})
            pipe.hset(
                keys.pool(self.name),
                mapping={
                    "host": self.host,
                    "size": size,
                    "wanted": sizing.size,
                    "low": sizing.low,
                    "high": sizing.high,
                },
            )
            pipe.expire(keys.pool(self.name), KEPT_S)
            pipe.execute()

    # --- births and deaths ------------------------------------------------------------------------

    def _start(self) -> None:
        for child in (*self.workers, *self.others):
            if child.due and not self.stopping:
                child.start()

    def _reap(self, ledger: Ledger | None = None) -> None:
        ended = [(child, status) for child in (*self.workers, *self.others) if (status := child.ended()) is not None]
        for child, status in ended:
            if not self.stopping and not child.leaving:
                log.warning("%s ended (wait status %d) and is started again", child.name, status)
        if not ended:
            return
        # What the dead had started is ours now, and nobody else will end it.
        end_all_below(spare=[child.pid for child in (*self.workers, *self.others) if child.pid])
        if ledger is not None:
            for child, status in ended:
                if child in self.workers:
                    self._bury(ledger, child.name, status)

    def _bury(self, ledger: Ledger, name: str, status: int) -> None:
        """It cannot wake again: marks on its name go, and what it had in hand goes to another worker now."""
        for had in expire_leases_of(ledger, name) if status else ():
            log.warning("worker %s died with shard %s in hand, which goes to another worker", name, had)
        with ledger.redis.pipeline(transaction=False) as pipe:
            pipe.hdel(keys.WRITTEN_OFF, name)
            pipe.hdel(keys.DRAINED, name)
            pipe.zrem(keys.WORKERS, name)
            pipe.execute()

    def _end_children(self) -> None:
        """SIGTERM, then wait for the work in hand to be handed back; in the end SIGKILL."""
        children = [*self.workers, *self.others]
        for child in children:
            child.signal(signal.SIGTERM)
        until = time.monotonic() + self.settings.cancel_grace_s + END_S
        while any(child.pid for child in children) and time.monotonic() < until:
            self._reap()
            time.sleep(0.05)
        end_all_below()

    # --- what the children do ---------------------------------------------------------------------

    def _work(self, name: str) -> None:
        from workers.worker import IngestWorker

        IngestWorker(_patiently(self.settings), name, self.name).work(logging_level="WARNING")

    def _schedule(self, name: str) -> None:
        from workers.scheduling import schedule

        schedule(_patiently(self.settings), name)

    def _clean(self, name: str) -> None:
        Janitor(_patiently(self.settings), name).work()


def _patiently(settings: Settings) -> Ledger:
    """Connect, waiting for a Redis that is away; and so with all that the ledger is asked."""
    said = ""
    while True:
        try:
            return connect(settings, PROGRAM, patience_s=settings.redis_patience_s)
        except IngestboardError as error:
            if str(error) != said:
                said = str(error)
                log.warning("%s Waiting for it.", said)
            time.sleep(1.0)
