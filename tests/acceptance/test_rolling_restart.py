"""Pools that go and come under load: nothing is lost and nothing is embedded twice."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tasks.ledger import State, fleet, monitor
from tasks.snapshots.shelf import Shelf
from tests.acceptance.conftest import Stack, lines
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance


@pytest.fixture
def stack(redis_url: str, tmp_path: Path) -> Iterator[Stack]:
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    client.close()
    seen = tmp_path / "seen"
    found = Stack(tmp_path, redis_url, embedder_args=f'{{"seen": "{seen}"}}')
    yield found
    found.end()


def embedded(stack: Stack) -> Counter[str]:
    """How often each text was embedded."""
    return Counter((stack.data / "seen").read_text().split())


def test_a_rolling_restart_under_load_loses_nothing_and_embeds_nothing_twice(stack: Stack) -> None:
    first, second = stack.start_pool(2), stack.start_pool(2)
    jobs = [
        stack.submit(*[lines(5, f"SLEEP 0.1 of {job} and {at}") for at in range(6)], collection=f"rolled{job}")
        for job in range(3)
    ]
    wait_until(lambda: sum(row.documents_done for row in map(stack.job, jobs)) >= 2, what="work under way")
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    wait_until(lambda: sum(row.documents_done for row in map(stack.job, jobs)) >= 5, what="work without it")
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 0
    third = stack.start_pool(2)
    for job_id in jobs:
        job = stack.ended(job_id)
        assert (job.state, job.attempt, job.documents_done, job.chunks) == (State.COMPLETED, 1, 6, 30)
    third.terminate()
    third.wait(30)
    said = [event.text for job_id in jobs for event in monitor.events(stack.ledger, job_id)]
    assert any("goes back to the queue" in text for text in said)
    assert not any("lost" in text for text in said)
    times = embedded(stack)
    assert len(times) == 3 * 6 * 5
    assert set(times.values()) == {1}


def test_a_whole_pool_that_is_killed_leaves_nothing_that_another_cannot_end(stack: Stack) -> None:
    pool = stack.start_pool(2)
    pids = [row.pid for row in fleet.workers(stack.ledger)]
    other = stack.start_pool(1)
    job_id = stack.submit(*[lines(6, f"SLEEP 0.1 of {at}") for at in range(6)], collection="orphans")
    wait_until(lambda: stack.job(job_id).percent > 0, what="progress")
    for pid in (pool.pid, *pids):
        os.kill(pid, signal.SIGKILL)
    pool.wait(10)
    job = stack.ended(job_id)
    assert (job.state, job.documents_done) == (State.COMPLETED, 6)
    assert Shelf(stack.data).snapshots("orphans")[0].documents == 6
    other.terminate()
    other.wait(30)
    assert max(embedded(stack).values()) <= 2  # the batch in flight
