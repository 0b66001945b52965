"""Garbage is written into Redis while board, pool and janitor run on it: nothing of it runs, and work goes on.

`FUZZ_SECONDS` makes it longer.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import re
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_socket
from websockets.typing import Origin, Subprotocol

from dashboard.outage import UNEXPECTED
from tasks.access import PROGRAM
from tasks.errors import IngestboardError
from tasks.ledger import State, connect, fleet, foreign, keys
from tests.acceptance.conftest import ROOT, Stack, lines
from tests.acceptance.redis_servers import Server, free_port
from tests.fuzz import garbage
from tests.fuzz.garbage import Names, Spoil
from tests.fuzz.outcomes import tried
from tests.redis.foreign_functions import Bomb
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

SECONDS = float(os.environ.get("FUZZ_SECONDS", "12"))
SEED = int(os.environ.get("FUZZ_SEED", "20261120"))
WRITES_A_SECOND = 150
PAGES = ("", "queues", "workers", "history", "activity", "collections", "documents")
TRACEBACKS_MOST = 3  # RQ's own, of what it met in the middle of something
LINES_MOST = 2_000  # of a log; what is damaged is told once, not with every look at it
# A person may do these, and so may who writes to Redis; they are undone afterwards, not survived.
NOT_SPOILED = {"wanted", "RQ_SUSPENDED"}
PLANTED = """
from pathlib import Path

Path({marker!r}).write_text("imported")


def run(*given, **more):
    Path({marker!r}).write_text("called")
