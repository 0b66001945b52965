"""A bulk action on real workers: a work horse that is killed in the middle of it costs nothing and doubles nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from tasks import bulk
from tasks.ledger import Action, State, activity, control, keys, monitor
from tasks.ledger.records import whole
from tests.acceptance.conftest import Stack
from tests.factories import submitted
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance
JOBS = 2_000


@pytest.fixture
def idle(redis_url: str, tmp_path: Path) -> Iterator[Stack]:
    """A stack without a pool, so that jobs can be laid out before anybody works."""
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    client.close()
    found = Stack(tmp_path, redis_url)
    yield found
    found.ledger.close()


def horses(pool: psutil.Process) -> list[psutil.Process]:
    """The processes at work below the workers of a pool."""
    return [horse for worker in pool.children() for horse in worker.children()]


def test_a_kill_in_the_middle_of_a_bulk_action_is_made_good(idle: Stack) -> None:
    ids = [submitted(idle.ledger) for _ in range(JOBS)]
    assert len(control.act(idle.ledger, Action.CANCEL, ids, by="ana").done) == JOBS
    job = bulk.request(idle.ledger, Action.DELETE, ids, by="bo", shown="state:canceled").job

    def cursor() -> int:
        return whole(idle.ledger.redis.hget(keys.bulk_outcome(job), "cursor"))

    process = idle.start_pool(1)
    try:
        pool = psutil.Process(process.pid)
        wait_until(cursor, what="the first portion")
        for horse in horses(pool):
            horse.kill()
        assert 0 < cursor() < JOBS, "it was to be killed in the middle"
        row = idle.ended(job)
    finally:
        process.terminate()
        process.wait(30)
    assert (row.state, row.step_description) == (State.COMPLETED, "2,000 deleted.")
    assert row.attempt > 1
    assert [one.id for one in monitor.page(idle.ledger, limit=10)[0]] == [job]
    rows, _ = activity.matching(idle.ledger, activity.Wanted(by="bo", action="delete"), limit=2 * JOBS)
    assert Counter(one.subject for one in rows) == Counter(ids), "one row for each, in the name of who asked"
