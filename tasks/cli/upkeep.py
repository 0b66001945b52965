"""Commands that look after collections: diff, prune, export, rebuild, gates, held, clean."""

from __future__ import annotations

import shutil
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tasks import telling
from tasks.cli import show
from tasks.cli.app import CollectionName, Json, app, ledger, owner, reader, settings

if TYPE_CHECKING:
    from tasks.kinds import Arguments, Kind
    from tasks.ledger import Ledger
    from tasks.ledger.records import JobRow

PANEL = "Upkeep"
Version = Annotated[str, typer.Argument(metavar="VERSION", help="A snapshot's version.", show_default=False)]


def done(ledger: Ledger, kind: Kind, collection: str, arguments: Arguments, title: str) -> JobRow:
    """Ask for a job of a kind and wait for its end; its error is ours."""
    from tasks.cli.waiting import goes_on_without_us, until_final
    from tasks.errors import JobFailed
    from tasks.ledger import State, control

    receipt = control.request(
        ledger,
        kind=kind.name,
        collection=collection,
        arguments=arguments.model_dump_json(),
        owner=owner(),
        title=title,
    )
    with goes_on_without_us(receipt.job):
        row = until_final(ledger, receipt.job)
    if row.state is not State.COMPLETED:
        raise JobFailed(job=row.id, state=row.state.value, reason=row.error or "it was stopped")
    return row


def told(row: JobRow, json: bool) -> None:
    if json:
        show.as_json(telling.job_object(row))
    else:
        typer.echo(row.step_description)


@app.command(rich_help_panel=PANEL)
def diff(collection: CollectionName, before: Version, after: Version, json: Json = False) -> None:
    """Say what changed between two snapshots: documents added, removed and changed."""
    from tasks import catalog
    from tasks.snapshots.diff import diff as between
    from tasks.snapshots.shelf import Shelf

    with reader() as person:
        catalog.must_see(person, collection)
        found = between(Shelf(settings().data), collection, before, after)
    if json:
        show.as_json(found)
        return
    rows = [
        (sign, change.name, f"{change.chunks_before} -> {change.chunks_after}")
        for sign, changes in (("added", found.added), ("removed", found.removed), ("changed", found.changed))
        for change in changes
    ]
    show.table(("", "DOCUMENT", "CHUNKS"), rows, empty="No document differs.")
    typer.echo(f"{found.unchanged} documents are the same; {found.chunks[0]} chunks before, {found.chunks[1]} after.")
    if found.recipes[0] != found.recipes[1]:
        typer.echo(f"The recipe changed from {found.recipes[0]} to {found.recipes[1]}.")


@app.command(rich_help_panel=PANEL)
def prune(
    collection: CollectionName,
    keep: Annotated[int, typer.Option(min=1, help="Snapshots kept, the newest.")] = 5,
    older_than: Annotated[
        float | None, typer.Option(min=0, help="Of the rest, only those older than so many days.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; remove nothing.")] = False,
    json: Json = False,
) -> None:
    """Remove old snapshots, never the current one nor one that is being read."""
    from tasks import catalog
    from tasks.kinds import PRUNE, PruneArguments
    from tasks.snapshots.prune import prune as look
    from tasks.snapshots.shelf import Shelf

    if dry_run:
        with reader() as person:
            catalog.must_see(person, collection)
            found = look(Shelf(settings().data), collection, keep_last=keep, older_than_days=older_than, dry_run=True)
        if json:
            show.as_json(found)
        else:
            names = ", ".join(found.versions) or "none"
            typer.echo(f"Would go: {names}; {show.size(found.bytes_freed)} freed. Nothing was removed.")
        return
    with ledger() as connected:
        arguments = PruneArguments(keep_last=keep, older_than_days=older_than)
        told(done(connected, PRUNE, collection, arguments, f"Prune {collection}"), json)


@app.command(rich_help_panel=PANEL)
def export(
    collection: CollectionName,
    file: Annotated[Path, typer.Argument(help="The file to write: .parquet, .jsonl or .zip.", show_default=False)],
    version: Annotated[str, typer.Option(help="The snapshot; the current one unless named.", show_default=False)] = "",
    vectors: Annotated[bool, typer.Option(help="With the vectors.")] = True,
    json: Json = False,
) -> None:
    """Write a snapshot to a file."""
    from tasks.errors import ExportRefused
    from tasks.kinds import EXPORT, export_path

    form = file.suffix.removeprefix(".")
    if form not in ("parquet", "jsonl", "zip"):
        raise ExportRefused(path=file, reason="its name must end in .parquet, .jsonl or .zip")
    arguments = EXPORT.check(dumps({"format": form, "version": version, "vectors": vectors}))
    with ledger() as connected:
        row = done(connected, EXPORT, collection, arguments, f"Export {collection}")
        made = export_path(connected.settings.data, row.id, collection, form)
        try:
            shutil.move(made, file)
            shutil.rmtree(made.parent, ignore_errors=True)
        except OSError as error:
            raise ExportRefused(path=file, reason=error.strerror or type(error).__name__) from error
    told(row, json)


