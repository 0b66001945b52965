"""Commands about jobs: submit, jobs, job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, get_args

import typer

from tasks import telling
from tasks.cli import show
from tasks.cli.app import JobId, Json, app, ledger, owner

if TYPE_CHECKING:
    from tasks.ledger import Ledger
    from tasks.ledger.records import JobRow, Receipt

EVENTS_SHOWN = 10


@app.command(rich_help_panel="Jobs")
def submit(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders.", show_default=False)],
    collection: Annotated[str, typer.Option("--collection", "-c", help="The collection that they go into.")],
    priority: Annotated[str, typer.Option(help="high, default or low.")] = "default",
    title: Annotated[str, typer.Option(help="The job's title on the board.", show_default=False)] = "",
    ocr: Annotated[str, typer.Option(help="Text recognition in pictures and scans: auto, on or off.")] = "auto",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end and exit 0, 1, 3 or 4 by it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take; submit nothing.")] = False,
    sync: Annotated[
        bool, typer.Option("--sync", help="Also remove the collection's documents that are not given.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Let --sync remove more than a fifth of the collection.")] = False,
    time_limit: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Stop the job after this and let it fail; 0: no limit.")
    ] = 0.0,
    document_limit: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="A document that takes longer fails; 0: as is set.")
    ] = 0.0,
    json: Json = False,
) -> None:
    """Submit documents as one job.

    Folders are walked; names below them are kept, hidden files and links left out. With --wait the exit
    code is 0 completed, 3 partial, 1 failed, 4 canceled.
    """
    from tasks import submitting
    from tasks.cli.estimates import estimated
    from tasks.cli.waiting import exit_code, goes_on_without_us, outcome, until_final
    from tasks.recipe import Ocr, Recipe

    if ocr not in get_args(Ocr):
        raise typer.BadParameter(f"{ocr!r} is not one of {', '.join(get_args(Ocr))}", param_hint="--ocr")
    recipe = Recipe.model_validate({"ocr": ocr})
    found = list(_files(paths))
    with ledger() as connected:
        if dry_run:
            estimated(connected, _opened(found), collection, recipe, sync=sync, yes=yes, json=json)
            return
        receipt = submitting.submit_files(
            connected,
            _opened(found),
            collection=collection,
            owner=owner(),
            priority=priority,
            recipe=recipe,
            title=title,
            sync="yes" if sync and yes else "careful" if sync else "",
            time_limit_s=time_limit,
            document_limit_s=document_limit,
        )
        if not wait:
            _tell(connected, receipt, json)
            return
        with goes_on_without_us(receipt.job):
            if not json:
                typer.echo(receipt.sentence)
            row = until_final(connected, receipt.job)
        if json:
            show.as_json(telling.whole_job(connected, row))
        outcome(connected, row, quiet=json)
    raise typer.Exit(exit_code(row.state))


@app.command(rich_help_panel="Jobs")
def jobs(
    state: Annotated[
        list[str] | None, typer.Option(help="Only jobs in this state; may be repeated.", show_default=False)
    ] = None,
    collection: Annotated[str, typer.Option(help="Only this collection.", show_default=False)] = "",
    owner: Annotated[str, typer.Option(help="Only this owner.", show_default=False)] = "",
    text: Annotated[str, typer.Option(help="Only what holds this text.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Rows at most, the newest first.")] = 50,
    json: Json = False,
) -> None:
    """List jobs, newest first."""
    from tasks.ledger import State, monitor

    known = [one.value for one in State]
    if wrong := [one for one in state or [] if one not in known]:
        raise typer.BadParameter(f"{wrong[0]!r} is no state; use {', '.join(known[:-1])} or {known[-1]}")
    with ledger() as connected:
        rows, total = monitor.page(
            connected,
            states=[State(one) for one in state or []],
            collection=collection,
            owner=owner,
            text=text,
            limit=limit,
        )
    if json:
        show.as_json([telling.job_object(row) for row in rows])
        return
    show.table(
        ("ID", "STATE", "DONE", "TITLE", "COLLECTION", "OWNER", "SUBMITTED"),
        [
            (
                row.id,
                row.state.value,
                f"{row.percent:.0f}%",
                row.title,
                row.collection,
                row.owner,
                show.ago(row.created_at),
            )
            for row in rows
        ],
        empty="There are no such jobs; `ingestboard submit PATH --collection NAME` makes one.",
    )
    if total > len(rows):
        typer.echo(f"{len(rows)} of {total}; --limit shows more.")


@app.command(rich_help_panel="Jobs")
def job(job_id: JobId, json: Json = False) -> None:
    """Show one job: where it is, its documents, its events."""
    from tasks.ledger import monitor

    with ledger() as connected:
        row = monitor.job(connected, job_id)
        found = telling.whole_job(connected, row)
        if json:
            show.as_json(found)
            return
        stages = monitor.stages(connected, job_id)
        receipt = monitor.receipt(connected, job_id)
        events = monitor.events(connected, job_id)[-EVENTS_SHOWN:]
    show.facts(_facts(row, receipt))
    typer.echo()
    show.table(
        ("NO", "DOCUMENT", "STATE", "CHUNKS", "REASON"),
        [(one["number"], one["name"], one["state"], _chunks(one), one["error"]) for one in found["files"]],
        empty="It has no documents.",
    )
    if stages:
        typer.echo()
        show.table(
            ("STAGE", "STARTED", "WORK"),
            [(one.stage, show.when(one.started_at), show.lasting(one.work_s)) for one in stages],
            empty="",
        )
    if events:
        typer.echo()
        for event in events:
            typer.echo(f"{show.when(event.at)}  {show.clean(event.text)}")


def _files(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Name and place of every file to submit. Raises SubmissionRefused or FileUnreadable."""
    from tasks.errors import FileUnreadable, SubmissionRefused
    from tasks.submitting import files_below

    for path in paths:
        try:
            if path.is_dir():
                for file in files_below(path):
                    yield file.relative_to(path).as_posix(), file
            elif path.is_file():
                yield path.name, path
            else:
                raise SubmissionRefused(reason=f"there is no file or folder {show.clean(str(path))}")
        except OSError as error:
            raise FileUnreadable(path=show.clean(str(path)), reason=error.strerror or type(error).__name__) from None


