"""`ingestboard up`: Redis, workers and dashboard on one machine, started together, kept alive, stopped in order.

It imports little, because the board should answer within seconds: what the programs need they import
themselves, side by side. It writes nothing but its lock and their logs.
"""

from __future__ import annotations

import errno
import http.client
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tasks import embedded
from tasks.access import PROGRAM, sign_in
from tasks.child import Child, python_module
from tasks.errors import PortUnusable, ProgramEnded
from tasks.running import UpLock
from tasks.settings import Settings
from tasks.wake import Wake

if TYPE_CHECKING:
    from tasks.ledger import Ledger

HEALTHY_WITHIN_S = 90.0
DASHBOARD_STOP_S = 5.0
# Workers have the grace of a cancel to hand back what is under way, and then kill it themselves.
WORKERS_STOP_BEYOND_GRACE_S = 10.0
HURRIED_STOP_S = 2.0
LOOK_S = 0.05
WATCH_S = 1.0
PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
# A program that ran this long was well: its next end starts with the shortest pause again.
WELL_AFTER_S = 60.0


class Supervisor:
    """One run of `up`. `say` gets sentences for the person who started it."""

    def __init__(self, settings: Settings, *, workers: int | None = None, say: Callable[[str], None]) -> None:
        self.settings = settings
        self.workers = workers or settings.workers
        self.say = say
        self.children: list[Child] = []  # in the order they were started; stopped from the last to the first
        self.redis: Child | None = None
        self.asked = 0  # times that a person asked for the stop
        self._failures: dict[str, int] = {}
        self._start_at: dict[str, float] = {}  # monotonic times at which ended programs start again

    def run(self) -> None:
        """Start, watch, stop. Returns after a stop that a person asked for; raises what prevented the start."""
        settings = self.settings
        sign_in.ready(settings)
        embedded.prepare(settings)
        with ExitStack() as held:
            held.enter_context(UpLock(settings.data, address(settings)))
            if settings.embedded:
                held.callback(embedded.clear, settings)
            wake = held.enter_context(Wake(self._ask))
            check_address(settings.host, settings.port)
            held.callback(self._stop)
            self._start(wake)
            if not self.asked:
                self.say(f"Ingestboard is at {address(settings)} ({self._about()}); Ctrl-C stops it.")
            while not self.asked:
                self._mend()
                wake.wait(self._next_look())
            self.say("Stopping; what is under way is handed back. Ctrl-C again hurries.")

    def _start(self, wake: Wake) -> None:
        began = time.monotonic()
        if self.settings.embedded:
            self.redis = embedded.spawn(self.settings, embedded.find_server())
            self.children.append(self.redis)
            embedded.wait_until_ready(self.settings, self.redis, wanted=lambda: not self.asked)
            if self.asked:
                return
        else:
            _connect(self.settings).close()
        logs = self.settings.data / "logs"
        # The workers first: they have the most to import.
        grace_s = self.settings.cancel_grace_s + WORKERS_STOP_BEYOND_GRACE_S
        pool = Child(
            "worker pool", python_module("workers", "-n", str(self.workers)), logs / "workers.log", stop_s=grace_s
        )
        board = Child("dashboard", python_module("dashboard"), logs / "dashboard.log", stop_s=DASHBOARD_STOP_S)
        for child in (pool, board):
            self.children.append(child)
            child.start()
        ledger = _connect(self.settings)
        waiting: dict[Child, Callable[[], bool]] = {
            board: lambda: answers(self.settings),
            pool: lambda: _has_pool(ledger, pool.pid),
        }
        while waiting and not self.asked:
            wake.wait(LOOK_S)
            for child, healthy in list(waiting.items()):
                if not child.alive:
                    raise ProgramEnded(
                        name=child.name, what="ended", reason=_sentence(child.last_line(), child.ending), log=child.log
                    )
                if healthy():
                    del waiting[child]
                elif time.monotonic() - began > HEALTHY_WITHIN_S:
                    raise ProgramEnded(
                        name=child.name,
                        what=f"did not become ready within {HEALTHY_WITHIN_S:g} s",
                        reason=_sentence(child.last_line(), "no word from it"),
                        log=child.log,
                    )
        ledger.close()

    def _mend(self) -> None:
        """Start again what has ended, each after its pause."""
        now = time.monotonic()
        for child in self.children:
            if child.alive:
                continue
            due = self._start_at.get(child.name)
            if due is None:
                if now - child.started_at > WELL_AFTER_S:
                    self._failures.pop(child.name, None)
                failures = self._failures.get(child.name, 0)
                pause = PAUSES_S[min(failures, len(PAUSES_S) - 1)]
                self._failures[child.name] = failures + 1
                self._start_at[child.name] = now + pause
                self.say(f"The {child.name} ended ({child.ending}) and starts again in {pause:g} s; see {child.log}.")
            elif now >= due:
                try:
                    child.start()
                    del self._start_at[child.name]
                except (OSError, subprocess.SubprocessError) as error:
                    self._start_at[child.name] = now + PAUSES_S[-1]
                    self.say(f"The {child.name} cannot be started ({error}); trying again in {PAUSES_S[-1]:g} s.")

    def _next_look(self) -> float:
        now = time.monotonic()
        return min([WATCH_S, *(max(0.0, due - now) for due in self._start_at.values())])

    def _stop(self) -> None:
        """Stop the last started first: dashboard, workers, Redis. Asked twice, only Redis gets time to write."""
        for child in reversed(self.children):
            child.ask_to_stop()
            until = time.monotonic() + child.stop_s
            while child.alive and time.monotonic() < until:
                if self.asked > 1 and child is not self.redis:
                    until = min(until, time.monotonic() + HURRIED_STOP_S)
                time.sleep(LOOK_S)
            if child.alive:
                self.say(f"The {child.name} did not stop in time and was killed.")
                child.kill()

    def _ask(self) -> None:
        self.asked += 1

    def _about(self) -> str:
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        return f"{workers}, data in {self.settings.data}"


def address(settings: Settings) -> str:
    """Where a browser on this machine finds the board."""
    host = _reachable(settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def answers(settings: Settings) -> bool:
    """Whether the dashboard says that it is well."""
    line = http.client.HTTPConnection(_reachable(settings.host), settings.port, timeout=2.0)
    try:
        line.request("GET", "/healthz")
        return line.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        line.close()


def check_address(host: str, port: int) -> None:
    """Find out now what the dashboard would only find out after its imports. Raises PortUnusable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "another program listens there already" if taken else error.strerror or type(error).__name__
            raise PortUnusable(host=host, port=port, reason=reason) from None


def _reachable(host: str) -> str:
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _connect(settings: Settings) -> Ledger:
    from tasks.ledger import connect  # brings the Redis client with it: 0.2 s that the children import in

    return connect(settings, PROGRAM)


def _has_pool(ledger: Ledger, pid: int) -> bool:
    """Whether the pool of that process has reported; pools of other machines or of before do not count."""
    from tasks.ledger import fleet

    return any(name.endswith(f"-{pid}") for name in fleet.pool_names(ledger))


def _sentence(last_line: str, otherwise: str) -> str:
    text = (last_line or otherwise)[:300].rstrip(".")
    return f"{text}."
