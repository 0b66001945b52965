"""Redis in trouble, with real workers at work: it is waited for, said once, and no job is lost or done twice."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
import redis

from tasks import repairs
from tasks.access import PROGRAM
from tasks.ledger import State, activity, connect, connection, control, journal, keys, monitor
from tasks.recipe import Recipe
from tasks.submitting import submit_files
from tests.acceptance.conftest import Stack, lines
from tests.acceptance.redis_servers import Server
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

OUTAGE_S = 5.0  # longer than the lease of 4 s, so that nobody's lease survives it


class Hurt(Stack):
    """A stack on a Redis of its own, which tests hurt; its embedder writes down what it is asked for."""

    server: Server
    seen: Path

    def calls(self) -> list[str]:
        """What was embedded so far, a line a chunk."""
        return self.seen.read_text().splitlines() if self.seen.exists() else []

    def said(self) -> str:
        return self.log.read_text()

    def works(self, chunks: int = 5) -> None:
        """Wait until so many chunks more were embedded."""
        enough = len(self.calls()) + chunks
        wait_until(lambda: len(self.calls()) >= enough, what="work")

    def there(self, job_id: str) -> None:
        wait_until(lambda: bool(self.ledger.redis.exists(keys.job(job_id))), what="the job")

    def whole(self, job_id: str, chunks: int, since: int) -> None:
        """The job completed at its first attempt, and nothing was embedded twice after the first `since` calls."""
        job = self.ended(job_id, timeout_s=40)
        assert (job.state, job.chunks, job.attempt) == (State.COMPLETED, chunks, 1)
        assert set(Counter(self.calls()[since:]).values()) == {1}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hurt]:
    data = tmp_path_factory.mktemp("outages")
    server = Server(data / "redis")
    seen = data / "seen.txt"
    found = Hurt(data, server.url, embedder_args=json.dumps({"seen": str(seen)}))
    # As a person's programs have it: the tests' own calls wait as well.
    found.ledger = connect(found.settings, PROGRAM, patience_s=60)
    found.server, found.seen = server, seen
    pool = found.start_pool()
    yield found
    pool.terminate()
    pool.wait(30)
    found.ledger.close()
    server.end()


def passes(seconds: float) -> None:
    """An outage lasts: it is the time that is tested here."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until, what="an outage")


def test_a_redis_that_is_killed_and_comes_back_loses_no_job_and_no_work(stack: Hurt) -> None:
    since = len(stack.calls())
    running = stack.submit(lines(60, "SLEEP 0.1 killed"), collection="killed")
    stack.works()
    waiting = [stack.submit(f"Text {at} waits.", collection="waiting", names=(f"{at}.txt",)) for at in range(20)]
    stack.server.kill()
    stack.works(10)  # it goes on without Redis
    stack.server.start()
    stack.whole(running, 60, since)
    for job_id in waiting:
        assert stack.ended(job_id).state is State.COMPLETED
    assert "Redis does not serve us (no connection)" in stack.said()


def test_what_the_last_second_of_redis_held_is_made_again_and_said(stack: Hurt) -> None:
    aof = stack.server.folder / "appendonlydir"
    stack.server.suspend()  # nobody writes while the log is copied
    kept = {path: path.read_bytes() for path in aof.iterdir()}
    stack.server.resume()
    made = [stack.submit(f"Text {at} is forgotten.", collection="forgotten", names=(f"{at}.txt",)) for at in range(10)]
    assert all(stack.ended(job_id).state is State.COMPLETED for job_id in made)
    revision = int(stack.ledger.redis.get(keys.REVISION) or 0)
    wait_until(lambda: journal.seen(stack.settings).revision >= revision, what="the janitor's mark")
    stack.server.kill()
    for path, content in kept.items():
        path.write_bytes(content)  # as if the server had never synced what came after
    stack.server.start()
    for job_id in made:
        stack.there(job_id)
        assert stack.ended(job_id).state is State.COMPLETED
        assert any("had forgotten this job" in event.text for event in monitor.events(stack.ledger, job_id))
    rows = activity.page(stack.ledger, activity.Wanted(action="repair")).rows
    assert {row.subject for row in rows if "Redis forgot it" in row.result} >= set(made)
    wait_until(
        lambda: not [one for check in repairs.checks() for one in check.find(stack.ledger)], what="nothing to repair"
    )


