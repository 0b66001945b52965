"""What `tasks.ledger.foreign` hands out: frozen rows of RQ queues and jobs, safe to share between threads.

All text in them was written by other programs: whoever shows it escapes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tasks.ledger.records import Paused


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One RQ queue. Counts are jobs; `oldest_wait_s` is the longest wait among those at its head."""

    name: str
    ours: bool
    depth: int
    oldest_wait_s: float | None
    started: int
    failed: int
    finished: int
    deferred: int
    scheduled: int
    canceled: int
    consumers: int  # workers alive that listen to it
    paused: Paused | None = None  # None for those of other programs: RQ has no such thing

    def count(self, registry: str) -> int:
        """The number of jobs in one of REGISTRIES."""
        return self.depth if registry == "queued" else int(getattr(self, registry))


@dataclass(frozen=True, slots=True)
class Queues:
    """All queues: ours first, then by name. `suspended`: RQ's own switch rests every RQ worker of this Redis."""

    rows: tuple[QueueRow, ...]
    total: int
    suspended: bool


@dataclass(frozen=True, slots=True)
class ForeignRow:
    """One job in a list. `known` is false where only its entry is left; `at` is what the list is sorted by."""

    id: str
    known: bool
    openable: bool
    status: str
    description: str
    enqueued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    worker: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class RegistryPage:
    """A page of a queue's jobs in one registry; `first` is the rank of its first row."""

    queue: str
    registry: str
    rows: tuple[ForeignRow, ...]
    total: int
    first: int


@dataclass(frozen=True, slots=True)
class Link:
    """A job that this one depends on, or that depends on it; its status is '' when it is gone."""

    id: str
    status: str


@dataclass(frozen=True, slots=True)
class ForeignAttempt:
    """One run of a job, as its result stream tells it."""

    outcome: str
    ended_at: datetime | None
    started_at: datetime | None
    worker: str
    traceback: str


@dataclass(frozen=True, slots=True)
class ForeignJob:
    """One RQ job. Durations in seconds, None where RQ holds none; `lives_s` is the time until Redis forgets it."""

    id: str
    queue: str
    status: str
    registries: tuple[str, ...]  # where it stands, by the registries themselves
    ours: bool
    description: str
    created_at: datetime | None
    enqueued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    last_heartbeat: datetime | None
    due_at: datetime | None
    worker: str
    worker_alive: bool
    position: int | None  # 1 is next; None when it does not wait, or very deep
    timeout_s: float | None
    result_ttl_s: float | None
    failure_ttl_s: float | None
    ttl_s: float | None
    lives_s: float | None
    retries_left: int | None
    retries_done: int | None
    retry_intervals: str
    repeats_left: int | None
    repeat_intervals: str
    callbacks: tuple[tuple[str, str], ...]  # when, dotted name
    group: str
    data_bytes: int
    meta_keys: tuple[str, ...] | None  # None when they cannot be told
    dependencies: tuple[Link, ...]
    dependents: tuple[Link, ...]
    dependents_total: int
    attempts: tuple[ForeignAttempt, ...]  # newest first
    traceback: str
