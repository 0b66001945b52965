"""One forked process of a pool: a worker, the janitor, or RQ's scheduler."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable

from tasks.errors import IngestboardError
from tasks.ledger import trouble
from tasks.lineage import end_with_parent

log = logging.getLogger(__name__)

RESTART_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)  # waits before a child that keeps dying is started again
STEADY_S = 30.0  # a child that lived this long starts the waits anew


class Offspring:
    """A child that is started again when it dies, under a new name each time.

    The name of one that is dead may still be held by what it has left in Redis, or be written off for good.
    """

    def __init__(self, named: Callable[[], str], body: Callable[[str], None]) -> None:
        self._named = named
        self._body = body
        self.name = ""
        self.pid = 0
        self.leaving = False  # it ends what it has in hand and is not started again
        self._started = 0.0
        self._deaths = 0
        self._due = 0.0

    @property
    def due(self) -> bool:
        """Whether it is to be started now."""
        return not self.pid and not self.leaving and time.monotonic() >= self._due

    def start(self) -> None:
        parent = os.getpid()
        self.name = self._named()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        self._started = time.monotonic()
        if self.pid:
            return
        code = 1
        try:
            for signum in (signal.SIGTERM, signal.SIGCHLD):
                signal.signal(signum, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if not end_with_parent(parent, signal.SIGTERM):
                os._exit(0)
            self._body(self.name)
            code = 0
        except IngestboardError as error:
            log.error("%s", error)
        except Exception as error:
            if trouble.is_damage(error):
                log.error("%s ended: %s", self.name, trouble.reason(error))
            else:
                log.exception("%s ended with an error", self.name)
        finally:
            os._exit(code)

    def ended(self) -> int | None:
        """Its wait status, once, when it has ended."""
        if not self.pid:
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        self._deaths = 0 if time.monotonic() - self._started > STEADY_S else self._deaths + 1
        self._due = time.monotonic() + RESTART_S[min(self._deaths, len(RESTART_S) - 1)]
        self.pid = 0
        return status

    def signal(self, signum: int) -> None:
        if self.pid:
            os.kill(self.pid, signum)
