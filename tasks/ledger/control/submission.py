"""Making jobs: what is submitted is checked, cut into shards, written in one script and handed to RQ."""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from tasks import kinds
from tasks.access import Right
from tasks.errors import CollectionNameRefused, SubmissionRefused
from tasks.ledger import fleet, monitor, store
from tasks.ledger.allowance import Wanted
from tasks.ledger.connection import Ledger
from tasks.ledger.control import audit
from tasks.ledger.control.permission import permit
from tasks.ledger.control.room import take_room
from tasks.ledger.control.writing import Job, cut, window, write
from tasks.ledger.records import Receipt
from tasks.ledger.states import DocumentState, State
from tasks.recipe import Recipe
from tasks.settings import QUEUES

COLLECTION_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
INGEST = "ingest"
REBUILD = "rebuild"  # the documents of a collection again, under another recipe, in place of its snapshot
AT_ONCE = 500  # jobs that are written in one round trip, so that others get their turn in between

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


@dataclass(frozen=True, slots=True)
class Submission:
    """What makes a job of documents. The same token submits once, however often it is given.

    `owner` is whom a program submits for; what a person submits is theirs.

    `time_limit_s` is how long an attempt may run, `document_limit_s` how long one document may take; 0: no limit,
    and as the settings say.
    """

    collection: str
    documents: Sequence[NewDocument]
    owner: str
    recipe: Recipe
    title: str = ""
    priority: str = "default"
    token: str = ""
    sync: Sync = ""
    kind: str = INGEST
    time_limit_s: float = 0.0
    document_limit_s: float = 0.0


def submit(
    ledger: Ledger,
    *,
    collection: str,
    documents: Sequence[NewDocument],
    owner: str = "",
    recipe: Recipe,
    title: str = "",
    priority: str = "default",
    token: str = "",
    sync: Sync = "",
    kind: str = INGEST,
    time_limit_s: float = 0.0,
    document_limit_s: float = 0.0,
) -> Receipt:
    """Make a job of documents. Raises NotAllowed, CollectionNameRefused, SubmissionRefused or AllowanceUsed; then
    nothing was written.
    """
    asked = Submission(
        collection,
        documents,
        owner,
        recipe,
        title=title,
        priority=priority,
        token=token,
        sync=sync,
        kind=kind,
        time_limit_s=time_limit_s,
        document_limit_s=document_limit_s,
    )
    return submit_many(ledger, [asked])[0]


def submit_many(ledger: Ledger, submissions: Sequence[Submission]) -> list[Receipt]:
    """Make many jobs in few round trips; a receipt each, in order. As submit: if one is refused, none is written."""
    submissions = [_permitted(ledger, asked) for asked in submissions]
    for asked in submissions:
        _check(ledger, asked)
    workers = len(fleet.worker_names(ledger))
    planned = [_planned(asked, workers) for asked in submissions]
    _take_room(ledger, submissions, planned)
    receipts = []
    for first in range(0, len(submissions), AT_ONCE):
        some = submissions[first : first + AT_ONCE]
        jobs = planned[first : first + AT_ONCE]
        written = write(ledger, jobs)
        receipts += [_receipt(asked, job, made) for asked, job, made in zip(some, jobs, written, strict=True)]
        told: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for asked, (job_id, new), receipt in zip(some, written, receipts[first:], strict=True):
            if new:
                told[asked.owner].append((job_id, receipt.sentence))
        for by, results in told.items():
            audit.record_all(ledger, "submit", results, by=by)
    return receipts


def request(
    ledger: Ledger,
    *,
    kind: str,
    collection: str,
    arguments: str,
    owner: str = "",
    title: str,
    priority: str = "high",
    token: str = "",
    deliver: bool = True,
) -> Receipt:
    """Make a job without documents, such as an export: its kind's last step is all it does.

    `arguments` is JSON that the kind has checked. `deliver=False` leaves the work to the caller, who claims it at
    once; if the caller dies, the janitor gives it to a worker. Raises NotAllowed, CollectionNameRefused or
    CollectionNotFound.
    """
    by = permit(ledger, kinds.KINDS[kind].right, collection or kind, by=owner, action=kind)
    if collection and not COLLECTION_NAME.fullmatch(collection):
        raise CollectionNameRefused(name=collection)
    monitor.must_see(ledger, collection)
    fields = {
        "title": title,
        "collection": collection,
        "owner": by,
        "kind": kind,
        "priority": priority,
        "arguments": arguments,
    }
    job = Job(secrets.token_hex(6), fields, [], [], [store.new_rq_id()], window(1), token)
    [(job_id, created)] = write(ledger, [job], deliver=deliver)
    sentence = f"Job {job_id} was submitted: {title}." if created else f"This was submitted already, as job {job_id}."
    if created:
        audit.record(ledger, kind, job_id, by=by, result=sentence)
    return Receipt(job_id, "submit", State.QUEUED, sentence)


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def permit_submission(ledger: Ledger, collection: str, *, owner: str = "", kind: str = INGEST) -> str:
    """Let them submit to a collection, and answer the owner. Raises NotAllowed or SubmissionRefused, on the record."""
    right = Right.REBUILD if kind == REBUILD else Right.SUBMIT
    by = permit(ledger, right, collection, by=owner, action="submit")
    if not ledger.person.sees(collection):
        refusal = SubmissionRefused(reason=f"the collection {collection} is for others; choose another name")
        audit.record(ledger, "submit", collection, by=by, result=str(refusal), outcome="refused")
        raise refusal
    return by


