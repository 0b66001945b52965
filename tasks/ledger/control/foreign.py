"""What a person may do to an RQ job of another program: requeue, stop, delete; each with its audit row.

RQ's own data structures are written and nothing of a job is decoded. Deliveries of our own jobs are refused:
the ledger alone moves them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from tasks.access import Right
from tasks.errors import ForeignActionRefused, ForeignJobNotFound
from tasks.ledger import foreign, keys
from tasks.ledger.connection import Ledger
from tasks.ledger.control.audit import record
from tasks.ledger.control.permission import permit
from tasks.ledger.records import text

Move = Literal["requeue", "delete"]

RIGHTS: dict[Move, Right] = {"requeue": Right.REQUEUE_FOREIGN, "delete": Right.DELETE_FOREIGN}
PAST = {"requeue": "requeued", "delete": "deleted", "stop": "stopped"}
MANY = 10_000  # jobs that one request moves at most
BATCH = 200  # of them in one step: other clients of the Redis wait for that long


@dataclass(frozen=True, slots=True)
class ForeignReceipt:
    """What was done to RQ jobs of a queue: how many, and the sentence of the audit row."""

    queue: str
    action: str
    done: int
    refused: int
    sentence: str


def requeue_foreign(ledger: Ledger, queue: str, rq_id: str, *, by: str = "") -> ForeignReceipt:
    """Put a failed or canceled RQ job back into its queue. Raises ForeignActionRefused or ForeignJobNotFound."""
    return _one(ledger, "requeue", queue, rq_id, by)


def delete_foreign(ledger: Ledger, queue: str, rq_id: str, *, by: str = "") -> ForeignReceipt:
    """Delete an RQ job with all that RQ keeps of it. Raises ForeignActionRefused or ForeignJobNotFound."""
    return _one(ledger, "delete", queue, rq_id, by)


def stop_foreign(ledger: Ledger, rq_id: str, *, by: str = "") -> ForeignReceipt:
    """Ask the worker of an RQ job to stop it; `foreign.standing` tells what became of it.

    Raises ForeignActionRefused when it does not run or nobody hears the command, or ForeignJobNotFound.
    """
    by = permit(ledger, Right.STOP_FOREIGN, rq_id, by=by, action="stop RQ job")
    found = foreign.job(ledger, rq_id)
    if found.ours:
        raise _refused(ledger, rq_id, "stop", f"ours:{foreign.owner_of(found.description)}", by)
    if found.status != "started" or not found.worker:
        raise _refused(ledger, rq_id, "stop", f"state:{found.status}", by)
    order = json.dumps({"command": "stop-job", "job_id": rq_id})
    heard = int(ledger.redis.publish(keys.rq_commands(found.worker), order))
    if not heard:
        raise _refused(ledger, rq_id, "stop", f"deaf:{found.worker}", by)
    sentence = f"Worker {found.worker} was asked to stop the RQ job {rq_id} of {found.queue}."
    record(ledger, "stop RQ job", rq_id, by=by, result=sentence)
    return ForeignReceipt(found.queue, "stop", 1, 0, sentence)


def move_foreign(
    ledger: Ledger, action: Move, queue: str, registry: str, *, by: str = "", most: int = MANY
) -> ForeignReceipt:
    """Requeue or delete what one registry of a queue holds now, `most` at most. What cannot be stays.

    Atomic for each job, not for all of them: workers go on meanwhile.
    """
    by = permit(ledger, RIGHTS[action], queue, by=by, action=f"{action} RQ jobs")
    source = keys.rq_queue(queue) if registry == "queued" else keys.rq_registry(registry, queue)
    read = ledger.redis.lrange if registry == "queued" else ledger.redis.zrange
    ids = read(source, 0, most - 1)
    return _many(ledger, action, queue, [text(rq_id) for rq_id in ids], registry, by)


def _many(ledger: Ledger, action: Move, queue: str, rq_ids: Sequence[str], registry: str, by: str) -> ForeignReceipt:
    answers: Counter[str] = Counter()
    for start in range(0, len(rq_ids), BATCH):
        for answer in _ask(ledger, action, queue, rq_ids[start : start + BATCH]):
            answers[answer.partition(":")[0]] += 1
    done = answers.pop("ok", 0)
    left = sum(answers.values())
    sentence = f"{done:,} {registry} RQ jobs of {queue} were {PAST[action]}."
    if left:
        reasons = ", ".join(f"{count:,} {WHY_MANY.get(why, why)}" for why, count in answers.most_common())
        sentence = f"{sentence[:-1]}; {left:,} were not: {reasons}."
    record(ledger, f"{action} RQ jobs", queue, by=by, result=sentence)
    return ForeignReceipt(queue, action, done, left, sentence)


def _one(ledger: Ledger, action: Move, queue: str, rq_id: str, by: str) -> ForeignReceipt:
    by = permit(ledger, RIGHTS[action], rq_id, by=by, action=f"{action} RQ job")
    (answer,) = _ask(ledger, action, queue, [rq_id])
    if answer == "gone":
        raise ForeignJobNotFound(job=rq_id)
    if answer != "ok":
        raise _refused(ledger, rq_id, action, answer, by)
    to = f" and waits in {queue}" if action == "requeue" else f" from {queue}"
    sentence = f"The RQ job {rq_id} was {PAST[action]}{to}."
    record(ledger, f"{action} RQ job", rq_id, by=by, result=sentence)
    return ForeignReceipt(queue, action, 1, 0, sentence)


def _ask(ledger: Ledger, action: Move, queue: str, rq_ids: Sequence[str]) -> list[str]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    reply = ledger.run(
        "foreign_act",
        [
            keys.rq_queue(queue),
            keys.rq_intermediate(queue),
            *(keys.rq_registry(registry, queue) for registry in foreign.REGISTRIES[1:]),
            keys.RQ_QUEUES,
        ],
        [action, queue, now, *keys.RQ_PREFIXES, keys.job(""), *rq_ids],
    )
    return [text(answer) for answer in reply]


WHY_MANY = {
    "gone": "gone meanwhile",
    "damaged": "damaged",
    "elsewhere": "of another queue",
    "ours": "parts of jobs on the board",
    "state": "in another state by now",
    "started": "running",
}


def _refused(ledger: Ledger, rq_id: str, action: str, answer: str, by: str) -> ForeignActionRefused:
    kind, _, what = answer.partition(":")
    reasons = {
        "damaged": "its record holds no task, so that no worker could run it; delete it instead",
        "elsewhere": f"it belongs to the queue {what}",
        "ours": f"it is a part of the job {what} on the board; act on that job instead",
        "state": f"it is {what or 'in no state that RQ knows'}; only "
        + ("one that runs can be" if action == "stop" else "one that failed or was canceled can be"),
        "started": f"worker {what} runs it at this moment; stop it first",
        "deaf": f"worker {what} does not listen any more; RQ calls the job failed once its time is over",
    }
    error = ForeignActionRefused(job=rq_id, action=PAST[action], reason=reasons[kind])
    record(ledger, f"{action} RQ job", rq_id, by=by, result=str(error), outcome="refused")
    return error
