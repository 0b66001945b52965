"""`ingestboard why`: what keeps a job from running."""

from __future__ import annotations

import typer

from tasks.cli import show
from tasks.cli.app import JobId, Json, app, ledger


@app.command(rich_help_panel="Jobs")
def why(job_id: JobId, json: Json = False) -> None:
    """Say why a job does not run: its place in the queue, a pause, no worker, a lock; and when it may start."""
    from tasks.ledger import waiting

    with ledger() as connected:
        found = waiting.why(connected, job_id)
    if json:
        show.as_json(found)
        return
    typer.echo(found.reason)
    if found.starts_in_s:
        typer.echo(f"It may start in about {show.lasting(found.starts_in_s)}.")