def test_a_redis_that_hangs_for_a_while_is_waited_for(stack: Hurt) -> None:
    since = len(stack.calls())
    job_id = stack.submit(lines(30, "SLEEP 0.1 hung"), collection="hung")
    stack.works()
    stack.server.suspend()
    passes(OUTAGE_S)
    stack.server.resume()
    stack.whole(job_id, 30, since)


@pytest.mark.parametrize(
    ("trouble", "hurt", "healed"),
    [
        ("too few of its replicas", ("min-replicas-to-write", "1"), ("min-replicas-to-write", "0")),
        ("its memory is full", ("maxmemory", "1"), ("maxmemory", "0")),
    ],
    ids=["too few replicas", "out of memory"],
)
def test_a_redis_that_takes_no_writes_is_waited_for_with_its_reason(
    stack: Hurt, trouble: str, hurt: tuple[str, str], healed: tuple[str, str]
) -> None:
    since = len(stack.calls())
    job_id = stack.submit(lines(30, f"SLEEP 0.1 {hurt[0]}"), collection=hurt[0])
    stack.works()
    stack.server.set(*hurt)
    wait_until(lambda: trouble in stack.said(), what="the reason in the log")
    impatient = connect(stack.settings, PROGRAM)
    with pytest.raises(redis.ResponseError):
        control.cancel(impatient, job_id, by="bo")
    impatient.close()
    stack.works()
    stack.server.set(*healed)
    stack.whole(job_id, 30, since)


def test_a_redis_that_became_a_replica_is_waited_for(stack: Hurt) -> None:
    since = len(stack.calls())
    job_id = stack.submit(lines(25, "SLEEP 0.1 replica"), collection="replica")
    stack.works()
    client = stack.server.client()
    client.replicaof("127.0.0.1", "1")
    wait_until(lambda: "takes no writes" in stack.said(), what="the reason in the log")
    client.replicaof("NO", "ONE")
    client.close()
    stack.whole(job_id, 25, since)


def test_a_redis_at_its_most_clients_is_waited_for(stack: Hurt) -> None:
    # Those who are connected stay; who comes anew, such as a work horse for its next shard, waits at the door.
    used = int(stack.ledger.redis.info("clients")["connected_clients"])
    stack.server.set("maxclients", str(used))
    fresh = connection.client(stack.server.url)
    crowd = []
    with suppress(redis.ConnectionError):
        while True:
            crowd.append(fresh.connection_pool.get_connection())
    with pytest.raises(redis.ConnectionError, match="max number of clients"):
        connection.client(stack.server.url).ping()
    job_id = submit_files(
        stack.ledger, [("a.txt", BytesIO(b"Crowded text."))], collection="crowd", owner="ana", recipe=Recipe()
    ).job
    passes(2)
    fresh.close()
    for one in crowd:
        fresh.connection_pool.release(one)
    fresh.connection_pool.disconnect()
    stack.ledger.redis.config_set("maxclients", "1000")
    assert stack.ended(job_id).state is State.COMPLETED
    fresh.close()


def test_a_submission_waits_for_redis_and_is_made_once(stack: Hurt) -> None:
    stack.server.kill()

    def start() -> None:
        passes(2)
        stack.server.start()

    starting = threading.Thread(target=start)
    starting.start()
    job_id = stack.submit("Patient text.", collection="patient")
    starting.join()
    assert stack.ended(job_id).state is State.COMPLETED
    rows, _ = monitor.page(stack.ledger, collection="patient")
    assert [row.id for row in rows] == [job_id]
