"""A fail-over behind real sentinels, with real workers at work: they follow the new master and lose no job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tasks.access import PROGRAM
from tasks.ledger import State, connect, keys, monitor
from tests.acceptance.conftest import Stack, lines
from tests.acceptance.redis_servers import Server
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

SERVICE = "board"
PASSWORD = "hunter2"


class Watched(Stack):
    """A stack behind sentinels."""

    servers: list[Server]
    sentinels: list[Server]

    def master(self) -> int:
        client = redis.Redis(port=self.sentinels[0].port)
        try:
            address: Any = client.sentinel_get_master_addr_by_name(SERVICE)
            return int(address[1]) if address else 0
        finally:
            client.close()


def replicas(server: Server) -> int:
    client = redis.Redis(port=server.port, password=PASSWORD)
    try:
        return int(client.info("replication")["connected_slaves"])
    finally:
        client.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    data = tmp_path_factory.mktemp("failover")
    secret = ("--requirepass", PASSWORD, "--masterauth", PASSWORD)
    master = Server(data / "redis-0", *secret)
    replica = Server(
        data / "redis-1", *secret, "--replicaof", f"127.0.0.1 {master.port}", "--repl-diskless-sync-delay", "0"
    )
    # Told of the replica, the sentinels need not wait ten seconds for their second look.
    wait_until(lambda: replicas(master) == 1, what="the replica")
    config = "\n".join(
        [
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 2",
            f"sentinel auth-pass {SERVICE} {PASSWORD}",
            f"sentinel known-replica {SERVICE} 127.0.0.1 {replica.port}",
            f"sentinel down-after-milliseconds {SERVICE} 1000",
            f"sentinel failover-timeout {SERVICE} 3000",
        ]
    )
    sentinels = [Server(data / f"sentinel-{at}", sentinel=config) for at in range(3)]
    client = redis.Redis(port=sentinels[0].port, decode_responses=True)

    def known() -> bool:
        about: Any = client.sentinel_master(SERVICE)
        return int(about["num-slaves"]) == 1 and int(about["num-other-sentinels"]) == 2

    wait_until(known, what="the sentinels to know each other")
    hosts = ",".join(f"127.0.0.1:{one.port}" for one in sentinels)
    url = f"redis+sentinel://:{PASSWORD}@{hosts}/{SERVICE}/0"
    found = Watched(data, url, embedder_args=json.dumps({"seen": str(data / "seen.txt")}))
    found.ledger = connect(found.settings, PROGRAM, patience_s=60)
    found.servers, found.sentinels = [master, replica], sentinels
    pool = found.start_pool()
    yield found
    pool.terminate()
    pool.wait(30)
    found.ledger.close()
    client.close()
    for server in [*sentinels, master, replica]:
        server.end()


def test_a_fail_over_is_followed_and_loses_no_job(stack: Watched) -> None:
    running = stack.submit(lines(80, "SLEEP 0.1 moved"), collection="moved")
    wait_until(lambda: stack.job(running).percent > 0, what="progress")
    waiting = [stack.submit(f"Text {at}.", collection="behind", names=(f"{at}.txt",)) for at in range(10)]
    old = stack.master()
    stack.servers[0].kill()
    wait_until(lambda: stack.master() not in (0, old), what="another master")
    for job_id in [running, *waiting]:
        assert stack.ended(job_id, timeout_s=40).state is State.COMPLETED
    assert stack.job(running).chunks == 80
    assert stack.ledger.redis.connection_pool.get_connection().port == stack.servers[1].port
    assert "Redis does not serve us" in stack.log.read_text()
    assert PASSWORD not in stack.log.read_text()
    assert int(stack.ledger.redis.hget(keys.COUNTS, "completed") or 0) == 11
    assert monitor.page(stack.ledger)[1] == 11


def test_the_old_master_comes_back_as_a_replica_and_nothing_changes(stack: Watched) -> None:
    stack.servers[0].start()
    job_id = stack.submit("One more text.", collection="after")
    assert stack.ended(job_id).state is State.COMPLETED
    fresh = connect(stack.settings, PROGRAM)
    assert monitor.job(fresh, job_id).state is State.COMPLETED
    fresh.close()
