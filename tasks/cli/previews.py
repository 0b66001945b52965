"""The command that shows how a document would be cut: preview."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tasks.cli import show
from tasks.cli.app import Json, app


@app.command(rich_help_panel="Jobs")
def preview(
    file: Annotated[Path, typer.Argument(help="A document.", show_default=False)],
    splitter: Annotated[str, typer.Option(help="characters, sentence or markdown.")] = "characters",
    chunk_size: Annotated[int, typer.Option(help="Characters of a chunk; tokens for sentence.")] = 1200,
    overlap: Annotated[int, typer.Option(help="How much neighbouring chunks share.")] = 120,
    ocr: Annotated[str, typer.Option(help="Text recognition in pictures and scans: auto, on or off.")] = "auto",
    chunks: Annotated[int, typer.Option(min=1, max=1000, help="Chunks that are shown.")] = 5,
    json: Json = False,
) -> None:
    """Show how a document would be cut into chunks. Nothing is embedded or submitted."""
    from pydantic import ValidationError

    from tasks.errors import FileUnreadable
    from tasks.ingest.preview import preview as cut
    from tasks.recipe import Recipe

    given = {"splitter": splitter, "chunk_size": chunk_size, "chunk_overlap": overlap, "ocr": ocr}
    try:
        recipe = Recipe.model_validate(given)
    except ValidationError as error:
        raise typer.BadParameter(error.errors(include_input=False, include_url=False)[0]["msg"]) from None
    try:
        found = cut(file, file.name, recipe, shown=chunks)
    except OSError as error:
        raise FileUnreadable(path=file, reason=error.strerror or type(error).__name__) from error
    if json:
        show.as_json(asdict(found))
        return
    more = "" if found.whole else " so far; the document is longer"
    typer.echo(
        f"{found.total} chunks{more}, {found.shortest} to {found.longest} characters, {found.mean:.0f} on average."
    )
    for chunk in found.chunks:
        page = f", page {chunk.page}" if chunk.page else ""
        typer.echo(f"\n--- chunk {chunk.position + 1}{page}, {len(chunk.text)} characters\n{show.clean(chunk.text)}")
