"""What all tests share: settings on a scratch DATA, a real Redis of their own, ledgers on both kinds, a Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import fakeredis
import hypothesis
import pytest
import redis
from playwright.sync_api import Browser, sync_playwright

from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.embedded import find_server
from tasks.errors import RedisMissing
from tasks.ledger import Ledger
from tasks.settings import Settings
from tests.waiting import wait_until

# Headless, quiet, and asking nobody outside for anything.
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# How long a case takes is the machine's business: other tests run beside it.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

# Tests see no setting of the machine they run on.
for name in [name for name in os.environ if name.startswith("INGESTBOARD_") or name in ("REDIS_URL", "PORT")]:
    del os.environ[name]


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a real server on a unix socket, for this test run alone."""
    try:
        binary = str(find_server().path)
    except RedisMissing as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    folder = tempfile.mkdtemp(prefix="ib-redis-")
    socket = Path(folder) / "redis.sock"
    server = subprocess.Popen(
        [binary, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no", "--dir", folder],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    client = redis.Redis(unix_socket_path=str(socket))

    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False

    wait_until(answers, what="the test Redis server")
    client.close()
    yield f"unix://{socket}"
    server.terminate()
    server.wait(10)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings on a scratch DATA folder."""
    return settings_of.read(data=tmp_path / "data", redis_url="redis://unused")


@pytest.fixture
def fake_ledger(settings: Settings) -> Ledger:
    """A ledger on fakeredis."""
    return Ledger(fakeredis.FakeRedis(server=fakeredis.FakeServer()), settings, PROGRAM)


@pytest.fixture
def real_ledger(redis_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger on the real server, empty."""
    settings = settings_of.read(data=tmp_path / "data", redis_url=redis_url)
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    yield Ledger(client, settings, PROGRAM)
    client.close()


@pytest.fixture(params=["fakeredis", "server"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """The same test on both kinds of server."""
    found: Ledger = request.getfixturevalue("fake_ledger" if request.param == "fakeredis" else "real_ledger")
    return found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, by its path: Playwright's own download is not needed."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on this machine")
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=ARGUMENTS)
        yield browser
        browser.close()
