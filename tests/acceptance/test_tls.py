"""TLS with certificates on both sides and an ACL user: every program works, and what is wrong is a sentence."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from tasks import settings as settings_of
from tasks.errors import RedisUnreachable
from tasks.ledger import connect
from tests.acceptance.redis_servers import binary, free_port
from tests.acceptance.secured import Certificates, certificates
from tests.programs import Up
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

PASSWORD = "hunter/2@ß"


@dataclass(frozen=True)
class Secured:
    """A server that speaks TLS alone and asks for a certificate."""

    port: int
    files: Certificates

    def url(self, *, password: str = PASSWORD, **options: str | Path) -> str:
        asked: dict[str, str | Path] = {
            "ssl_ca_certs": self.files.ca,
            "ssl_certfile": self.files.client,
            "ssl_keyfile": self.files.client_key,
            **options,
        }
        query = "&".join(f"{name}={quote(str(value))}" for name, value in asked.items() if value)
        return f"rediss://ana:{quote(password, safe='')}@127.0.0.1:{self.port}/0?{query}"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    files = certificates(folder / "certificates")
    found = Secured(free_port(), files)
    options = {
        "--port": "0",
        "--tls-port": str(found.port),
        "--bind": "127.0.0.1",
        "--tls-cert-file": str(files.server),
        "--tls-key-file": str(files.server_key),
        "--tls-ca-cert-file": str(files.ca),
        "--tls-auth-clients": "yes",
        "--save": "",
        "--dir": str(folder),
    }
    config = folder / "redis.conf"
    config.write_text(f"user default off\nuser ana on >{PASSWORD} ~* &* +@all\n")
    command = [binary(), str(config), *(part for pair in options.items() for part in pair)]
    log = folder / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out)

    def answers() -> bool:
        if server.poll() is not None:
            return True
        client = redis.Redis.from_url(found.url())
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
        finally:
            client.close()

    wait_until(answers, what="the server")
    if server.poll() is not None:
        if os.environ.get("CI"):
            pytest.fail(log.read_text())
        pytest.skip("this redis-server was built without TLS")
    yield found
    server.terminate()
    server.wait(10)


def test_every_program_works_over_tls(secured: Secured, tmp_path: Path) -> None:
    up = Up(tmp_path / "data", REDIS_URL=secured.url())
    try:
        up.ready()
        (tmp_path / "lease.md").write_text("# Lease\n\nThe notice period for the warehouse is three months.")
        done = up.run("submit", str(tmp_path / "lease.md"), "--collection", "papers", "--wait", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["state"] == "completed"
        checked = up.run("doctor")
        assert "works" in checked.stdout
        assert f"127.0.0.1:{secured.port}" in checked.stdout.replace("\n", "")
        said = [up.output.read_text(), checked.stdout, checked.stderr]
        said += [path.read_text() for path in (up.data / "logs").glob("*.log")]
        assert not [text for text in said if PASSWORD in text or quote(PASSWORD, safe="") in text]
        assert not [text for text in said if "Traceback" in text]
    finally:
        up.kill()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ssl_ca_certs": "other"}, "not signed by a CA that we know"),
        ({"ssl_ca_certs": ""}, "not signed by a CA that we know"),
        ({"ssl_certfile": "", "ssl_keyfile": ""}, "it may want a certificate of ours"),
        ({"password": "wrong"}, "refuses the user or the password"),
        ({"ssl_ca_certs": "/nowhere/ca.pem"}, "the file of ssl_ca_certs cannot be read"),
        ({"ssl_certfile": ""}, "ssl_keyfile goes with ssl_certfile"),
    ],
    ids=str,
)
def test_what_is_wrong_is_a_sentence(secured: Secured, options: dict[str, str], told: str) -> None:
    given = {name: str(secured.files.other_ca) if value == "other" else value for name, value in options.items()}
    with pytest.raises(RedisUnreachable) as refused:
        connect(settings_of.read(redis_url=secured.url(**given)), timeout_s=3)
    assert told in str(refused.value)
    assert "hunter" not in str(refused.value)
    assert "wrong" not in str(refused.value).replace("WRONGPASS", "")


def test_an_address_without_tls_is_told_apart(secured: Secured, redis_url: str) -> None:
    with pytest.raises(RedisUnreachable, match="does not answer"):
        connect(settings_of.read(redis_url=f"redis://127.0.0.1:{secured.port}/0"), timeout_s=3)


def test_a_certificate_for_another_host_is_refused(secured: Secured) -> None:
    url = secured.url().replace("127.0.0.1", "localhost")
    with pytest.raises(RedisUnreachable, match="for another host"):
        connect(settings_of.read(redis_url=url), timeout_s=3)
    connect(settings_of.read(redis_url=f"{url}&ssl_check_hostname=false"), timeout_s=3).close()
