"""A pool of workers on one host: imports everything once, forks the workers, replaces those that die.

The pool's own process opens no Lance table, runs no tokenizer and holds no thread, so that its forks start
clean. Each worker forks a work horse a delivery in turn.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from types import FrameType

import redis

from tasks.errors import IngestboardError
from tasks.ingest import preload, run
from tasks.ledger import Ledger, connect, keys
from tasks.settings import Settings
from workers.janitor import TURN_S, Janitor
from workers.process import die_with_parent, orphaned

log = logging.getLogger(__name__)

POLL_S = 0.2
BEAT_S = 2.0
RESTART_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)  # waits before a child that keeps dying is started again
STEADY_S = 30.0  # a child that lived this long starts the waits anew


class Child:
    """One forked process of the pool: a worker or the janitor."""

    def __init__(self, name: str, body: Callable[[str], None]) -> None:
        self.name = name
        self.body = body
        self.pid = 0
        self.started = 0.0
        self.deaths = 0
        self.due = 0.0

    def start(self) -> None:
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        self.started = time.monotonic()
        if self.pid:
            return
        code = 1
        try:
            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(signum, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            die_with_parent(signal.SIGTERM)
            if orphaned(parent):
                os._exit(0)
            self.body(self.name)
            code = 0
        except IngestboardError as error:
            log.error("%s", error)
        except Exception:
            log.exception("%s ended with an error", self.name)
        finally:
            os._exit(code)

    def died(self) -> None:
        self.deaths = 0 if time.monotonic() - self.started > STEADY_S else self.deaths + 1
        self.due = time.monotonic() + RESTART_S[min(self.deaths, len(RESTART_S) - 1)]
        self.pid = 0


class Pool:
    """`size` workers and a janitor, until SIGTERM or SIGINT."""

    def __init__(self, settings: Settings, size: int) -> None:
        self.settings = settings
        host = socket.gethostname()
        self.name = f"{host}-{os.getpid()}"
        self.children = [Child(f"{self.name}-{at + 1}", self._work) for at in range(size)]
        self.children.append(Child(f"{self.name}-janitor", self._clean))
        self.stopping = False

    def run(self) -> int:
        """Run until told to stop; the exit code."""
        connect(self.settings).close()  # a sentence now rather than n of them from the workers
        preload()
        run.warm(self.settings)
        # lancedb is imported and not used here, which is the case that its warning at each fork does not mean.
        warnings.filterwarnings("ignore", message="lancedb fork support", category=RuntimeWarning)
        gc.collect()
        gc.freeze()
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        log.info("pool %s starts %d workers", self.name, len(self.children) - 1)
        beat = 0.0
        ledger = connect(self.settings)
        while not self.stopping:
            self._reap()
            for child in self.children:
                if not child.pid and time.monotonic() >= child.due and not self.stopping:
                    child.start()
            if time.monotonic() >= beat:
                beat = time.monotonic() + BEAT_S
                self._beat(ledger)
            time.sleep(POLL_S)
        self._end_children()
        try:
            ledger.redis.zrem(keys.POOLS, self.name)
        except redis.RedisError:
            log.info("Redis is away; the pool's entry ends by itself")
        return 0

    def _beat(self, ledger: Ledger) -> None:
        try:
            ledger.redis.zadd(keys.POOLS, {self.name: ledger.now()})
        except redis.RedisError as error:
            log.warning("Redis does not answer (%s); the pool waits for it", type(error).__name__)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _reap(self) -> None:
        for child in self.children:
            if child.pid:
                pid, status = os.waitpid(child.pid, os.WNOHANG)
                if pid:
                    child.died()
                    if not self.stopping:
                        log.warning("%s ended (wait status %d) and is started again", child.name, status)

    def _end_children(self) -> None:
        """SIGTERM, then wait for the work in hand to be handed back; in the end SIGKILL."""
        for child in self.children:
            if child.pid:
                os.kill(child.pid, signal.SIGTERM)
        until = time.monotonic() + self.settings.cancel_grace_s + 5
        while any(child.pid for child in self.children) and time.monotonic() < until:
            self._reap()
            time.sleep(0.05)
        for child in self.children:
            if child.pid:
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)

    def _work(self, name: str) -> None:
        from workers.worker import IngestWorker

        IngestWorker(_patiently(self.settings), name).work(logging_level="WARNING")

    def _clean(self, name: str) -> None:
        janitor = Janitor(_patiently(self.settings), name)
        while True:
            try:
                janitor.turn()
            except redis.RedisError as error:
                log.warning("Redis does not answer (%s); the janitor waits for it", type(error).__name__)
            time.sleep(TURN_S)


def _patiently(settings: Settings) -> Ledger:
    """Connect, waiting for a Redis that is away."""
    while True:
        try:
            return connect(settings)
        except IngestboardError as error:
            log.warning("%s", error)
            time.sleep(1.0)
