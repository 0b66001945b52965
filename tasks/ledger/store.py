"""What a worker writes: claim a shard, report and check, settle it, close the job.

Every function here is one round trip to one script; the attempt number that a claim gives is the fence
that keeps a zombie of an older attempt from writing.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import redis

from tasks.errors import Canceled, Fenced, HandedBack
from tasks.ledger import keys
from tasks.ledger.connection import Ledger
from tasks.ledger.records import DocumentRow, fields_of, loaded, number, text, whole
from tasks.ledger.states import DocumentState
from tasks.ledger.trouble import passes

PUBLISH = "publish"
REPORT_INTERVAL_S = 0.1
AWAY_INTERVAL_S = 1.0  # between reports while Redis is away
EVENTS_HELD = 100  # while Redis is away; the first ones tell more than the last
Outcome = Literal["done", "canceled", "released", "yielded", "lost", "overdue"]


def new_rq_id() -> str:
    """An id for one delivery of one shard through RQ."""
    return secrets.token_hex(12)


@dataclass(frozen=True, slots=True)
class Claim:
    """A shard that is ours until we settle it. `work` is thousandths of documents already counted for it."""

    job: str
    shard: str
    attempt: int
    worker: str
    work: int
    documents: tuple[DocumentRow, ...]
    token: str = ""  # of this one claim: a server that lost its last second may give the same attempt out again

    @property
    def fence(self) -> str:
        """What the scripts ask for before this claim may write."""
        return f"{self.attempt}:{self.token}" if self.token else str(self.attempt)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A shard that is to be handed to RQ now."""

    job: str
    shard: str
    rq_id: str


def document_row(index: int, raw: bytes | str) -> DocumentRow:
    """Decode one document of a job; a garbled row reads as failed."""
    data: Any = loaded(raw)
    if not isinstance(data, dict):
        data = {"state": "failed", "error": "The record of this document is damaged."}
    try:
        state = DocumentState(text(data.get("state")))
    except ValueError:
        state = DocumentState.FAILED
    return DocumentRow(
        number=index,
        name=text(data.get("name")),
        size_bytes=whole(data.get("size_bytes")),
        state=state,
        error=text(data.get("error")),
        chunks=whole(data.get("chunks")),
        cached=data.get("cached") is True,
        sha256=text(data.get("sha256")),
        path=text(data.get("path")),
        seconds=number(data.get("seconds")),
        tries=whole(data.get("tries")),
        attempt=whole(data.get("attempt")),
    )


def delivery_of(ledger: Ledger, job_id: str, shard: str) -> str:
    """The RQ id under which a shard was handed out last; empty when it was not."""
    return text(fields_of(ledger.redis.hget(keys.shards(job_id), shard)).get("rq_id"))


def claim(ledger: Ledger, job_id: str, shard: str, rq_id: str, worker: str) -> Claim | None:
    """Take a shard; None when this delivery is not, or no longer, the current one."""
    token = secrets.token_hex(6)
    reply = ledger.transition(
        "claim", job_id, shard, rq_id, worker, ledger.settings.lease_s, token, extra=(keys.LIMITED, keys.WRITTEN_OFF)
    )
    if reply[0] != "ok":
        return None
    row = json.loads(reply[2])
    pairs = reply[3:]
    documents = tuple(document_row(int(pairs[at]), pairs[at + 1]) for at in range(0, len(pairs), 2))
    return Claim(job_id, shard, int(reply[1]), worker, int(row.get("work", 0)), documents, token)


def settle(
    ledger: Ledger,
    job_id: str,
    shard: str,
    attempt: int | str,
    outcome: Outcome,
    *,
    how: str = "",
    document: int | None = None,
    delay_s: float = 0.0,
) -> Delivery | None:
    """A shard leaves its worker. The delivery to hand to RQ now, if one follows.

    `attempt` is the number, or the fence of the claim for who has one. `how` tells how it stopped, why it was lost, or
    why the document fails that was overdue; `document` is the number of the document in hand then. Raises Fenced when
    another attempt owns the shard.
    """
    reply = ledger.transition(
        "settle",
        job_id,
        shard,
        attempt,
        outcome,
        how,
        new_rq_id(),
        ledger.settings.shard_tries,
        "" if document is None else document,
        delay_s,
    )
    if reply[0] == "fenced":
        raise Fenced(job=job_id, attempt=str(attempt).partition(":")[0])
    return Delivery(job_id, reply[1], reply[2]) if reply[0] == "enqueue" else None


