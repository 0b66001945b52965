"""The web process: alive beside its pages, a sentence when it cannot start, and gone when it is told to go."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def dashboard(tmp_path: Path, port: int, redis_url: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PORT": str(port), "REDIS_URL": redis_url, "INGESTBOARD_DATA": str(tmp_path / "data")}
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def health(port: int) -> dict[str, object] | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            found: dict[str, object] = json.loads(answer.read())
            return found
    except OSError:
        return None


def test_it_is_healthy_beside_its_pages_and_stops_when_told(tmp_path: Path, redis_url: str) -> None:
    port = free_port()
    with dashboard(tmp_path, port, redis_url) as process:
        assert wait_until(lambda: health(port), what="/healthz") == {"ok": True, "redis": "up"}
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
            assert page.status == 200
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - asked < 4


def answer(port: int, path: str) -> tuple[int, str, str]:
    """Status, type and text of an address, whatever the status is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as found:
            return found.status, found.headers["Content-Type"], found.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def test_the_api_and_the_metrics_are_beside_the_pages(tmp_path: Path, redis_url: str) -> None:
    port = free_port()
    with dashboard(tmp_path, port, redis_url):
        wait_until(lambda: health(port), what="/healthz")
        for path, status in (("/api/v1/me", 401), ("/api/v1/nowhere", 404), ("/api/x", 404)):
            found = answer(port, path)
            assert found[:2] == (status, "application/json")
            assert json.loads(found[2])["error"].endswith(".")
        status, kind, text = answer(port, "/metrics")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert "ingestboard_redis_up 1\n" in text


def test_without_redis_it_is_alive_and_says_so(tmp_path: Path) -> None:
    port = free_port()
    with dashboard(tmp_path, port, f"unix://{tmp_path}/nobody.sock"):
        assert wait_until(lambda: health(port), what="/healthz") == {"ok": True, "redis": "down"}


def test_a_busy_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with dashboard(tmp_path, port, "redis://unused") as process:
            _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said == (
        f"The dashboard cannot listen on 127.0.0.1:{port} (another program listens there already); "
        "stop that program or set PORT to another number.\n"
    )
