"""The doors to jobs: listed by the board's own query language, opened, submitted, stopped, retried, many at once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, Json

from dashboard.api.door import Asked, Door, Said
from dashboard.memory.matching import Sort
from dashboard.memory.query import parse
from tasks import bulk, submitting
from tasks.access import Right
from tasks.ledger import Ledger, control, monitor, waiting
from tasks.ledger.records import Receipt
from tasks.ledger.states import Action
from tasks.recipe import Ocr, Recipe, Splitter
from tasks.settings import Priority
from tasks.telling import job_object, plain, whole_job

JOB = r"^[A-Za-z0-9_-]{1,64}$"
Text = Annotated[str, Field(max_length=200)]


class Listing(Said):
    q: str = Field(default="", max_length=4_000, description="query of the board, such as 'state:failed owner:ana'")
    sort: Text = Field(default="-created", description="column, with '-' before it from the highest down")
    page: int = Field(default=1, ge=1, le=1_000_000)
    size: int = Field(default=50, ge=1, le=500, description="jobs on a page")


class RecipeSaid(Said):
    """How documents are read and cut; the embedder is the installation's."""

    splitter: Splitter = "characters"
    chunk_size: int = Field(default=1200, ge=100, le=20_000)
    chunk_overlap: int = Field(default=120, ge=0, le=5_000)
    ocr: Ocr = "auto"


class Submitting(Said):
    """The fields beside the files of a submission."""

    collection: Text
    priority: Priority = "default"
    title: Text = ""
    recipe: Json[RecipeSaid] = Field(default=RecipeSaid(), description="JSON of splitter, chunk_size, ...")
    sync: Literal["", "careful", "yes"] = Field(
        default="", description="remove what is not given: 'careful' refuses more than a fifth, 'yes' does not"
    )
    token: str = Field(
        default="", pattern=r"^[A-Za-z0-9._-]{0,64}$", description="yours to choose: the same one submits once a day"
    )
    time_limit_s: float = Field(default=0, ge=0, lt=1e9)
    document_limit_s: float = Field(default=0, ge=0, lt=1e9)


class Retrying(Said):
    failed_only: bool = Field(default=False, description="only the documents that did not complete")
    documents: list[int] | None = Field(default=None, max_length=20_000, description="numbers, as 'files' has them")


class Moving(Said):
    priority: Priority


class Many(Said):
    action: Literal["cancel", "force-stop", "retry", "delete", "reprioritise"]
    jobs: list[Annotated[str, Field(pattern=JOB)]] = Field(default=[], max_length=bulk.MOST)
    q: str = Field(default="", max_length=4_000, description="instead of jobs: what this query of the board means now")
    failed_only: bool = True
    priority: Literal["", "high", "default", "low"] = ""
    token: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,64}$")


def listed(asked: Asked) -> dict[str, Any]:
    wanted = asked.asks(Listing)
    query = parse(wanted.q)
    board = asked.board
    page = board.page(query, Sort.read(wanted.sort), wanted.page, wanted.size)
    return {
        "jobs": [job_object(row) for row in page.rows],
        "total": page.total,
        "page": page.number,
        "pages": page.last,
        "problems": query.problems,
        "complete": board.complete and not board.capped,
    }


def opened(asked: Asked) -> dict[str, Any]:
    row = monitor.job(asked.ledger, asked.path["job"])
    why = None if row.final else plain(waiting.why(asked.ledger, row.id))
    return {**whole_job(asked.ledger, row), "why": why}


def submitted(asked: Asked) -> dict[str, Any]:
    form, said = asked.form, asked.says(Submitting)
    assert form is not None
    receipt = submitting.submit_files(
        asked.ledger,
        form.files(),
        collection=said.collection,
        priority=said.priority,
        recipe=Recipe.model_validate(said.recipe.model_dump()),
        title=said.title,
        token=said.token,
        sync=said.sync,
        time_limit_s=said.time_limit_s,
        document_limit_s=said.document_limit_s,
    )
    return receipt_of(asked.ledger, receipt)