"""


class Fuzzed(Stack):
    """A pool, a dashboard, and a place where it shows if anything planted has run."""

    server: Server
    pool: subprocess.Popen[bytes]
    board: subprocess.Popen[bytes]
    board_log: Path
    port: int
    marker: Path

    def start_board(self) -> None:
        self.port = free_port()
        self.board_log = self.data / "board.log"
        with self.board_log.open("ab") as log:
            self.board = subprocess.Popen(
                [sys.executable, "-m", "dashboard"],
                cwd=ROOT,
                env={**self.environment, "PORT": str(self.port)},
                stdout=log,
                stderr=log,
            )
        wait_until(self.healthy, timeout_s=60, what="the board")

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as answer:
                return bool(json.loads(answer.read())["ok"])
        except OSError:
            return False


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    data = tmp_path_factory.mktemp("fuzzed")
    server = Server(data / "redis", "--appendonly", "no")
    found = Fuzzed(data, server.url, rq_functions="tests.rq_functions.note")
    found.server, found.marker = server, data / "it-ran"
    (data / "planted.py").write_text(PLANTED.format(marker=str(found.marker)))
    found.environment["PYTHONPATH"] = str(data)
    found.ledger.close()
    found.ledger = connect(found.settings, PROGRAM)
    found.pool = found.start_pool()
    found.start_board()
    yield found
    for process in (found.board, found.pool):
        process.terminate()
    for process in (found.board, found.pool):
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
    found.ledger.close()
    server.end()


class Writer:
    """Writes whatever there is to write, under the names that are in use at the moment."""

    def __init__(self, stack: Fuzzed) -> None:
        self.client: Any = redis.Redis(port=stack.server.port)
        self.draw = random.Random(SEED)
        self.bomb = pickle.dumps(Bomb(str(stack.marker)))
        self.patterns = {name: key for name, key in garbage.patterns().items() if name not in NOT_SPOILED}
        self.jobs: list[str] = []
        self.forged = 0
        self.written: Counter[str] = Counter()

    def write(self) -> None:
        """One more."""
        what: Callable[[], None] = self.draw.choices(
            [self._a_key_of_ours, self._a_key_of_rq, self._a_job, self._a_command], [10, 5, 2, 1]
        )[0]
        try:
            what()
            self.written[what.__name__.strip("_")] += 1
        except redis.ResponseError:
            self.written["refused by the server"] += 1  # such as a score beside members of another type

    def _spoil(self, key: str) -> None:
        value = self.draw.choice([self.bomb, zlib.compress(self.bomb), *garbage.VALUES])
        entries = tuple(
            (self.draw.choice(garbage.FIELDS), value, self.draw.choice(garbage.SCORES))
            for _ in range(self.draw.randint(1, 4))
        )
        Spoil("", self.draw.choice(garbage.TYPES), self.draw.random() < 0.7, entries).apply(self.client, key)

    def _a_key_of_ours(self) -> None:
        names = Names(self.draw.choice(self.jobs))
        names.other = {"name": self.draw.choice(self._workers()), "queue": self.draw.choice(("default", "theirs"))}
        self._spoil(self.draw.choice(list(self.patterns.values()))(names))

    def _a_key_of_rq(self) -> None:
        queue = self.draw.choice(("high", "default", "low"))
        rq_id = self.draw.choice([one.decode("latin-1") for one in self._waiting(queue)] or ["nobody"])
        named = [keys.rq_queue(queue), keys.rq_intermediate(queue), keys.RQ_QUEUES, keys.RQ_WORKERS]
        named += [keys.rq_registry(registry, queue) for registry in foreign.REGISTRIES[1:]]
        named += [keys.rq_worker(self.draw.choice(self._workers())), keys.rq_listeners(queue)]
        named += [prefix + rq_id for prefix in keys.RQ_PREFIXES]
        named += [f"rq:clean_registries:{queue}", f"rq:scheduler-lock:{queue}", "rq:groups", f"rq:workers:{queue}"]
        self._spoil(self.draw.choice(named))

    def _a_job(self) -> None:
        """A forged RQ job wherever one may stand; each asks for something planted to be run."""
        self.forged += 1
        rq_id, queue = f"forged-{self.forged}", self.draw.choice(("high", "default", "low"))
        call = json.dumps(["planted.run", None, [], {}]).encode()
        fields: dict[str, bytes | str] = {
            "created_at": "2026-01-01T00:00:00.000000Z",
            "enqueued_at": "2026-01-01T00:00:00.000000Z",
            "origin": queue,
            "status": self.draw.choice(("queued", "started", "scheduled", "deferred")),
            "data": self.draw.choice([self.bomb, zlib.compress(self.bomb), call, zlib.compress(call)]),
            "meta": self.draw.choice([self.bomb, b"{}"]),
            "timeout": "180",
            "success_callback_name": "planted.run",
            "failure_callback_name": "planted.run",
            "stopped_callback_name": "planted.run",
            "exc_info": self.bomb,
        }
        self.client.hset(keys.rq_job(rq_id), mapping=fields)
        self.client.xadd(f"rq:results:{rq_id}", {"type": "1", "return_value": self.bomb, "exc_string": self.bomb})
        match self.draw.randint(0, 3):
            case 0:
                self.client.rpush(keys.rq_queue(queue), rq_id)
            case 1:
                self.client.zadd(keys.rq_registry("started", queue), {f"{rq_id}:execution": 1})
            case 2:
                self.client.zadd(keys.rq_registry("scheduled", queue), {rq_id: 1})
            case _:
                self.client.rpush(keys.rq_intermediate(queue), rq_id)

    def _a_command(self) -> None:
        body = self.draw.choice([*garbage.VALUES[:30], b'{"command": "stop-job"}', b'{"command": []}'])
        self.client.publish(keys.rq_commands(self.draw.choice(self._workers())), body)

    def _workers(self) -> list[str]:
        try:
            found = self.client.zrange(keys.WORKERS, 0, 20)
        except redis.ResponseError:
            found = []
        return [one.decode("latin-1") for one in found] or ["nobody"]

    def _waiting(self, queue: str) -> list[bytes]:
        try:
            return list(self.client.lrange(keys.rq_queue(queue), 0, 20))
        except redis.ResponseError:
            return []


class Visitor(threading.Thread):
    """Opens the pages one after the other, as a browser asks for them."""

    def __init__(self, stack: Fuzzed) -> None:
        super().__init__(daemon=True)
        self.address = f"127.0.0.1:{stack.port}"
        self.ended = threading.Event()
        self.opened = 0
        self.broken: list[str] = []
        self.job = ""

    def run(self) -> None:
        while not self.ended.is_set():
            for page in (*PAGES, "job"):
                if self.ended.is_set():
                    return
                try:
                    self._open(page, f"job={self.job}" if page == "job" else "")
                except (ConnectionClosed, OSError, TimeoutError) as error:
                    self.broken.append(f"{page}: {error!r}")

    def _open(self, page: str, query: str) -> None:
        message = BackMsg()
        message.rerun_script.page_name = page
        message.rerun_script.query_string = query
        with connect_socket(
            f"ws://{self.address}/_stcore/stream",
            subprotocols=[Subprotocol("streamlit")],
            origin=Origin(f"http://{self.address}"),
            max_size=None,
        ) as socket:
            socket.send(message.SerializeToString())
            while True:
                frame = socket.recv(timeout=30)
                raw = frame if isinstance(frame, bytes) else frame.encode()
                if UNEXPECTED.encode() in raw:
                    self.broken.append(f"{page}: it met an unexpected error")
                answer = ForwardMsg()
                answer.ParseFromString(raw)
                if answer.WhichOneof("type") == "script_finished":
                    self.opened += 1
                    return


def test_nothing_planted_runs_nobody_falls_and_work_goes_on(stack: Fuzzed) -> None:
    writer, visitor = Writer(stack), Visitor(stack)
    before = stack.ended(stack.submit("Before."))
    writer.jobs = [before.id, stack.submit(lines(40, "slow:0.05"), collection="spoiled")]
    visitor.job = before.id
    visitor.start()
    until, submitted_at = time.monotonic() + SECONDS, 0.0
    pause = threading.Event()
    while time.monotonic() < until:
        writer.write()
        pause.wait(1 / WRITES_A_SECOND)
        if time.monotonic() - submitted_at > 1:
            submitted_at = time.monotonic()
            writer.jobs += _submitted(stack)
    visitor.ended.set()
    visitor.join(60)
    tried.update({f"processes: {what}": count for what, count in writer.written.items()})

    _undo(stack)
    good = wait_until(lambda: _submitted(stack, collection="clean", priority="high"), timeout_s=60, what="a submission")
    job = stack.ended(good[0], timeout_s=90)
    assert job.state is State.COMPLETED, job.error
    assert not stack.marker.exists(), stack.marker.read_text()
    assert stack.server.process.poll() is None
    assert stack.pool.poll() is None
    assert stack.board.poll() is None
    assert stack.healthy()
    wait_until(lambda: len(fleet.workers(stack.ledger)) >= 2, timeout_s=90, what="both workers")
    wait_until(lambda: b"-janitor" in (stack.ledger.redis.get(keys.JANITOR) or b""), what="a janitor")
    assert visitor.broken == []
    assert visitor.opened >= len(PAGES)
    for log in (stack.log, stack.board_log):
        _says_sentences(log)
    assert not [one for one in psutil.Process(stack.pool.pid).children() if one.status() == psutil.STATUS_ZOMBIE]


def _submitted(stack: Fuzzed, collection: str = "spoiled", priority: str = "default") -> list[str]:
    try:
        return [stack.submit("Some words.", collection=collection, priority=priority)]  # type: ignore[arg-type]
    except (IngestboardError, redis.RedisError):
        return []


def _undo(stack: Fuzzed) -> None:
    """What a person would undo: a pause that somebody wrote looks like one that somebody asked for."""

    def undone() -> bool:
        try:
            stack.ledger.redis.delete(keys.PAUSED, keys.DRAINED, keys.WRITTEN_OFF, keys.RQ_SUSPENDED)
        except redis.RedisError:
            return False
        return True

    wait_until(undone, what="the queues")


def _says_sentences(log: Path) -> None:
    told = log.read_text("utf-8", "replace")
    assert told.count("Traceback") <= TRACEBACKS_MOST, told[told.index("Traceback") - 400 :][:4_000]
    said = re.sub(r"\d+", "N", told).splitlines()
    assert len(said) < LINES_MOST, Counter(said).most_common(3)
