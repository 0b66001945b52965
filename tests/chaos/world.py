"""The real programs of a run: a Redis with its log on disk, hosts with a pool each behind a line of their own.

A host is a pool and all its processes; hosts share nothing but Redis and DATA, which may be a small file system.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import redis

from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.embedded import find_server
from tasks.ledger import Ledger, keys, monitor
from tasks.ledger.connection import client
from tasks.ledger.records import text
from tests.chaos.wire import Wire, Wires
from tests.waiting import wait_until

OURS = "INGESTBOARD_"
ROOT = Path(__file__).resolve().parents[2]
EMBEDDER = "tests.embedders.ScriptedEmbedding"
BATCH = 2
LEASE_S = 4.0
GRACE_S = 2.0
TRIES = 10  # so many that no schedule uses them up: a document that fails must have a reason
START_S = 10.0  # in which a pool imports what its workers need
ANSWER_S = 3.0  # how long a person's call waits for Redis


class Server:
    """A redis-server with appendonly on its own folder; it can be killed and comes back with its files."""

    def __init__(self, folder: Path, fsync: str) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self._fsync = fsync
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        files = ["--dir", str(self.folder), "--appendonly", "yes", "--appendfsync", self._fsync, "--save", ""]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(find_server().path), "--port", "0", "--unixsocket", str(self.socket), *files],
                stdout=log,
                stderr=log,
            )
        probe = redis.Redis(unix_socket_path=str(self.socket))

        def answers() -> bool:
            with suppress(redis.RedisError):
                return bool(probe.ping())
            return False

        wait_until(answers, what="Redis")
        probe.close()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


class Host:
    """One pool with its processes, and its line to Redis."""

    def __init__(self, name: str, wire: Wire, environment: dict[str, str], workers: int, log: Path) -> None:
        self.name = name
        self.wire = wire
        self.workers = workers
        self.log = log
        self._environment = environment
        self._since = 0.0
        self.pool: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._since = time.monotonic()
        with self.log.open("ab") as log:
            self.pool = subprocess.Popen(
                [sys.executable, "-m", "workers", "-n", str(self.workers)],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def everyone(self) -> list[psutil.Process]:
        """The pool and all below it."""
        if self.pool is None:
            return []
        with suppress(psutil.NoSuchProcess):
            top = psutil.Process(self.pool.pid)
            return [top, *top.children(recursive=True)]
        return []

    def worker_processes(self) -> list[psutil.Process]:
        """The workers' parents: RQ gives each a title that says so."""
        return [one for one in self._below(1) if title(one).startswith("rq:worker:")]

    def horses(self) -> list[psutil.Process]:
        """The work horses that are at work."""
        return [horse for worker in self.worker_processes() for horse in children(worker)]

    def _below(self, depth: int) -> list[psutil.Process]:
        level = self.everyone()[:1]
        for _ in range(depth):
            level = [child for one in level for child in children(one)]
        return level

    def signal_all(self, number: signal.Signals) -> None:
        for process in self.everyone():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self) -> None:
        """The whole host goes, at once."""
        self.signal_all(signal.SIGKILL)
        if self.pool is not None:
            self.pool.wait(10)
            self.pool = None

    def fallen(self) -> int | None:
        """How the pool ended by itself, if it did."""
        return self.pool.poll() if self.pool is not None else None

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM, and how the pool ended. One that still starts up may end by the signal: it has nothing in hand."""
        if self.pool is None:
            return 0
        young = time.monotonic() - self._since < START_S
        self.pool.terminate()
        try:
            code = self.pool.wait(timeout_s)
            return 0 if young and code == -signal.SIGTERM else code
        except subprocess.TimeoutExpired:
            self.kill()
            return -int(signal.SIGKILL)
        finally:
            self.pool = None


def children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return list(process.children())
    return []


def title(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


class World:
    """All programs of one run below one folder, and the ledger as a person's page has it, with a line of its own."""

    def __init__(self, folder: Path, *, hosts: int, workers: int, fsync: str = "always", disk_mb: int = 0) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir(parents=True)
        self.small_disk = bool(disk_mb) and _mounted(self.data, disk_mb)
        self.seen = folder / "embedded.txt"
        self.server = Server(folder / "redis", fsync)
        self.wires = Wires() if hosts else None  # a thread: none where work horses are forked from this process
        arguments = json.dumps({"seen": str(self.seen)})
        chosen = {
            "embedder": EMBEDDER,
            "embedder_args": arguments,
            "embed_batch": BATCH,
            "cancel_grace_s": GRACE_S,
            "lease_s": LEASE_S,
            "shard_tries": TRIES,
        }
        url = f"unix://{self.server.socket}"
        self.settings = settings_of.read(data=self.data, redis_url=url, **chosen)
        self.ledger = Ledger(client(url, timeout_s=ANSWER_S), self.settings, PROGRAM)
        self._words = {"DATA": str(self.data), **{key.upper(): str(value) for key, value in chosen.items()}}
        self.hosts = []
        for at in range(hosts):
            assert self.wires is not None
            name, wire = f"host{at + 1}", self.wires.add(self.server.socket)
            self.hosts.append(Host(name, wire, self.environment(wire.url), workers, folder / f"{name}.log"))

    def environment(self, url: str) -> dict[str, str]:
        """What programs of this world are started with; nothing of the machine's own settings."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        return {**kept, "REDIS_URL": url, **{f"{OURS}{key}": value for key, value in self._words.items()}}

    def start(self) -> None:
        self.server.start()
        for host in self.hosts:
            host.start()
        size = sum(host.workers for host in self.hosts)
        wait_until(lambda: len(monitor.worker_names(self.ledger)) >= size, timeout_s=60, what="the workers")

    def holders(self, job_id: str) -> list[str]:
        """The workers that have the job in hand."""
        names = [text(name) for name in self.ledger.redis.zrange(keys.WORKERS, 0, -1)]
        with self.ledger.redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(keys.rq_worker(name), "ingestboard_job")
            return [name for name, found in zip(names, pipe.execute(), strict=True) if found == job_id.encode()]

    def close(self) -> None:
        """End what is left, and leave no file system behind."""
        for host in self.hosts:
            host.signal_all(signal.SIGCONT)
            host.kill()
        if self.server.process is not None:
            self.server.process.send_signal(signal.SIGCONT)
        self.server.kill()
        self.ledger.close()
        if self.wires is not None:
            self.wires.close()
        if self.small_disk:
            subprocess.run(["umount", "-l", str(self.data)], check=False, capture_output=True)


def _mounted(folder: Path, size_mb: int) -> bool:
    """Whether the machine let us put a small file system there."""
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        return False
    command = [mount, "-t", "tmpfs", "-o", f"size={size_mb}m,mode=700", "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