def close(
    ledger: Ledger, job_id: str, attempt: int | str, *, snapshot: str = "", error: str = "", done: str = ""
) -> str:
    """End a job after its last step; the final state. `done` says what a job that is no ingest did. Raises Fenced."""
    reply = ledger.transition("close", job_id, attempt, snapshot, error, done)
    if reply[0] == "fenced":
        raise Fenced(job=job_id, attempt=str(attempt).partition(":")[0])
    return reply[1]


def extend_lease(ledger: Ledger, job_id: str, shard: str, rq_id: str) -> bool:
    """The worker's parent says that a delivery is still in hand. False when the shard is another's by now.

    It also ends a job that is past its time limit, should its work horse not report.
    """
    return ledger.transition("lease", job_id, shard, rq_id, ledger.settings.lease_s)[0] == "ok"


@dataclass
class Reporter:
    """Reports of one claim, held to ten a second over all workers of the job, with the cancel check in each.

    News is gathered and sent when it is due; `check` is what the ingestion loop calls between stages and
    batches. It raises Canceled, Fenced or HandedBack, and then nothing more may be written.
    """

    ledger: Ledger
    claim: Claim
    draining: Callable[[], bool] = lambda: False
    _next: float = 0.0
    waiting: int = 0  # jobs that waited for a worker at the last report
    finished: int = 0  # documents of this claim that have ended
    _fraction: float = 0.0
    _stage: str = ""
    _stage_since: float = field(default_factory=time.monotonic)
    _description: str = ""
    _documents: dict[int, dict[str, Any]] = field(default_factory=dict)
    _stages: dict[str, tuple[float, float, float]] = field(default_factory=dict)  # work, first in, last out
    _events: list[str] = field(default_factory=list)
    _away_since: float = 0.0

    def stage(self, name: str, description: str) -> None:
        """Enter a stage; the time since the last one is counted to that."""
        self._clock()
        self._stage = name
        self._description = description

    def progress(self, fraction: float) -> None:
        """How much of the document (or publish) in hand is done, 0 to 1."""
        self._fraction = min(1.0, max(0.0, fraction))

    def document(self, index: int, state: DocumentState, **news: Any) -> None:
        """What became of a document: error, chunks, cached, seconds, sha256, path."""
        self._documents.setdefault(index, {}).update(state=state.value, **news)
        if state in (DocumentState.COMPLETED, DocumentState.FAILED):
            self.finished += 1
            self._fraction = 0.0

    def event(self, sentence: str) -> None:
        """Something that a person would note; sent with the next report."""
        if not self._away_since or len(self._events) < EVENTS_HELD:
            self._events.append(sentence)

    def check(self, *, now: bool = False, commit: bool = False) -> None:
        """Send what is due and learn whether to go on. `commit` asks for the point of no return."""
        due = time.monotonic()
        if due < self._next and not (now or commit):
            if self.draining():
                now = True
            else:
                return
        self._clock()
        try:
            # What cannot go on without the answer waits for it as long as the client does.
            with nullcontext() if now or commit else self.ledger.hurried():
                reply = self.ledger.transition(
                    "report",
                    self.claim.job,
                    self.claim.shard,
                    self.claim.fence,
                    self.ledger.settings.lease_s,
                    self._body(),
                    "1" if commit else "0",
                )
        except redis.RedisError as error:
            # The work goes on without Redis for a while: the news is kept and sent when it is back.
            self._away_since = self._away_since or due
            if now or commit or not passes(error) or due - self._away_since > self.ledger.settings.redis_patience_s:
                raise
            self._next = due + AWAY_INTERVAL_S
            return
        self._away_since = 0.0
        self._documents.clear()
        self._stages.clear()
        self._events.clear()
        if reply[0] == "fenced":
            raise Fenced(job=self.claim.job, attempt=self.claim.attempt)
        if reply[0] == "cancel":
            raise Canceled(job=self.claim.job)
        self.waiting = int(reply[2])
        self._next = due + REPORT_INTERVAL_S
        if self.draining() and not commit:
            raise HandedBack(job=self.claim.job)

    def _clock(self) -> None:
        moment = time.monotonic()
        if self._stage:
            work, first, _ = self._stages.get(self._stage, (0.0, self._stage_since, 0.0))
            self._stages[self._stage] = (work + moment - self._stage_since, first, moment)
        self._stage_since = moment

    def _body(self) -> str:
        now = time.monotonic()
        work = self.claim.work + self.finished * 1000 + int(self._fraction * 1000)
        return json.dumps(
            {
                "stage": self._stage,
                "description": self._description,
                "work": work,
                "documents": [[index, news] for index, news in self._documents.items()],
                "stages": [
                    [name, spent, now - first, now - last] for name, (spent, first, last) in self._stages.items()
                ],
                "events": self._events,
            }
        )