def canceled(asked: Asked) -> dict[str, Any]:
    return receipt_of(asked.ledger, control.cancel(asked.ledger, asked.path["job"]))


def forced(asked: Asked) -> dict[str, Any]:
    return receipt_of(asked.ledger, control.cancel(asked.ledger, asked.path["job"], force=True))


def retried(asked: Asked) -> dict[str, Any]:
    said = asked.says(Retrying)
    numbers = None if said.documents is None else [number - 1 for number in said.documents]
    receipt = control.retry(asked.ledger, asked.path["job"], failed_only=said.failed_only, documents=numbers)
    return receipt_of(asked.ledger, receipt)


def deleted(asked: Asked) -> Receipt:
    return control.delete(asked.ledger, asked.path["job"])


def moved(asked: Asked) -> dict[str, Any]:
    receipt = control.reprioritise(asked.ledger, asked.path["job"], asked.says(Moving).priority)
    return receipt_of(asked.ledger, receipt)


def written_off(asked: Asked) -> dict[str, Any]:
    return receipt_of(asked.ledger, control.write_off_workers_of(asked.ledger, asked.path["job"]))


def many(asked: Asked) -> dict[str, Any]:
    said = asked.says(Many)
    action = Action(said.action.replace("-", " "))
    options = {"failed_only": said.failed_only, **({"priority": said.priority} if said.priority else {})}
    # Asked before the board is searched: who may not do it learns nothing of what there is.
    control.permit(asked.ledger, control.RIGHTS[action], "bulk action", action=action.value)
    ids = said.jobs or (asked.board.ids(parse(said.q)) if said.q.strip() else [])
    receipt = bulk.request(asked.ledger, action, ids, shown=said.q or "the HTTP API", options=options, token=said.token)
    return {**receipt_of(asked.ledger, receipt), "outcome": plain(bulk.outcome(asked.ledger, receipt.job))}


def receipt_of(ledger: Ledger, receipt: Receipt) -> dict[str, Any]:
    """A job as it is after an action, with the sentence and receipt of that."""
    row = job_object(monitor.job(ledger, receipt.job))
    return {**row, "sentence": receipt.sentence, "receipt": plain(receipt)}


DOORS = [
    Door("GET", "/jobs", Right.SEE, listed, "The jobs that a query of the board means, a page of them", query=Listing),
    Door(
        "POST",
        "/jobs",
        Right.SUBMIT,
        submitted,
        "Submit files as one job",
        body=Submitting,
        files=True,
        status=201,
        example={"collection": "contracts"},
    ),
    Door("GET", "/jobs/{job}", Right.SEE, opened, "One job: documents, stages, events, receipt, and why it waits"),
    Door("POST", "/jobs/{job}/cancel", Right.CANCEL, canceled, "Stop a job at its next checkpoint"),
    Door("POST", "/jobs/{job}/force-stop", Right.FORCE_STOP, forced, "Kill the work horses of a job now"),
    Door("POST", "/jobs/{job}/retry", Right.RETRY, retried, "Run a final job again", body=Retrying),
    Door("POST", "/jobs/{job}/delete", Right.DELETE, deleted, "Take a final job off the board"),
    Door(
        "POST",
        "/jobs/{job}/reprioritise",
        Right.REPRIORITISE,
        moved,
        "Move a live job to another queue",
        body=Moving,
        example={"priority": "high"},
    ),
    Door("POST", "/jobs/{job}/write-off", Right.WRITE_OFF, written_off, "Take a job from workers that are gone"),
    Door(
        "POST",
        "/bulk",
        Right.SEE,
        many,
        "Do one thing to many jobs, as a job of its own",
        body=Many,
        status=202,
        also={
            Right.CANCEL: {"action": "cancel", "jobs": ["0123456789ab"]},
            Right.FORCE_STOP: {"action": "force-stop", "jobs": ["0123456789ab"]},
            Right.RETRY: {"action": "retry", "jobs": ["0123456789ab"]},
            Right.DELETE: {"action": "delete", "q": "state:failed"},
            Right.REPRIORITISE: {"action": "reprioritise", "jobs": ["0123456789ab"], "priority": "high"},
        },
    ),
]