def _take_room(ledger: Ledger, submissions: Sequence[Submission], jobs: Sequence[Job]) -> None:
    # A rebuild brings no bytes: they are here since they were submitted.
    sizes = [sum(one.size_bytes for one in asked.documents) if asked.kind == INGEST else 0 for asked in submissions]
    wanted = [Wanted(size, job.id, job.token) for size, job in zip(sizes, jobs, strict=True)]
    take_room(ledger, [asked.collection for asked in submissions], wanted)


def _permitted(ledger: Ledger, asked: Submission) -> Submission:
    by = permit_submission(ledger, asked.collection, owner=asked.owner, kind=asked.kind)
    return asked if by == asked.owner else replace(asked, owner=by)


def _check(ledger: Ledger, asked: Submission) -> None:
    if not COLLECTION_NAME.fullmatch(asked.collection):
        raise CollectionNameRefused(name=asked.collection)
    if asked.priority not in QUEUES:
        raise SubmissionRefused(reason=f"{asked.priority!r} is no priority; use {', '.join(QUEUES)}")
    if not asked.documents:
        raise SubmissionRefused(reason="no documents were given; add files or choose a folder that holds some")
    most = ledger.settings.documents_max
    if len(asked.documents) > most:
        raise SubmissionRefused(
            reason=f"{len(asked.documents)} documents are more than the {most} that one job may "
            "hold; submit them in parts"
        )
    for limit, of in ((asked.time_limit_s, "a job"), (asked.document_limit_s, "a document")):
        if not 0 <= limit < float("inf"):
            raise SubmissionRefused(reason=f"a time limit of {of} is a number of seconds, or 0 for none")


def _planned(asked: Submission, workers: int) -> Job:
    unique = _unique_names(asked.documents)
    fields = {
        "title": asked.title or _title(unique),
        "collection": asked.collection,
        "owner": asked.owner or "someone",
        "kind": asked.kind,
        "priority": asked.priority,
        "recipe": _json_of(asked.recipe),
        "sync": asked.sync,
    }
    if asked.time_limit_s:
        fields["time_limit_s"] = f"{asked.time_limit_s:g}"
    if asked.document_limit_s:
        fields["document_limit_s"] = f"{asked.document_limit_s:g}"
    new = [number for number, document in enumerate(unique) if not document.chunks]
    shards = cut([unique[number].size_bytes for number in new], new, workers)
    held = window(workers)
    rq_ids = [store.new_rq_id() for _ in range(max(1, min(held, len(shards))))]
    return Job(secrets.token_hex(6), fields, [_row(one) for one in unique], shards, rq_ids, held, asked.token)


@lru_cache(maxsize=64)
def _json_of(recipe: Recipe) -> str:
    return recipe.model_dump_json()


def _row(document: NewDocument) -> dict[str, object]:
    row: dict[str, object] = {
        "name": document.name,
        "size_bytes": document.size_bytes,
        "sha256": document.sha256,
        "path": document.path,
        "state": DocumentState.QUEUED.value,
    }
    if document.chunks:
        row |= {"state": DocumentState.COMPLETED.value, "chunks": document.chunks, "cached": True, "attempt": 1}
    return row


def _receipt(asked: Submission, job: Job, made: tuple[str, bool]) -> Receipt:
    job_id, created = made
    if not created:
        return Receipt(job_id, "submit", State.QUEUED, f"These documents were submitted already, as job {job_id}.")
    held = counted(len(job.rows), "document")
    return Receipt(job_id, "submit", State.QUEUED, f"Job {job_id} was submitted: {held} for {asked.collection}.")


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
        unique.append(document if name == document.name else replace(document, name=name))
    return unique


def _title(documents: Sequence[NewDocument]) -> str:
    first = documents[0].name
    return first if len(documents) == 1 else f"{first} and {len(documents) - 1} more"
