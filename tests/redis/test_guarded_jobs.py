"""What RQ's own housekeeping may be made to call: whoever can write to Redis puts a job among the abandoned ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rq import Queue
from rq.job import Job, JobStatus
from rq.registry import StartedJobRegistry, clean_registries
from rq.serializers import JSONSerializer

from tasks import settings as settings_of
from tasks.ledger import Ledger, keys
from tests.rq_functions import after_failure, note

pytest.importorskip("workers.guarded")
from workers.guarded import guarded

CALLED = f"{after_failure.__module__}.{after_failure.__name__}"


def abandoned(ledger: Ledger, path: Path) -> None:
    """A job that stands as started, and whose worker is long gone."""
    job = Job.create(
        note,
        args=(str(path), "x"),
        connection=ledger.redis,
        serializer=JSONSerializer,
        origin="default",
        status=JobStatus.STARTED,
    )
    job._failure_callback_name = CALLED
    job.save()
    ledger.redis.zadd(keys.rq_registry("started", "default"), {f"{job.id}:execution": 1})


def housekeeping(ledger: Ledger, job_class: type[Job]) -> None:
    clean_registries(Queue("default", connection=ledger.redis, serializer=JSONSerializer, job_class=job_class))


@pytest.mark.parametrize("named", [(), (CALLED,)], ids=["not named", "named"])
def test_the_callback_of_an_abandoned_job_runs_only_when_the_operator_named_it(
    ledger: Ledger, tmp_path: Path, named: tuple[str, ...]
) -> None:
    path = tmp_path / "called"
    abandoned(ledger, path)
    settings = settings_of.read(data=tmp_path, redis_url="redis://unused", rq_functions=named)
    housekeeping(ledger, guarded(settings))
    assert path.exists() is bool(named)
    registry = StartedJobRegistry("default", connection=ledger.redis)
    assert registry.get_job_count(cleanup=False) == 0


def test_rq_alone_would_call_it(ledger: Ledger, tmp_path: Path) -> None:
    """What the guard is for; when RQ changes that, the guard may go."""
    path = tmp_path / "called"
    abandoned(ledger, path)
    housekeeping(ledger, Job)
    assert path.exists()


def test_nothing_is_posted_to_an_address(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("rq.webhook.Webhook.send", lambda *given, **more: asked.append(given))
    settings = settings_of.read(data=tmp_path, redis_url="redis://unused")
    hooks = b'[{"url": "http://127.0.0.1:1/", "job_status": "failed"}]'
    for job_class in (Job, guarded(settings)):
        job = job_class.create(note, args=("x", "y"), connection=ledger.redis, serializer=JSONSerializer)
        job.save()
        ledger.redis.hset(keys.rq_job(job.id), "webhooks", hooks)
        found = job_class.fetch(job.id, connection=ledger.redis, serializer=JSONSerializer)
        found.send_webhooks(JobStatus.FAILED)
        assert len(asked) == 1
