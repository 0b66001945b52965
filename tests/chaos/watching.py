"""Witnesses of a run: every write of a job's state, attempt and percent, as Redis itself tells it (MONITOR).

What happens while the witness has no line, as when Redis is killed, is bridged: on its return it notes every
job as it finds it, marked as seen across a gap.
"""

from __future__ import annotations

import json
import re
import secrets
import socket
import threading
from contextlib import suppress
from pathlib import Path

import redis

from tasks.ledger import keys
from tests.chaos.fencing import Fences
from tests.chaos.history import History

WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')
ESCAPED = re.compile(rb'\\(["\\])')
JOB = re.compile(rf"^{keys.job('([^:]+)')}$")
FIELDS = ("state", "attempt", "percent")
ANSWER_S = 1.0
LOOK_S = 0.1  # between two looks at whether to stop
# Atomic: what the stream tells before the mark is in it, what it tells after is not.
SNAPSHOT = f"""
local found = {{}}
for _, id in ipairs(redis.call('ZRANGE', '{keys.JOBS}', 0, -1)) do
  local row = redis.call('HMGET', '{keys.job("")}' .. id, 'state', 'attempt', 'percent')
  if row[1] then found[#found + 1] = {{id, row[1], row[2] or '0', row[3] or '0'}} end
end
return cjson.encode(found)
"""


class Witness:
    """Watches one server in a thread of its own until it is told to stop."""

    def __init__(self, server: Path, history: History) -> None:
        self._server = server
        self._history = history
        self._fences = Fences(history)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.is_set():
            with suppress(OSError, redis.RedisError):
                self._watch()
            self._stop.wait(0.02)

    def _watch(self) -> None:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(LOOK_S)
            line.connect(str(self._server))
            line.sendall(b"MONITOR\r\n")
            mark = secrets.token_hex(8)
            client = redis.Redis(unix_socket_path=str(self._server), socket_timeout=ANSWER_S)
            found = json.loads(client.eval(SNAPSHOT, 0, mark))
            client.close()
            for job, state, attempt, percent in found:
                self._history.note("seen", job=job, state=state, attempt=int(attempt), percent=float(percent))
            self._history.note("watching", jobs=[row[0] for row in found])
            self._read(line, mark.encode())

    def _read(self, line: socket.socket, mark: bytes) -> None:
        rest, marked = b"", False
        self._fences.forget()
        while not self._stop.is_set():
            try:
                data = line.recv(1 << 20)
            except TimeoutError:
                continue
            if not data:
                return
            *told, rest = (rest + data).split(b"\r\n")
            for command in told:
                if marked:
                    self.told(command)
                elif mark in command:
                    marked = True

    def told(self, command: bytes) -> None:
        """One line of the monitor; only writes to jobs are noted, and who wrote without owning what."""
        by_script = b" lua] " in command
        if not by_script and b"EVALSHA" not in command.upper():
            self._fences.told(["-"], by_script=False)
            return
        words = [ESCAPED.sub(rb"\1", word).decode("utf-8", "replace") for word in WORD.findall(command)]
        self._fences.told(words, by_script=by_script)
        if by_script and words[0] in ("HSET", "HINCRBY", "DEL"):
            verb, key, *rest = words
            job = JOB.match(key)
            if job is None:
                return
            if verb == "DEL":
                self._history.note("gone", job=job[1])
            elif verb == "HINCRBY" and rest[0] == "attempt":
                self._history.note("moved", job=job[1], attempt="next")
            elif verb == "HSET":
                given = dict(zip(rest[::2], rest[1::2], strict=False))
                facts = {name: given[name] for name in FIELDS if name in given}
                if facts:
                    self._history.note("moved", job=job[1], **facts)
