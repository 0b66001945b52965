"""What the ledger's readers hand out: frozen rows, decoded once, safe to share between threads.

A field that is missing or garbled in Redis becomes its empty value: a corrupt row is shown as it is and
never raises in a reader.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tasks.ledger.states import FINAL, Action, DocumentState, State


def text(value: Any) -> str:
    """Bytes from Redis, or a value out of its JSON, as text; what is no UTF-8 is shown replaced."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    try:
        told = str(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or lists in lists
        return ""
    # JSON may hold half a surrogate pair, which no page and no file takes.
    return told if told.isascii() else told.encode("utf-8", "replace").decode()


def loaded(raw: Any) -> Any:
    """JSON from Redis, decoded; None for what is none, or too deep to be meant."""
    try:
        return json.loads(raw)
    except (ValueError, TypeError, RecursionError):
        return None


def fields_of(raw: Any) -> dict[str, Any]:
    """A JSON object from Redis; empty for anything else."""
    found = loaded(raw)
    return found if isinstance(found, dict) else {}


def number(value: Any, default: float = 0.0) -> float:
    """A number from Redis, or the default when there is none."""
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        return default
    return result if result == result and abs(result) != float("inf") else default


def whole(value: Any) -> int:
    """A whole number from Redis, of the 64 bits that it counts with; 0 when there is none."""
    return max(-(2**63), min(2**63 - 1, int(number(value))))


def moment(value: Any) -> datetime | None:
    """Epoch seconds as an aware UTC time."""
    seconds = number(value)
    if seconds <= 0 or seconds > 253_402_300_799:
        return None
    return datetime.fromtimestamp(seconds, UTC)


@dataclass(frozen=True, slots=True)
class StopReceipt:
    """What became of a request to stop: asked, stopped, how, and how long it took."""

    asked_at: datetime
    asked_by: str
    forced: bool
    stopped_at: datetime | None
    how: str  # "" while it goes on; else "before it started", "at a checkpoint", "by killing its work horse", ...
    took_s: float | None


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as a reader sees it. Times are aware UTC, durations seconds, percent 0 to 100."""

    id: str
    state: State
    title: str
    collection: str
    owner: str
    kind: str
    priority: str
    stage: str
    current_step: int
    total_steps: int
    step_description: str
    percent: float
    documents_total: int
    documents_done: int
    documents_failed: int
    documents_cached: int
    chunks: int
    attempt: int
    worker: str
    created_at: datetime | None
    started_at: datetime | None
    last_updated: datetime | None
    ended_at: datetime | None
    error: str
    snapshot: str
    revision: int
    recipe: str = ""  # JSON of tasks.recipe.Recipe
    sync: str = ""  # "careful" or "yes": the publish also removes documents that this job does not name
    arguments: str = ""  # JSON of what a job that is no ingest was asked, checked by its kind
    progressed_at: datetime | None = None  # when work, documents or stage moved last
    time_limit_s: float = 0.0  # how long an attempt may run; 0: no limit
    document_limit_s: float = 0.0  # how long one document may take; 0: as the settings say
    stop: StopReceipt | None = None

    @property
    def final(self) -> bool:
        return self.state in FINAL

    def elapsed_s(self, now: datetime) -> float | None:
        """Seconds since the attempt started, up to its end; None before it starts."""
        if self.started_at is None:
            return None
        return max(0.0, ((self.ended_at or now) - self.started_at).total_seconds())

    def left_s(self, now: datetime) -> float | None:
        """Seconds left at the pace so far; None while that cannot be told (under 2 percent or 2 s)."""
        elapsed = self.elapsed_s(now)
        if self.state is not State.RUNNING or elapsed is None or elapsed < 2 or self.percent < 2:
            return None
        return elapsed * (100.0 - self.percent) / self.percent


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """One document of a job. `seconds` is the time its ingestion took; `chunks` what it gave."""

    number: int
    name: str
    size_bytes: int
    state: DocumentState
    error: str
    chunks: int
    cached: bool
    sha256: str
    path: str  # where the server reads it from; empty once its bytes are saved as sha256
    seconds: float
    tries: int
    attempt: int = 0  # attempt of the job that it ended in


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line of a job's event log, oldest first."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage of a job: first entered, last left, and the work in it over all workers, in seconds."""

    stage: str
    started_at: datetime
    ended_at: datetime
    work_s: float


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One RQ worker process. `heartbeat_age_s` is seconds since it last reported."""

    name: str
    host: str
    pid: int
    state: str
    queues: tuple[str, ...]
    job: str  # id of our job that it works on, "" while idle
    heartbeat_age_s: float
    done: int
    failed: int
    pool: str = ""
    document: str = ""  # name of the document in hand, "" while there is none
    stage: str = ""
    cpu_percent: float = 0.0  # of one core, over the worker and all that it started, since its last report
    rss_bytes: int = 0  # of the worker and all that it started
    documents_a_minute: float = 0.0  # over the last minute
    drained: bool = False  # ends what it has in hand and takes nothing more
    written_off: bool = False  # ends itself without writing, should it ever wake


@dataclass(frozen=True, slots=True)
class PoolRow:
    """The workers of one start of `python -m workers`. `low` < `high`: it sizes itself between the two."""

    name: str
    host: str
    size: int  # workers that take work now
    wanted: int
    low: int
    high: int
    heartbeat_age_s: float
    alive: bool


@dataclass(frozen=True, slots=True)
class Paused:
    """Who paused a queue, when and why."""

    by: str
    at: datetime | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """The line of figures above the board. Counts are jobs; `oldest_wait_s` None while nothing waits."""

    queued: int = 0
    running: int = 0
    done_today: int = 0
    failed_today: int = 0
    workers_alive: int = 0
    oldest_wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """What documents of one file ending took, in sums: documents, bytes, chunks, seconds of one worker."""

    documents: float
    bytes: float
    chunks: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Gates:
    """What a publish to a collection must pass; the defaults let everything through."""

    max_failed_percent: float = 100.0
    min_documents: int = 0

    @property
    def open(self) -> bool:
        return self.max_failed_percent >= 100 and self.min_documents <= 0

    def holds(self, *, failed: int, total: int, documents: int) -> str:
        """Why a job with so many failures, whose snapshot would hold so many documents, is held back; else ''."""
        share = 100 * failed / total if total else 0.0
        if share > self.max_failed_percent:
            return f"{share:.0f} percent of its documents failed and at most {self.max_failed_percent:g} may"
        if documents < self.min_documents:
            return f"it would hold {documents} of the {self.min_documents} documents that must be there at least"
        return ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to an action: what was done to which job, in a sentence.

    That of a stop also tells what is known of it so far; `monitor.receipt` gives it again once it is confirmed.
    """

    job: str
    action: str
    state: State
    sentence: str
    asked_at: datetime | None = None
    stopped_at: datetime | None = None  # None: it has not stopped yet
    how: str = ""  # as in StopReceipt
    kept: str = ""  # sentence: what stays of it
    resume: str = ""  # sentence: what a retry would cost

    @property
    def confirmed(self) -> bool:
        """Whether the stop that was asked for is known to have happened."""
        return self.stopped_at is not None


@dataclass(frozen=True, slots=True)
class Refused:
    """One of many jobs that did not take an action, with the sentence why."""

    job: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of an action on many jobs."""

    action: Action
    done: tuple[Receipt, ...] = ()
    refused: tuple[Refused, ...] = ()


def job_row(job_id: str, fields: Mapping[Any, Any], stop: StopReceipt | None = None) -> JobRow:
    """Decode a job hash; unknown states read as failed with the reason in `error`."""

    def get(name: str) -> Any:
        return fields.get(name.encode())

    error = text(get("error"))
    try:
        state = State(text(get("state")))
    except ValueError:
        state, error = State.FAILED, error or "The record of this job is damaged."
    return JobRow(
        id=job_id,
        state=state,
        title=text(get("title")),
        collection=text(get("collection")),
        owner=text(get("owner")),
        kind=text(get("kind")),
        priority=text(get("priority")),
        stage=text(get("stage")),
        current_step=whole(get("current_step")),
        total_steps=whole(get("total_steps")),
        step_description=text(get("step_description")),
        percent=min(100.0, max(0.0, number(get("percent")))),
        documents_total=whole(get("documents_total")),
        documents_done=whole(get("documents_done")),
        documents_failed=whole(get("documents_failed")),
        documents_cached=whole(get("documents_cached")),
        chunks=whole(get("chunks")),
        attempt=whole(get("attempt")),
        worker=text(get("worker")),
        created_at=moment(get("created_at")),
        started_at=moment(get("started_at")),
        last_updated=moment(get("last_updated")),
        ended_at=moment(get("ended_at")),
        error=error,
        snapshot=text(get("snapshot")),
        revision=whole(get("revision")),
        recipe=text(get("recipe")),
        sync=text(get("sync")),
        arguments=text(get("arguments")),
        progressed_at=moment(get("progressed_at")),
        time_limit_s=max(0.0, number(get("time_limit_s"))),
        document_limit_s=max(0.0, number(get("document_limit_s"))),
        stop=stop or _stop_of(fields),
    )


def _stop_of(fields: Mapping[Any, Any]) -> StopReceipt | None:
    asked = moment(fields.get(b"stop_asked_at"))
    if asked is None:
        return None
    stopped = moment(fields.get(b"stopped_at"))
    return StopReceipt(
        asked_at=asked,
        asked_by=text(fields.get(b"stop_asked_by")),
        forced=text(fields.get(b"stop_forced")) == "1",
        stopped_at=stopped,
        how=text(fields.get(b"stop_how")),
        took_s=max(0.0, (stopped - asked).total_seconds()) if stopped else None,
    )
