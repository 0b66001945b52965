"""Waiting for a job's end, with a progress bar on stderr, and the exit code that its end means."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import redis
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from tasks.cli import show
from tasks.ledger import DocumentState, State, monitor
from tasks.ledger.trouble import passes

if TYPE_CHECKING:
    from tasks.ledger import Ledger
    from tasks.ledger.records import JobRow

POLL_S = 0.2
# The job does not end because nobody can look.
AWAY_S = 60.0
REASONS_SHOWN = 10

EXIT_CODES = {State.COMPLETED: 0, State.FAILED: 1, State.PARTIAL: 3, State.CANCELED: 4}


def exit_code(state: State) -> int:
    """What a final state means to a script."""
    return EXIT_CODES[state]


@contextmanager
def goes_on_without_us(job_id: str) -> Iterator[None]:
    """Ctrl-C in here leaves the job as it is, says so and exits 130."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"Job {job_id} goes on; `ingestboard job {job_id}` shows it.", err=True)
        raise typer.Exit(130) from None


def until_final(ledger: Ledger, job_id: str) -> JobRow:
    """Watch a job until it is final. A Redis that is away for a while is waited for."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        shown = bar.add_task(job_id, total=100.0)
        heard_at = time.monotonic()
        while True:
            try:
                with ledger.hurried():
                    row = monitor.job(ledger, job_id)
            except redis.RedisError as error:
                if not passes(error) or time.monotonic() - heard_at > AWAY_S:
                    raise
                bar.update(shown, description="waiting for Redis")
            else:
                heard_at = time.monotonic()
                bar.update(shown, completed=row.percent, description=escape(show.clean(_where(row))))
                if row.final:
                    return row
            time.sleep(POLL_S)


def outcome(ledger: Ledger, row: JobRow, *, quiet: bool) -> None:
    """Say how a job ended: what went well on stdout, what did not on stderr."""
    if row.state is State.CANCELED:
        typer.echo(f"Job {row.id} was canceled.", err=True)
    elif row.state is State.FAILED:
        typer.echo(f"Job {row.id} failed: {show.clean(row.error) or 'no document could be ingested.'}", err=True)
    elif not quiet:
        done = f"{row.documents_done} of {row.documents_total} documents, {row.chunks} chunks"
        typer.echo(f"Job {row.id} is {row.state.value}: {done}, snapshot {row.snapshot} of {row.collection}.")
    if row.state in (State.FAILED, State.PARTIAL):
        failed = [one for one in monitor.documents(ledger, row.id) if one.state is DocumentState.FAILED]
        for one in failed[:REASONS_SHOWN]:
            typer.echo(f"  {show.clean(one.name)}: {show.clean(one.error)}", err=True)
        if len(failed) > REASONS_SHOWN:
            typer.echo(f"  and {len(failed) - REASONS_SHOWN} more; `ingestboard job {row.id}` lists them.", err=True)


def _where(row: JobRow) -> str:
    return " ".join(filter(None, (row.state.value, row.stage, row.step_description)))[:60]
