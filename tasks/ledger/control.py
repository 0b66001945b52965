"""Every write that a person causes, with its audit row. Pages and CLI act through here alone.

Each function answers with a Receipt or raises an error that is a sentence; a lost race is such a sentence.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import redis

from tasks.errors import (
    ActionRefused,
    CollectionNameRefused,
    JobNotFound,
    SubmissionRefused,
    TooLateToCancel,
)
from tasks.ledger import keys, monitor, queues, store
from tasks.ledger.connection import Ledger
from tasks.ledger.records import Gates, Receipt, text
from tasks.ledger.states import Action, DocumentState, State, states_allowing
from tasks.recipe import Recipe
from tasks.settings import QUEUES

AUDIT_KEPT = 100_000
COLLECTION_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
INGEST = "ingest"
REBUILD = "rebuild"  # the documents of a collection again, under another recipe, in place of its snapshot
# A shard costs a fork and about ten round trips, 50 ms in all: many small documents share one.
SHARD_DOCUMENTS = 256
SHARD_BYTES = 4 * 1024 * 1024
SHARDS_A_WORKER = 4

PAST = {
    Action.CANCEL: "canceled",
    Action.FORCE_STOP: "force stopped",
    Action.RETRY: "retried",
    Action.DELETE: "deleted",
}


# Whether the publish removes what the job does not name: not, only below the brake, or however much it is.
Sync = Literal["", "careful", "yes"]


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to ingest: its bytes saved as `sha256`, or to be read by a worker from `path`.

    With `chunks` the current snapshot holds it already, as `sha256` and under the job's recipe: it is done.
    """

    name: str
    size_bytes: int
    sha256: str = ""
    path: str = ""
    chunks: int = 0


def submit(
    ledger: Ledger,
    *,
    collection: str,
    documents: Sequence[NewDocument],
    owner: str,
    recipe: Recipe,
    title: str = "",
    priority: str = "default",
    token: str = "",
    sync: Sync = "",
    kind: str = INGEST,
) -> Receipt:
    """Make a job of documents. The same token submits once, however often it is called.

    Raises CollectionNameRefused or SubmissionRefused; then nothing was written.
    """
    if not COLLECTION_NAME.fullmatch(collection):
        raise CollectionNameRefused(name=collection)
    if priority not in QUEUES:
        raise SubmissionRefused(reason=f"{priority!r} is no priority; use {', '.join(QUEUES)}")
    if not documents:
        raise SubmissionRefused(reason="no documents were given; add files or choose a folder that holds some")
    if len(documents) > ledger.settings.documents_max:
        raise SubmissionRefused(
            reason=f"{len(documents)} documents are more than the {ledger.settings.documents_max} that one job may "
            "hold; submit them in parts"
        )
    unique = _unique_names(documents)
    by = owner or "someone"
    fields = {
        "title": title or _title(unique),
        "collection": collection,
        "owner": by,
        "kind": kind,
        "priority": priority,
        "recipe": recipe.model_dump_json(),
        "sync": sync,
    }
    rows = [
        {
            "name": document.name,
            "size_bytes": document.size_bytes,
            "sha256": document.sha256,
            "path": document.path,
            **(
                {"state": DocumentState.COMPLETED.value, "chunks": document.chunks, "cached": True, "attempt": 1}
                if document.chunks
                else {"state": DocumentState.QUEUED.value}
            ),
        }
        for document in unique
    ]
    workers = len(monitor.worker_names(ledger))
    new = [number for number, document in enumerate(unique) if not document.chunks]
    shards = cut([unique[number].size_bytes for number in new], new, workers)
    job_id, created = _create(ledger, fields, rows, shards, token, workers=workers)
    if not created:
        return Receipt(job_id, "submit", State.QUEUED, f"These documents were submitted already, as job {job_id}.")
    sentence = f"Job {job_id} was submitted: {_counted(len(unique), 'document')} for {collection}."
    record(ledger, "submit", job_id, by=by, result=sentence)
    return Receipt(job_id, "submit", State.QUEUED, sentence)


def request(
    ledger: Ledger,
    *,
    kind: str,
    collection: str,
    arguments: str,
    owner: str,
    title: str,
    priority: str = "high",
    token: str = "",
    deliver: bool = True,
) -> Receipt:
    """Make a job without documents, such as an export: its kind's last step is all it does.

    `arguments` is JSON that the kind has checked. `deliver=False` leaves the work to the caller, who claims it at
    once; if the caller dies, the janitor gives it to a worker.
    """
    if collection and not COLLECTION_NAME.fullmatch(collection):
        raise CollectionNameRefused(name=collection)
    by = owner or "someone"
    fields = {
        "title": title,
        "collection": collection,
        "owner": by,
        "kind": kind,
        "priority": priority,
        "arguments": arguments,
    }
    job_id, created = _create(ledger, fields, [], [], token, deliver=deliver)
    sentence = f"Job {job_id} was submitted: {title}." if created else f"This was submitted already, as job {job_id}."
    if created:
        record(ledger, kind, job_id, by=by, result=sentence)
    return Receipt(job_id, "submit", State.QUEUED, sentence)


