"""Commands that run programs or look at them: up, worker, dashboard, workers, doctor."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

import typer

from tasks.cli import show
from tasks.cli.app import Json, app, settings

Count = Annotated[
    int | None,
    typer.Option("-n", min=1, max=512, help="Workers in the pool; one a core by default.", show_default=False),
]


@app.command(rich_help_panel="Programs")
def up(n: Count = None) -> None:
    """Run all of it on this machine: Redis, workers and the dashboard, until Ctrl-C."""
    from tasks.supervisor import Supervisor

    Supervisor(settings(), workers=n, say=_say).run()


@app.command(rich_help_panel="Programs")
def worker(n: Count = None) -> None:
    """Run a pool of workers until it is told to stop."""
    _become("workers", *(["-n", str(n)] if n else []))


@app.command(rich_help_panel="Programs")
def dashboard() -> None:
    """Run the dashboard until it is told to stop."""
    _become("dashboard")


@app.command(rich_help_panel="Programs")
def doctor(json: Json = False) -> None:
    """Check this installation; exit 1 when something does not work."""
    from tasks.cli.examination import examine

    found = examine()
    if json:
        show.as_json(found)
    else:
        show.table(("CHECK", "", "FOUND"), [(one.check, one.verdict, one.found) for one in found], empty="")
    if any(one.verdict == "fails" for one in found):
        raise typer.Exit(1)


def _become(module: str, *arguments: str) -> None:
    """Be that program from here on: signals reach it and its exit code is ours."""
    import os

    from tasks.child import python_module

    settings()  # what cannot be used is told before anything starts
    sys.stdout.flush()
    command = python_module(module, *arguments)
    os.execv(command[0], command)


def _say(sentence: str) -> None:
    # Whoever read our output may leave; that stops nothing.
    with contextlib.suppress(OSError):
        print(sentence, flush=True)
