"""The publish lock of a collection, on both kinds of server."""

from __future__ import annotations

from tasks.ledger import Ledger, locks, monitor
from tasks.ledger.states import State
from tasks.recovery import recover
from tests.factories import run_to_publish, submitted


def test_one_publisher_at_a_time(ledger: Ledger) -> None:
    first = locks.acquire(ledger, "c")
    assert first is not None
    assert locks.acquire(ledger, "c") is None
    assert locks.acquire(ledger, "other") is not None
    assert first.release()
    second = locks.acquire(ledger, "c")
    assert second is not None
    assert second.fence > first.fence


def test_a_lock_that_went_to_another_can_be_neither_renewed_nor_released(ledger: Ledger) -> None:
    first = locks.acquire(ledger, "c")
    assert first is not None
    first.release()
    second = locks.acquire(ledger, "c")
    assert second is not None
    assert not first.renew()
    assert not first.release()
    assert second.renew()


def test_a_publisher_that_died_keeps_nobody_waiting(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claim = run_to_publish(ledger, job_id)
    assert claim is not None
    assert locks.acquire(ledger, "contracts", locks.holder(job_id, claim.attempt)) is not None
    recover(ledger, job_id, claim.shard, claim.attempt, reason="it was killed")
    assert monitor.job(ledger, job_id).state is State.RETRYING
    assert locks.acquire(ledger, "contracts") is not None
