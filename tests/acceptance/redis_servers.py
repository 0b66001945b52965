"""Redis servers that a test may hurt: on a port of their own, with appendonly, killed, stopped and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import redis

from tasks.embedded import find_server
from tasks.errors import RedisMissing
from tests.waiting import wait_until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def binary() -> str:
    try:
        return str(find_server().path)
    except RedisMissing as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


class Server:
    """One server program: a Redis with appendonly, or with `sentinel` the configuration of one."""

    def __init__(self, folder: Path, *options: str, sentinel: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.options: Sequence[str] = options
        self.sentinel = sentinel
        folder.mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self) -> None:
        """Start, or start again on the same files."""
        here = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        if self.sentinel:
            config = self.folder / "sentinel.conf"
            if not config.exists():
                config.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n{self.sentinel}\n")
            command = [binary(), str(config), "--sentinel"]
        else:
            command = [binary(), *here, "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", *self.options]
        with (self.folder / "server.log").open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        wait_until(self.answers, what=f"the server on {self.port}")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=2, socket_connect_timeout=2)

    def answers(self) -> bool:
        client = self.client()
        try:
            return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False
        finally:
            client.close()

    def set(self, name: str, value: str) -> None:
        client = self.client()
        client.config_set(name, value)
        client.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def suspend(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        if self.process.poll() is None:
            self.resume()
            self.kill()