def _opened(files: Sequence[tuple[str, Path]]) -> Iterator[tuple[str, BinaryIO]]:
    """Each file open while it is its turn."""
    from tasks.errors import FileUnreadable

    for name, path in files:
        try:
            stream = path.open("rb")
        except OSError as error:
            raise FileUnreadable(path=show.clean(str(path)), reason=error.strerror or type(error).__name__) from None
        with stream:
            yield name, stream


def _tell(connected: Ledger, receipt: Receipt, json: bool) -> None:
    if not json:
        typer.echo(receipt.sentence)
        return
    from tasks.ledger import monitor

    show.as_json({**telling.job_object(monitor.job(connected, receipt.job)), "sentence": receipt.sentence})


def _chunks(file: dict[str, Any]) -> str:
    return f"{file['chunks']}{' cached' if file['cached'] else ''}"


def _facts(row: JobRow, receipt: Receipt | None) -> list[tuple[str, Any]]:
    from tasks.ledger.monitor import utc_now

    step = f"step {row.current_step} of {row.total_steps}" if row.total_steps else ""
    return [
        ("job", row.id),
        ("title", row.title),
        ("state", row.state.value),
        ("error", row.error),
        ("collection", row.collection),
        ("snapshot", row.snapshot),
        ("owner", row.owner),
        ("priority", row.priority),
        ("stage", ", ".join(filter(None, (row.stage, step, row.step_description)))),
        ("done", f"{row.percent:.0f}%"),
        (
            "documents",
            f"{row.documents_done} of {row.documents_total} done, {row.documents_failed} failed, "
            f"{row.documents_cached} cached",
        ),
        ("chunks", row.chunks),
        ("attempt", row.attempt),
        ("worker", row.worker),
        ("submitted", show.when(row.created_at)),
        ("started", show.when(row.started_at)),
        ("ended", show.when(row.ended_at)),
        ("elapsed", show.lasting(row.elapsed_s(utc_now()))),
        ("left", show.lasting(row.left_s(utc_now()))),
        ("time limit", show.lasting(row.time_limit_s) if row.time_limit_s else ""),
        ("a document", f"at most {show.lasting(row.document_limit_s)}" if row.document_limit_s else ""),
        *(
            [("stop", receipt.sentence), ("kept", receipt.kept), ("resume", receipt.resume)]
            if receipt is not None
            else []
        ),
    ]