def _create(
    ledger: Ledger,
    fields: dict[str, str],
    rows: Sequence[Mapping[str, object]],
    shards: list[list[int]],
    token: str,
    *,
    workers: int = 1,
    deliver: bool = True,
) -> tuple[str, bool]:
    """Write a job and hand its first shards to RQ: its id, and whether it is new."""
    window = _window(workers)
    rq_ids = [store.new_rq_id() for _ in range(max(1, min(window, len(shards))))]
    outcome, job_id = ledger.transition(
        "submit",
        secrets.token_hex(6),
        json.dumps(fields),
        json.dumps(list(rows)),
        json.dumps([{"documents": numbers} for numbers in shards]),
        window,
        json.dumps(rq_ids),
        token,
        extra=(keys.submission(token or "-"),),
    )
    if outcome == "known":
        return job_id, False
    # From here on the job is accepted: what fails to reach RQ now is handed over again by the janitor.
    names = [str(at) for at in range(len(shards))] or [store.PUBLISH]
    deliveries = [store.Delivery(job_id, name, rq_id) for name, rq_id in zip(names, rq_ids, strict=False)]
    if deliver:
        _deliver(ledger, deliveries, fields["priority"])
    return job_id, True


def cancel(ledger: Ledger, job_id: str, *, by: str, force: bool = False) -> Receipt:
    """Ask for the stop of a job. Raises JobNotFound, ActionRefused or TooLateToCancel."""
    action = Action.FORCE_STOP if force else Action.CANCEL
    held = _queued_deliveries(ledger, job_id)
    reply = ledger.transition("cancel", job_id, by or "someone", "1" if force else "0")
    if reply[0] != "ok":
        _refuse(ledger, job_id, action, reply, by)
    state = State(reply[1])
    row = monitor.job(ledger, job_id)
    queues.withdraw(ledger, held, row.priority)
    if state is State.CANCELED:
        sentence = f"Job {job_id} was canceled; nobody was working on it."
    elif force:
        sentence = f"Job {job_id} is being stopped by force; its work horses are killed within about a second."
    else:
        sentence = (
            f"Job {job_id} stops at its next checkpoint; after {ledger.settings.cancel_grace_s:g} s without one "
            "its work horse is killed."
        )
    record(ledger, action.value, job_id, by=by, result=sentence)
    return Receipt(job_id, action.value, state, sentence)


def retry(ledger: Ledger, job_id: str, *, by: str, failed_only: bool = True) -> Receipt:
    """Run a final job again as a new attempt: what did not complete, or all of it.

    Raises JobNotFound or ActionRefused.
    """
    row = monitor.job(ledger, job_id)
    documents = monitor.documents(ledger, job_id)
    again = [one for one in documents if not failed_only or one.state is not DocumentState.COMPLETED]
    unpublished = row.state in (State.CANCELED, State.FAILED)
    if row.final and not again and not unpublished:
        raise ActionRefused(
            job=job_id,
            state=f"{row.state.value} with no failed document",
            action="retried for its failures",
            allowed="partial, failed or canceled",
        )
    workers = len(monitor.worker_names(ledger))
    shards = cut([one.size_bytes for one in again], [one.number for one in again], workers)
    window = _window(workers)
    rq_ids = [store.new_rq_id() for _ in range(max(1, min(window, len(shards))))]
    reply = ledger.transition(
        "retry",
        job_id,
        by or "someone",
        row.attempt,
        json.dumps([one.number for one in again]),
        json.dumps([{"documents": numbers} for numbers in shards]),
        window,
        json.dumps(rq_ids),
    )
    if reply[0] != "ok":
        _refuse(ledger, job_id, Action.RETRY, reply, by)
    if shards:
        deliveries = [store.Delivery(job_id, str(at), rq_id) for at, rq_id in enumerate(rq_ids)]
    else:
        deliveries = [store.Delivery(job_id, store.PUBLISH, rq_ids[0])]
    _deliver(ledger, deliveries, row.priority)
    sentence = f"Job {job_id} is retried as attempt {reply[1]}: {_counted(len(again), 'document')}."
    record(ledger, "retry", job_id, by=by, result=sentence)
    return Receipt(job_id, "retry", State.QUEUED, sentence)


