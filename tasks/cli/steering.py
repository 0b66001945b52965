"""Commands that steer what does the work: workers, pause, resume, drain, undrain, scale, write-off."""

from __future__ import annotations

from typing import Annotated

import typer

from tasks.cli import show
from tasks.cli.app import Json, app, ledger, owner

WorkerName = Annotated[str, typer.Argument(metavar="WORKER", help="The worker's name.", show_default=False)]
QueueName = Annotated[str, typer.Argument(metavar="QUEUE", help="high, default or low.", show_default=False)]


@app.command(rich_help_panel="Workers")
def workers(json: Json = False) -> None:
    """List the workers alive, their pools, and the queues that are paused."""
    from tasks.ledger import fleet

    with ledger() as connected:
        rows, pools, paused = fleet.workers(connected), fleet.pools(connected), fleet.paused(connected)
    if json:
        show.as_json(rows)
        return
    alive = any(pool.alive for pool in pools)
    show.table(
        ("NAME", "HOST", "PID", "STATE", "JOB", "DOCUMENT", "DONE", "FAILED", "HEARD"),
        [
            (
                row.name,
                row.host,
                row.pid,
                "written off" if row.written_off else "drained" if row.drained else row.state,
                row.job,
                row.document,
                row.done,
                row.failed,
                f"{show.lasting(row.heartbeat_age_s)} ago",
            )
            for row in rows
        ],
        empty=f"No worker is alive; {'`ingestboard scale HOST N`' if alive else '`ingestboard worker`'} starts some.",
    )
    if alive:
        typer.echo()
        show.table(
            ("POOL", "HOST", "WORKERS", "WANTED", "HEARD"),
            [
                (
                    pool.name,
                    pool.host,
                    pool.size,
                    f"{pool.low} to {pool.high}" if pool.low < pool.high else pool.wanted,
                    f"{show.lasting(pool.heartbeat_age_s)} ago",
                )
                for pool in pools
                if pool.alive
            ],
            empty="",
        )
    for queue, pause in sorted(paused.items()):
        why = f": {show.clean(pause.why)}" if pause.why else ""
        typer.echo(f"The queue {queue} was paused by {show.clean(pause.by)} {show.ago(pause.at)}{why}.")


@app.command(rich_help_panel="Workers")
def pause(
    queue: QueueName,
    why: Annotated[str, typer.Option(help="What others are told.", show_default=False)] = "",
) -> None:
    """Start nothing more from a queue; what runs goes on."""
    from tasks.ledger import control

    with ledger() as connected:
        typer.echo(control.pause(connected, queue, by=owner(), why=why))


@app.command(rich_help_panel="Workers")
def resume(queue: QueueName) -> None:
    """Let a paused queue go on."""
    from tasks.ledger import control

    with ledger() as connected:
        typer.echo(control.resume(connected, queue, by=owner()))


@app.command(rich_help_panel="Workers")
def drain(worker: WorkerName) -> None:
    """Let a worker end what it has in hand and take nothing more."""
    from tasks.ledger import control

    with ledger() as connected:
        typer.echo(control.drain(connected, worker, by=owner()))


@app.command(rich_help_panel="Workers")
def undrain(worker: WorkerName) -> None:
    """Let a drained worker take work again."""
    from tasks.ledger import control

    with ledger() as connected:
        typer.echo(control.undrain(connected, worker, by=owner()))


@app.command(rich_help_panel="Workers")
def scale(
    host: Annotated[str, typer.Argument(metavar="HOST", help="The host of the pool.", show_default=False)],
    size: Annotated[int, typer.Argument(metavar="N", help="How many workers.", min=0, max=512, show_default=False)],
    low: Annotated[int, typer.Option(min=0, max=512, help="With --high: it sizes itself, at least this.")] = 0,
    high: Annotated[int, typer.Option(min=0, max=512, help="With --low: it sizes itself, at most this.")] = 0,
) -> None:
    """Set how many workers a host has, while they run. Growing is immediate, shrinking waits for what is in hand."""
    from tasks.ledger import control

    with ledger() as connected:
        typer.echo(control.scale(connected, host, size, by=owner(), low=low, high=high))


@app.command(name="write-off", rich_help_panel="Workers")
def write_off(worker: WorkerName) -> None:
    """Give up a worker that does not answer: its work goes on elsewhere, and it can write nothing more."""
    from tasks.ledger import control

    with ledger() as connected:
        typer.echo(control.write_off(connected, worker, by=owner()))
