"""The command that does one thing to many jobs: `ingestboard jobs --state queued --json | ingestboard bulk cancel -`.

The ids are fixed when it is asked; the work is a job of its own.
"""

from __future__ import annotations

import re
import sys
from json import loads
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tasks import telling
from tasks.cli import show
from tasks.cli.app import Json, app, ledger, owner

if TYPE_CHECKING:
    from tasks.ledger import Ledger

UNASKED = 25  # so many jobs are acted on without --yes
ACTIONS = ("cancel", "force-stop", "retry", "delete", "reprioritise")
JOB = re.compile(r"[A-Za-z0-9_-]{1,64}")


@app.command(rich_help_panel="Jobs")
def bulk(
    action: Annotated[str, typer.Argument(help=f"{', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}.", show_default=False)],
    jobs: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Ids of jobs, or - to read them.", show_default=False)
    ],
    everything: Annotated[bool, typer.Option("--all", help="Retry all documents, not only what failed.")] = False,
    priority: Annotated[str, typer.Option(help="For reprioritise: high, default or low.", show_default=False)] = "",
    yes: Annotated[bool, typer.Option("--yes", help=f"Also for more than {UNASKED} jobs.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end and say what became of them.")] = False,
    json: Json = False,
) -> None:
    """Do one thing to many jobs, in the background, as a job of its own.

    With - the ids come from the standard input: one a line, or the JSON of `ingestboard jobs --json`.
    """
    from tasks import bulk as doing
    from tasks.ledger import Action

    if action not in ACTIONS:
        raise typer.BadParameter(f"{action!r} is not one of {', '.join(ACTIONS)}", param_hint="ACTION")
    read = jobs == ["-"]
    ids = _ids(sys.stdin.read()) if read else _checked(jobs)
    if len(ids) > UNASKED and not yes:
        raise typer.BadParameter(f"this would {action.replace('-', ' ')} {len(ids):,} jobs; say --yes if it shall")
    options: dict[str, Any] = {"failed_only": not everything, **({"priority": priority} if priority else {})}
    with ledger() as connected:
        receipt = doing.request(
            connected,
            Action(action.replace("-", " ")),
            ids,
            by=owner(),
            shown="the command line" if read else " ".join(ids),
            options=options,
        )
        if not wait:
            _tell(connected, receipt.job, receipt.sentence, json)
            return
        from tasks.cli.waiting import exit_code, goes_on_without_us, until_final

        with goes_on_without_us(receipt.job):
            row = until_final(connected, receipt.job)
        _tell(connected, receipt.job, row.step_description if not row.error else row.error, json)
    raise typer.Exit(exit_code(row.state))


def _tell(connected: Ledger, job: str, sentence: str, json: bool) -> None:
    from tasks import bulk as doing
    from tasks.ledger import monitor

    found = doing.outcome(connected, job)
    if json:
        show.as_json({**telling.job_object(monitor.job(connected, job)), "outcome": found, "sentence": sentence})
        return
    typer.echo(sentence)
    for _, why in found.named:
        typer.echo(show.clean(why))


def _ids(read: str) -> list[str]:
    """The ids in what was piped in: JSON rows with an `id`, or one id a line."""
    if not read.lstrip().startswith("["):
        return _checked([line.strip() for line in read.splitlines() if line.strip()])
    try:
        rows = loads(read)
    except ValueError:
        raise typer.BadParameter("the standard input is no JSON of jobs", param_hint="-") from None
    return _checked([str(row.get("id", "")) if isinstance(row, dict) else str(row) for row in rows])


def _checked(ids: list[str]) -> list[str]:
    wrong = next((one for one in ids if not JOB.fullmatch(one)), None)
    if wrong is not None:
        raise typer.BadParameter(f"{show.clean(wrong)[:80]!r} is no id of a job", param_hint="ID")
    return ids
