"""Commands that act on jobs, one or many: cancel, retry, priority, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tasks import telling
from tasks.cli import show
from tasks.cli.app import Json, app, ledger, owner

if TYPE_CHECKING:
    from tasks.ledger import Action, Ledger
    from tasks.ledger.records import Receipt

JobIds = Annotated[
    list[str], typer.Argument(metavar="ID...", help="The job's id; several are asked at once.", show_default=False)
]


@app.command(rich_help_panel="Jobs")
def cancel(
    job_ids: JobIds,
    force: Annotated[bool, typer.Option("--force", help="Kill their work horses now.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until they have stopped, and say what is confirmed.")
    ] = False,
    json: Json = False,
) -> None:
    """Cancel jobs: a queued one at once, a running one at its next checkpoint."""
    from tasks.ledger import Action, State, control, monitor

    with ledger() as connected:
        if len(job_ids) > 1:
            done = _many(connected, Action.FORCE_STOP if force else Action.CANCEL, job_ids, json=json and not wait)
        else:
            receipt = control.cancel(connected, job_ids[0], by=owner(), force=force)
            done = [receipt.job]
            if not wait:
                _tell(connected, receipt, json)
        if not wait:
            raise typer.Exit(0 if len(done) == len(set(job_ids)) else 1)
        from tasks.cli.waiting import goes_on_without_us, until_final

        states, confirmed = [], []
        for job_id in done:
            with goes_on_without_us(job_id):
                row = until_final(connected, job_id)
            states.append(row.state)
            one = monitor.receipt(connected, job_id)
            if json:
                confirmed.append({**telling.job_object(row), "receipt": telling.plain(one)})
            elif one is not None:
                _print(one)
        if json:
            show.as_json(confirmed[0] if len(job_ids) == 1 else confirmed)
    if len(done) < len(set(job_ids)) or any(state is not State.CANCELED for state in states):
        raise typer.Exit(1)


@app.command(rich_help_panel="Jobs")
def retry(
    job_ids: JobIds,
    failed_only: Annotated[
        bool, typer.Option("--failed-only", help="Only the documents that did not complete.")
    ] = False,
    document: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Only this one, by its number in `ingestboard job ID`; may be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """Run failed, partial, canceled or completed jobs again, as new attempts."""
    from tasks.ledger import Action, control

    if document and len(job_ids) > 1:
        raise typer.BadParameter("numbers documents of one job; name one job", param_hint="--document")
    with ledger() as connected:
        if len(job_ids) > 1:
            done = _many(connected, Action.RETRY, job_ids, json=json, failed_only=failed_only)
            raise typer.Exit(0 if len(done) == len(set(job_ids)) else 1)
        numbers = [number - 1 for number in document] if document else None
        receipt = control.retry(connected, job_ids[0], by=owner(), failed_only=failed_only, documents=numbers)
        _tell(connected, receipt, json)


@app.command(rich_help_panel="Jobs")
def priority(
    arguments: Annotated[
        list[str], typer.Argument(metavar="ID... PRIORITY", help="Jobs, then high, default or low.", show_default=False)
    ],
    json: Json = False,
) -> None:
    """Move live jobs to another queue: high, default or low."""
    from tasks.ledger import Action, control
    from tasks.settings import QUEUES

    *job_ids, wanted = arguments
    if not job_ids or wanted not in QUEUES:
        raise typer.BadParameter(f"name jobs and then one of {', '.join(QUEUES)}", param_hint="ID... PRIORITY")
    with ledger() as connected:
        if len(job_ids) > 1:
            done = _many(connected, Action.REPRIORITISE, job_ids, json=json, priority=wanted)
            raise typer.Exit(0 if len(done) == len(set(job_ids)) else 1)
        _tell(connected, control.reprioritise(connected, job_ids[0], wanted, by=owner()), json)


@app.command(rich_help_panel="Jobs")
def delete(job_ids: JobIds, json: Json = False) -> None:
    """Take final jobs off the board; what they published stays."""
    from tasks.ledger import Action, control

    with ledger() as connected:
        if len(job_ids) > 1:
            done = _many(connected, Action.DELETE, job_ids, json=json)
            raise typer.Exit(0 if len(done) == len(set(job_ids)) else 1)
        receipt = control.delete(connected, job_ids[0], by=owner())
    if json:
        show.as_json(receipt)
    else:
        typer.echo(receipt.sentence)


def _many(connected: Ledger, action: Action, job_ids: Sequence[str], *, json: bool, **options: Any) -> list[str]:
    """Ask many; what took it on stdout, what did not on stderr. The ids of those that took it."""
    from tasks.ledger import control

    outcomes = control.act(connected, action, job_ids, by=owner(), **options)
    if json:
        show.as_json(outcomes)
    else:
        for receipt in outcomes.done:
            typer.echo(receipt.sentence)
        for refused in outcomes.refused:
            typer.echo(refused.reason, err=True)
    return [receipt.job for receipt in outcomes.done]


def _tell(connected: Ledger, receipt: Receipt, json: bool) -> None:
    if not json:
        _print(receipt)
        return
    from tasks.ledger import monitor

    row = telling.job_object(monitor.job(connected, receipt.job))
    show.as_json({**row, "sentence": receipt.sentence, "receipt": telling.plain(receipt)})


def _print(receipt: Receipt) -> None:
    for sentence in filter(None, (receipt.sentence, receipt.kept, receipt.resume)):
        typer.echo(sentence)