@app.command(rich_help_panel=PANEL)
def gates(
    collection: CollectionName,
    max_failed: Annotated[
        float | None, typer.Option(min=0, max=100, help="Percent of a job that may fail.", show_default=False)
    ] = None,
    min_documents: Annotated[
        int | None, typer.Option(min=0, help="Documents that must be in a snapshot.", show_default=False)
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Let every publish through.")] = False,
    json: Json = False,
) -> None:
    """Show or set what a publish to a collection must pass."""
    from tasks.ledger import control, monitor
    from tasks.ledger.records import Gates

    with ledger() as connected:
        now = Gates() if clear else monitor.gates(connected, collection)
        wanted = Gates(
            max_failed_percent=now.max_failed_percent if max_failed is None else max_failed,
            min_documents=now.min_documents if min_documents is None else min_documents,
        )
        if clear or wanted != now:
            sentence = control.set_gates(connected, collection, wanted, by=owner())
        else:
            sentence = (
                f"{collection}: at most {now.max_failed_percent:g} percent of a job may fail, at least "
                f"{now.min_documents} documents must be in a snapshot."
            )
    if json:
        show.as_json(wanted)
    else:
        typer.echo(sentence)


@app.command(rich_help_panel=PANEL)
def held(
    collection: CollectionName,
    publish: Annotated[str, typer.Option(metavar="JOB", help="Publish what this job made.", show_default=False)] = "",
    discard: Annotated[str, typer.Option(metavar="JOB", help="Remove what this job made.", show_default=False)] = "",
    json: Json = False,
) -> None:
    """Show, publish or discard the snapshots that a gate held back."""
    from tasks import catalog
    from tasks.kinds import PUBLISH_HELD

    with ledger() as connected:
        if publish:
            arguments = PUBLISH_HELD.check(dumps({"job": publish}))
            told(done(connected, PUBLISH_HELD, collection, arguments, f"Publish what {publish} made"), json)
            return
        if discard:
            catalog.discard_held(connected, collection, discard, by=owner())
            typer.echo(f"What job {discard} made for {collection} was removed.")
            return
        rows = catalog.held(settings(), connected.person, collection)
    if json:
        show.as_json(rows)
        return
    show.table(
        ("JOB", "DOCUMENTS", "CHUNKS", "OWNER", "MADE", "HELD BECAUSE"),
        [(row.job, row.documents, row.chunks, row.owner, show.when(row.created_at), row.reason) for row in rows],
        empty=f"Nothing of {collection} is held back.",
    )


@app.command(rich_help_panel=PANEL)
def rebuild(
    collection: CollectionName,
    splitter: Annotated[str, typer.Option(help="characters, sentence or markdown.")] = "characters",
    chunk_size: Annotated[int, typer.Option(help="Characters of a chunk; tokens for sentence.")] = 1200,
    overlap: Annotated[int, typer.Option(help="How much neighbouring chunks share.")] = 120,
    json: Json = False,
) -> None:
    """Make a collection again under another recipe; the old snapshot serves until the new one is whole."""
    from pydantic import ValidationError

    from tasks import catalog
    from tasks.cli.waiting import exit_code, goes_on_without_us, outcome, until_final
    from tasks.recipe import Recipe

    try:
        recipe = Recipe.model_validate({"splitter": splitter, "chunk_size": chunk_size, "chunk_overlap": overlap})
    except ValidationError as error:
        raise typer.BadParameter(error.errors(include_input=False, include_url=False)[0]["msg"]) from None
    with ledger() as connected:
        receipt = catalog.rebuild(connected, collection, recipe, by=owner())
        with goes_on_without_us(receipt.job):
            row = until_final(connected, receipt.job)
        if json:
            show.as_json(telling.job_object(row))
        outcome(connected, row, quiet=json)
    raise typer.Exit(exit_code(row.state))


@app.command(rich_help_panel=PANEL)
def clean(
    older_than: Annotated[float, typer.Option(min=0, help="Leave what was used within so many days.")] = 30.0,
    most: Annotated[int, typer.Option(min=0, help="Go on by age until at most so many MB are left; 0: no.")] = 0,
    json: Json = False,
) -> None:
    """Remove cached artifacts and uploads that no snapshot and no live job needs."""
    from tasks.kinds import CLEAN, CleanArguments

    with ledger() as connected:
        arguments = CleanArguments(older_than_days=older_than, most_bytes=most * 1_000_000)
        told(done(connected, CLEAN, "", arguments, "Clean the caches"), json)