def set_gates(ledger: Ledger, collection: str, gates: Gates, *, by: str) -> str:
    """Set what a publish to the collection must pass; the sentence of its audit row. Raises CollectionNameRefused."""
    if not COLLECTION_NAME.fullmatch(collection):
        raise CollectionNameRefused(name=collection)
    if not (0 <= gates.max_failed_percent <= 100 and gates.min_documents >= 0):
        raise SubmissionRefused(reason="a gate takes a share of 0 to 100 percent and a number of documents")
    if gates.open:
        ledger.redis.delete(keys.gates(collection))
        sentence = f"{collection} has no gates now: every publish goes through."
    else:
        ledger.redis.hset(
            keys.gates(collection),
            mapping={"max_failed_percent": gates.max_failed_percent, "min_documents": gates.min_documents},
        )
        reasons = [f"more than {gates.max_failed_percent:g} percent of a job failed"]
        if gates.min_documents:
            reasons.append(f"not at least {_counted(gates.min_documents, 'document')} would be there")
        sentence = f"Publishes to {collection} are held back when {' or '.join(reasons)}."
    record(ledger, "set gates", collection, by=by, result=sentence)
    return sentence


def delete(ledger: Ledger, job_id: str, *, by: str) -> Receipt:
    """Take a final job off the board. Raises JobNotFound or ActionRefused."""
    row = monitor.job(ledger, job_id)
    reply = ledger.transition("delete", job_id)
    if reply[0] != "ok":
        _refuse(ledger, job_id, Action.DELETE, reply, by)
    sentence = f"Job {job_id} was deleted from the board; what it published stays."
    record(ledger, "delete", job_id, by=by, result=sentence)
    return Receipt(job_id, "delete", row.state, sentence)


def record(ledger: Ledger, action: str, subject: str, *, by: str, result: str) -> None:
    """Add an audit row: names and reasons only."""
    ledger.redis.xadd(
        keys.AUDIT,
        {"by": by or "someone", "action": action, "subject": subject, "result": result},
        maxlen=AUDIT_KEPT,
        approximate=True,
    )


def cut(sizes: Sequence[int], numbers: Sequence[int], workers: int) -> list[list[int]]:
    """Cut documents into shards, in order: small enough that every worker helps, bounded in count and bytes."""
    most = max(1, min(SHARD_DOCUMENTS, -(-len(numbers) // max(8, SHARDS_A_WORKER * workers))))
    shards: list[list[int]] = []
    held = 0
    for size, index in zip(sizes, numbers, strict=True):
        if not shards or len(shards[-1]) >= most or held + size > SHARD_BYTES:
            shards.append([])
            held = 0
        shards[-1].append(index)
        held += size
    return shards


def _window(workers: int) -> int:
    """How many shards of one job RQ holds at once: twice the workers, so that none waits for the next one."""
    return max(4, 2 * workers)


def _deliver(ledger: Ledger, deliveries: Sequence[store.Delivery], priority: str) -> None:
    try:
        queues.deliver(ledger, deliveries, priority)
    except redis.RedisError:
        # The job is on the record and its shards are marked as handed over: the janitor does it again.
        return


def _queued_deliveries(ledger: Ledger, job_id: str) -> list[str]:
    rows = ledger.redis.hvals(keys.shards(job_id))
    found = []
    for raw in rows:
        try:
            row = json.loads(raw)
        except ValueError:
            continue
        if isinstance(row, dict) and row.get("state") == "queued":
            found.append(text(row.get("rq_id")))
    return found


def _refuse(ledger: Ledger, job_id: str, action: Action, reply: list[str], by: str) -> None:
    if reply[0] == "gone":
        raise JobNotFound(job=job_id)
    refused: ActionRefused | TooLateToCancel
    if reply[0] == "late":
        refused = TooLateToCancel(job=job_id)
    else:
        refused = ActionRefused(job=job_id, state=reply[1], action=PAST[action], allowed=states_allowing(action))
    record(ledger, action.value, job_id, by=by, result=str(refused))
    raise refused


def _unique_names(documents: Sequence[NewDocument]) -> list[NewDocument]:
    """Two files of one name stay two documents: the later one is numbered, as file managers do."""
    seen: set[str] = set()
    unique = []
    for document in documents:
        name, turn = document.name, 2
        while name in seen:
            stem, dot, suffix = document.name.rpartition(".")
            name = f"{stem} ({turn}).{suffix}" if dot and stem else f"{document.name} ({turn})"
            turn += 1
        seen.add(name)
        unique.append(replace(document, name=name))
    return unique


def _title(documents: Sequence[NewDocument]) -> str:
    first = documents[0].name
    return first if len(documents) == 1 else f"{first} and {len(documents) - 1} more"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
