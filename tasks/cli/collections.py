"""Commands about collections: collections, snapshots, rollback, search."""

from __future__ import annotations

from typing import Annotated

import typer

from tasks.cli import show
from tasks.cli.app import CollectionName, Json, app, ledger, owner, reader, settings

PASSAGE = 300


@app.command(rich_help_panel="Collections")
def collections(json: Json = False) -> None:
    """List the collections."""
    from tasks import catalog

    with reader() as person:
        rows = catalog.collections(settings(), person)
    if json:
        show.as_json(rows)
        return
    show.table(
        ("NAME", "CURRENT", "SNAPSHOTS", "DOCUMENTS", "CHUNKS", "SIZE", "CHANGED"),
        [
            (
                row.name,
                row.current,
                row.versions,
                row.documents,
                row.chunks,
                show.size(row.size_bytes),
                show.ago(row.updated_at),
            )
            for row in rows
        ],
        empty="There are no collections yet; `ingestboard submit PATH --collection NAME` makes one.",
    )


@app.command(rich_help_panel="Collections")
def snapshots(collection: CollectionName, json: Json = False) -> None:
    """List the snapshots of a collection, newest first."""
    from tasks import catalog
    from tasks.errors import CollectionNotFound

    with reader() as person:
        rows = catalog.snapshots(settings(), person, collection)
    if not rows:
        raise CollectionNotFound(name=collection)
    if json:
        show.as_json(rows)
        return
    show.table(
        ("VERSION", "", "DOCUMENTS", "CHUNKS", "SIZE", "OWNER", "JOB", "PUBLISHED"),
        [
            (
                row.version,
                "current" if row.current else "",
                row.documents,
                row.chunks,
                show.size(row.size_bytes),
                row.owner,
                row.job,
                show.when(row.created_at),
            )
            for row in rows
        ],
        empty="",
    )


@app.command(rich_help_panel="Collections")
def rollback(
    collection: CollectionName,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A snapshot's version.", show_default=False)],
    json: Json = False,
) -> None:
    """Make another snapshot of a collection the current one. The others stay."""
    from tasks import catalog

    with ledger() as connected:
        row = catalog.roll_back(connected, collection, version, by=owner())
    if json:
        show.as_json(row)
    else:
        typer.echo(
            f"{row.collection} is at snapshot {row.version} now: {row.documents} documents, {row.chunks} chunks."
        )


@app.command(rich_help_panel="Collections")
def search(
    collection: CollectionName,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What to look for.", show_default=False)],
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="Passages at most.")] = 10,
    version: Annotated[
        str, typer.Option("--version", help="A snapshot instead of the current one.", show_default=False)
    ] = "",
    json: Json = False,
) -> None:
    """Search the current snapshot of a collection."""
    from tasks import catalog
    from tasks.ingest.answer import answer  # two seconds of imports that no other command needs

    with reader() as person:
        catalog.must_see(person, collection)
        found = answer(settings(), collection, query, k, version or None)
    if json:
        show.as_json(found)
        return
    if not found.hits:
        typer.echo(f"Nothing in {collection} comes near to that.")
    for hit in found.hits:
        page = f", page {hit.page}" if hit.page is not None else ""
        typer.echo(f"{hit.score:.3f}  {show.clean(hit.document)}{page}")
        passage = show.clean(" ".join(hit.text.split()))
        typer.echo(f"       {passage[:PASSAGE]}{'…' if len(passage) > PASSAGE else ''}")
