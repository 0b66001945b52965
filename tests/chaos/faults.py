"""How each fault is done to the running programs, and how it is taken back.

Each strike notes in the history how many work horses it hit: that many batches may be embedded once more.
"""

from __future__ import annotations

import heapq
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

import psutil

from tests.chaos.history import History
from tests.chaos.schedule import Fault
from tests.chaos.world import Host, World, children

LEFT_FREE = 4096  # bytes of a disk that is called full
AGAIN_S = 0.5
POSTPONED = 20  # times that a fault waits for somebody to strike, before it is left out


class Faults:
    """Strikes and reliefs in the order of their time; used from one thread."""

    def __init__(self, world: World, history: History) -> None:
        self._world = world
        self._history = history
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._rolling: list[threading.Thread] = []
        self._down: set[str] = set()  # what is struck already: hosts, and 'redis', 'disk'

    def run(self, schedule: Sequence[Fault]) -> None:
        """Strike by the schedule; returns when the last fault has been taken back."""
        since = time.monotonic()
        for fault in schedule:
            self._later(since + fault.at_s, lambda fault=fault: self._strike(fault))  # type: ignore[misc]
        while self._due:
            due, _, act = heapq.heappop(self._due)
            time.sleep(max(0.0, due - time.monotonic()))
            act()
            tend(self._world, self._history, spare=self._down)
        for thread in self._rolling:
            thread.join()

    def _later(self, due: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (due, next(self._order), act))

    def _strike(self, fault: Fault, postponed: int = 0) -> None:
        verb, _, whom = fault.kind.partition(" ")
        host = self._world.hosts[fault.host]
        place = {"redis": "redis", "disk": "disk"}.get(whom, host.name)
        missing = self._missing(whom, place, host)
        if missing and postponed < POSTPONED:
            # Pools take seconds to start: what strikes nobody proves nothing.
            self._later(time.monotonic() + AGAIN_S, lambda: self._strike(fault, postponed + 1))
            return
        if missing:
            self._history.note("fault", kind=fault.kind, who=place, struck=0, skipped=missing)
            return
        strike = {
            "horse": self._on_horse,
            "worker": self._on_worker,
            "pool": self._on_pool,
            "host": self._on_host,
            "redis": self._on_redis,
            "line": self._on_line,
            "disk": self._on_disk,
            "restart": self._restart,
        }[whom]
        strike(verb, fault, host)

    def _missing(self, whom: str, place: str, host: Host) -> str:
        """Why nobody could be struck at this moment; empty when somebody can."""
        if place in self._down or (place == host.name and host.pool is None):
            return "it is down already"
        if place == host.name and not host.worker_processes():
            return "its pool has no worker yet"
        if whom == "horse" and not host.horses():
            return "no work horse is at work"
        return ""

    def _note(self, fault: Fault, who: str, struck: int, **more: object) -> None:
        self._history.note("fault", kind=fault.kind, who=who, struck=struck, for_s=fault.for_s, **more)

    def _relieve(self, fault: Fault, place: str, act: Callable[[], None]) -> None:
        self._down.add(place)

        def relief() -> None:
            act()
            self._down.discard(place)
            self._history.note("relief", kind=fault.kind, who=place)

        self._later(time.monotonic() + fault.for_s, relief)

    def _on_horse(self, verb: str, fault: Fault, host: Host) -> None:
        horses = host.horses()
        if not horses:
            self._note(fault, host.name, 0, skipped="no work horse is at work")
            return
        horse = horses[int(fault.choice * len(horses))]
        self._hit(verb, fault, host, [horse], struck=1)

    def _on_worker(self, verb: str, fault: Fault, host: Host) -> None:
        workers = host.worker_processes()
        busy = [worker for worker in workers if children(worker)] or workers
        if not busy:
            self._note(fault, host.name, 0, skipped="no worker is there")
            return
        worker = busy[int(fault.choice * len(busy))]
        self._hit(verb, fault, host, [worker], struck=len(children(worker)))

    def _on_pool(self, verb: str, fault: Fault, host: Host) -> None:
        if verb == "kill":
            self._note(fault, host.name, host.workers)
            assert host.pool is not None
            host.pool.kill()  # its workers are told by the kernel and hand their work back
            host.pool.wait(10)
            host.pool = None
            self._relieve(fault, host.name, host.start)
            return
        self._hit(verb, fault, host, host.everyone()[:1], struck=0)

    def _on_host(self, verb: str, fault: Fault, host: Host) -> None:
        if verb == "kill":
            self._note(fault, host.name, host.workers)
            host.kill()
            self._relieve(fault, host.name, host.start)
            return
        self._hit(verb, fault, host, host.everyone(), struck=host.workers)

    def _hit(self, verb: str, fault: Fault, host: Host, processes: list[psutil.Process], *, struck: int) -> None:
        """SIGKILL, or SIGSTOP and later SIGCONT. A frozen work horse may do one batch more when it thaws."""
        kills = verb == "kill"
        self._note(fault, host.name, struck if kills else 2 * struck, pids=[one.pid for one in processes])
        send(processes, signal.SIGKILL if kills else signal.SIGSTOP)
        if not kills:
            self._relieve(fault, host.name, lambda: send(processes, signal.SIGCONT))

    def _on_redis(self, verb: str, fault: Fault, host: Host) -> None:
        server = self._world.server
        self._note(fault, "redis", 0)
        if verb == "kill":
            server.kill()
            self._relieve(fault, "redis", server.start)
            return
        process = server.process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        self._relieve(fault, "redis", lambda: process.send_signal(signal.SIGCONT))

    def _on_line(self, verb: str, fault: Fault, host: Host) -> None:
        # A host that cannot be reached is taken for gone when its leases end, and works on for a while.
        self._note(fault, host.name, host.workers)
        host.wire.set("cut" if verb == "cut" else "stalled")
        self._relieve(fault, host.name, lambda: host.wire.set("open"))

    def _on_disk(self, verb: str, fault: Fault, host: Host) -> None:
        """Fill the small file system that DATA lies on; without one the fault is left out and said so."""
        if not self._world.small_disk:
            self._note(fault, "disk", 0, skipped="the machine gives us no small file system")
            return
        filler = self._world.data / "filler"
        self._note(fault, "disk", sum(host.workers for host in self._world.hosts))
        fill(filler)
        self._relieve(fault, "disk", lambda: filler.unlink())

    def _restart(self, verb: str, fault: Fault, host: Host) -> None:
        """SIGTERM to one host after the other, each started again when it has ended."""
        self._note(fault, "all hosts", 0)
        chosen = [one for one in self._world.hosts if one.pool is not None and one.name not in self._down]
        self._down |= {one.name for one in chosen}

        def roll() -> None:
            for one in chosen:
                self._history.note("ended", who=one.name, code=one.stop())
                one.start()
                self._down.discard(one.name)

        # Beside the rest: what else is broken meanwhile is taken back in its time.
        self._rolling.append(threading.Thread(target=roll, daemon=True))
        self._rolling[-1].start()


def tend(world: World, history: History, spare: Collection[str] = ()) -> None:
    """Start the pools again that ended by themselves, as the supervisor of a host does."""
    for host in world.hosts:
        code = host.fallen()
        if code is not None and host.name not in spare:
            history.note("fell", who=host.name, code=code)
            host.start()


def send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def fill(path: Path) -> None:
    """A file that takes all room but a few kilobytes."""
    found = os.statvfs(path.parent)
    room = max(0, found.f_bavail * found.f_frsize - LEFT_FREE)
    block = b"\0" * 65_536
    with path.open("wb", buffering=0) as out, suppress(OSError):
        while room > 0:
            room -= out.write(block[:room])
