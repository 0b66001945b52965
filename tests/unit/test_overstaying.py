"""When a parent ends its work horse for taking too long: by the limit of the shard, and by that of the document."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("workers.worker")
from tasks import settings as settings_of
from tasks.ingest import run
from workers.worker import OVER_S, IngestWorker

SHARD_S = 600


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why work horses were killed."""
    reasons: list[str] = []

    def kill(worker: IngestWorker, why: str) -> None:
        reasons.append(why)
        worker._killed_for = why

    monkeypatch.setattr(IngestWorker, "_kill", kill)
    monkeypatch.setattr(run, "in_hand", run.InHand())
    return reasons


@pytest.fixture
def worker() -> IngestWorker:
    """One with a shard in hand, of whose work horse nothing is heard; without a connection."""
    made = object.__new__(IngestWorker)
    made.ledger = SimpleNamespace(settings=settings_of.read(data="/nonexistent", cancel_grace_s=1.0))  # type: ignore[assignment]
    made._killed_for, made._delivery = "", ("j", "0", "d1")
    return made


def look(worker: IngestWorker, working_s: float) -> None:
    job: Any = SimpleNamespace(timeout=SHARD_S)
    worker._end_what_overstays(job, working_s)


def test_a_shard_that_does_not_even_take_its_alarm_is_ended(worker: IngestWorker, killed: list[str]) -> None:
    look(worker, SHARD_S + OVER_S - 1)
    assert killed == []
    for _ in range(2):
        look(worker, SHARD_S + OVER_S + 1)
    assert killed == ["limit"]


def test_a_document_has_its_limit_and_the_grace(
    worker: IngestWorker, killed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    run.in_hand.set(3, 5.0)
    for later, expected in ((5.9, []), (6.1, ["document"])):
        monkeypatch.setattr(time, "monotonic", lambda later=later: now + later)
        look(worker, later)
        assert killed == expected


def test_a_document_without_a_limit_or_that_has_ended_is_not_overdue(
    worker: IngestWorker, killed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    run.in_hand.set(3)
    monkeypatch.setattr(time, "monotonic", lambda: now + 3600)
    look(worker, 60)
    run.in_hand.set(4, 5.0)
    run.in_hand.end_one()
    monkeypatch.setattr(time, "monotonic", lambda: now + 7200)
    look(worker, 60)
    assert killed == []
