"""The doors to what does the work: workers, pools, queues, and the RQ jobs of other programs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from dashboard.api.door import Asked, Door, Said
from tasks.access import Right
from tasks.ledger import control, fleet, foreign
from tasks.ledger.control.foreign import ForeignReceipt
from tasks.ledger.foreign_rows import ForeignJob, RegistryPage
from tasks.settings import QUEUES
from tasks.telling import plain

Registry = Literal["queued", "started", "failed", "finished", "deferred", "scheduled", "canceled"]
QUEUE = Field(min_length=1, max_length=200, description="an RQ queue, with its prefix")


class Sizing(Said):
    size: int = Field(ge=0, le=512, description="workers of the host")
    low: int = Field(default=0, ge=0, le=512, description="with high: it sizes itself, at least this")
    high: int = Field(default=0, ge=0, le=512, description="with low: it sizes itself, at most this")


class Pausing(Said):
    why: str = Field(default="", max_length=200, description="what others are told")


class Leafing(Said):
    queue: str = QUEUE
    registry: Registry = "queued"
    page: int = Field(default=1, ge=1, le=10_000_000)


class Of(Said):
    queue: str = QUEUE


class All(Said):
    queue: str = QUEUE
    registry: Registry


def workers(asked: Asked) -> dict[str, Any]:
    return {"workers": fleet.workers(asked.ledger), "pools": fleet.pools(asked.ledger)}


def drained(asked: Asked) -> dict[str, str]:
    return {"sentence": control.drain(asked.ledger, asked.path["worker"])}


def undrained(asked: Asked) -> dict[str, str]:
    return {"sentence": control.undrain(asked.ledger, asked.path["worker"])}


def written_off(asked: Asked) -> dict[str, str]:
    return {"sentence": control.write_off(asked.ledger, asked.path["worker"])}


def scaled(asked: Asked) -> dict[str, str]:
    said = asked.says(Sizing)
    return {"sentence": control.scale(asked.ledger, asked.path["host"], said.size, low=said.low, high=said.high)}


def queues(asked: Asked) -> dict[str, Any]:
    """All RQ queues of the Redis; `priority` is our name for one of ours, which pause and resume take."""
    found = foreign.overview(asked.ledger)
    priorities = dict(zip((row.name for row in found.rows if row.ours), QUEUES, strict=False))
    rows = [{**plain(row), "priority": priorities.get(row.name)} for row in found.rows]
    return {"queues": rows, "total": found.total, "suspended": found.suspended}


def paused(asked: Asked) -> dict[str, str]:
    return {"sentence": control.pause(asked.ledger, asked.path["queue"], why=asked.says(Pausing).why)}


def resumed(asked: Asked) -> dict[str, str]:
    return {"sentence": control.resume(asked.ledger, asked.path["queue"])}


def foreign_jobs(asked: Asked) -> RegistryPage:
    wanted = asked.asks(Leafing)
    return foreign.page(asked.ledger, wanted.queue, wanted.registry, wanted.page)


def foreign_job(asked: Asked) -> ForeignJob:
    return foreign.job(asked.ledger, asked.path["id"])


def foreign_requeued(asked: Asked) -> ForeignReceipt:
    return control.requeue_foreign(asked.ledger, asked.says(Of).queue, asked.path["id"])


def foreign_stopped(asked: Asked) -> ForeignReceipt:
    return control.stop_foreign(asked.ledger, asked.path["id"])


def foreign_deleted(asked: Asked) -> ForeignReceipt:
    return control.delete_foreign(asked.ledger, asked.says(Of).queue, asked.path["id"])


def foreign_all_requeued(asked: Asked) -> ForeignReceipt:
    said = asked.says(All)
    return control.move_foreign(asked.ledger, "requeue", said.queue, said.registry)


def foreign_all_deleted(asked: Asked) -> ForeignReceipt:
    said = asked.says(All)
    return control.move_foreign(asked.ledger, "delete", said.queue, said.registry)


ONE, SOME = {"queue": "theirs"}, {"queue": "theirs", "registry": "failed"}
DOORS = [
    Door("GET", "/workers", Right.SEE, workers, "The workers alive and their pools"),
    Door("POST", "/workers/{worker}/drain", Right.DRAIN, drained, "Let a worker end what it has and take no more"),
    Door("POST", "/workers/{worker}/undrain", Right.DRAIN, undrained, "Let a drained worker take work again"),
    Door("POST", "/workers/{worker}/write-off", Right.WRITE_OFF, written_off, "Give up a worker that does not answer"),
    Door(
        "POST",
        "/hosts/{host}/scale",
        Right.SCALE,
        scaled,
        "Set how many workers a host has",
        body=Sizing,
        example={"size": 2},
    ),
    Door("GET", "/queues", Right.SEE, queues, "The RQ queues of this Redis, ours first"),
    Door(
        "POST",
        "/queues/{queue}/pause",
        Right.PAUSE,
        paused,
        "Start nothing more of a queue",
        body=Pausing,
    ),
    Door("POST", "/queues/{queue}/resume", Right.PAUSE, resumed, "Let a paused queue go on"),
    Door("GET", "/foreign-jobs", Right.SEE, foreign_jobs, "The RQ jobs of one registry of a queue", query=Leafing),
    Door("GET", "/foreign-jobs/{id}", Right.SEE, foreign_job, "One RQ job of another program"),
    Door(
        "POST",
        "/foreign-jobs/{id}/requeue",
        Right.REQUEUE_FOREIGN,
        foreign_requeued,
        "Run such a job again",
        body=Of,
        example=ONE,
    ),
    Door("POST", "/foreign-jobs/{id}/stop", Right.STOP_FOREIGN, foreign_stopped, "Ask its worker to stop such a job"),
    Door(
        "POST",
        "/foreign-jobs/{id}/delete",
        Right.DELETE_FOREIGN,
        foreign_deleted,
        "Delete such a job",
        body=Of,
        example=ONE,
    ),
    Door(
        "POST",
        "/foreign-jobs/requeue",
        Right.REQUEUE_FOREIGN,
        foreign_all_requeued,
        "Run a registry again",
        body=All,
        example=SOME,
    ),
    Door(
        "POST",
        "/foreign-jobs/delete",
        Right.DELETE_FOREIGN,
        foreign_all_deleted,
        "Delete what a registry holds",
        body=All,
        example=SOME,
    ),
]
