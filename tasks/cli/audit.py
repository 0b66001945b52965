"""The commands of the record: audit, audit verify, audit export."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from json import dumps
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.cli import show
from tasks.cli.activity import table
from tasks.cli.app import Json, app, ledger, settings

if TYPE_CHECKING:
    from tasks.ledger import Ledger

audit_app = typer.Typer(invoke_without_command=True, no_args_is_help=False)
app.add_typer(audit_app, name="audit", rich_help_panel="Jobs")

NOTES_SHOWN = 20


@contextmanager
def ledger_if_there() -> Iterator[Ledger | None]:
    """The ledger, for who may read the whole record; None while Redis is away, which is told: the files are there.

    Raises NotAllowed. Where people sign in nobody can tell without Redis who asks, so that its error is the answer.
    """
    from tasks.access import Right
    from tasks.errors import NotRunning, RedisUnreachable
    from tasks.ledger import control

    with_it = ledger()
    try:
        connected = with_it.__enter__()
    except (NotRunning, RedisUnreachable) as error:
        if not nobody_signs_in():
            raise
        typer.echo(f"{error} This is what was copied to the files.", err=True)
        yield None
        return
    try:
        control.permit(connected, Right.READ_RECORD, "record", action="read record")
        yield connected
    finally:
        with_it.__exit__(None, None, None)


def nobody_signs_in() -> bool:
    """Whether whoever runs this is an administrator, as nobody signs in here and no token says otherwise."""
    return settings().auth == "local" and settings().token is None


@audit_app.callback()
def audit(
    context: typer.Context,
    by: Annotated[str, typer.Option(help="Only this person.", show_default=False)] = "",
    action: Annotated[str, typer.Option(help="Only this action, such as cancel.", show_default=False)] = "",
    on: Annotated[str, typer.Option(help="Only on this job, collection or worker.", show_default=False)] = "",
    origin: Annotated[str, typer.Option(help="Only from there, such as page or an address.", show_default=False)] = "",
    text: Annotated[str, typer.Option(help="Only what holds this text.", show_default=False)] = "",
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused.")] = False,
    since: Annotated[
        str, typer.Option(help="Only from then on: 2026-11-20, 2026-11-20T08:00, or 24h, 7d ago.", show_default=False)
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Rows at most, the newest first.")] = 50,
    json: Json = False,
) -> None:
    """Say who did what to what, from where, allowed or refused; all that was ever recorded, newest first."""
    if context.invoked_subcommand is not None:
        return
    from tasks.ledger import activity, chain

    wanted = activity.Wanted(
        by=by,
        action=action,
        subject=on,
        text=text,
        since=moment(since, "--since"),
        outcome="refused" if refused else "",
        origin=origin,
    )
    with ledger_if_there() as connected:
        found = chain.newest_first(settings(), connected, wanted, limit=limit)
    if json:
        show.as_json(found.rows)
        return
    table(found.rows)
    if not found.all_of_it:
        typer.echo(f"There is more; --limit shows more than {limit}.")


@audit_app.command()
def verify(
    holds: Annotated[
        list[str] | None,
        typer.Option(metavar="HASH", help="A hash noted elsewhere, which must be there still.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Check that no line of the record was removed, changed or added; exit 1 when one was."""
    from tasks.ledger import chain

    with ledger_if_there() as connected:
        report = chain.verify(settings(), connected, noted=holds or ())
    if json:
        show.as_json(report)
    else:
        for fault in report.faults:
            typer.echo(show.clean(str(fault)))
        for note in report.notes[:NOTES_SHOWN]:
            typer.echo(show.clean(note))
        if len(report.notes) > NOTES_SHOWN:
            typer.echo(f"So it is {len(report.notes) - NOTES_SHOWN} times more.")
        typer.echo(_said(report.files, report.lines, report.compared, len(report.faults), report.last))
    if report.faults:
        raise typer.Exit(1)


def _said(files: int, lines: int, compared: int | None, faults: int, last: str) -> str:
    if not files and not faults:
        return "Nothing was copied to files yet."
    looked = f"{_counted(lines, 'line')} in {_counted(files, 'file')}"
    beside = "" if compared is None else f", {_counted(compared, 'row')} compared with Redis"
    if faults:
        return f"{looked}{beside}: {faults} {'thing is' if faults == 1 else 'things are'} not as written."
    return f"{looked}{beside}: the chain is whole. The last hash is {last}."


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


@audit_app.command()
def export(
    since: Annotated[
        str, typer.Option(help="From then on: 2026-11-20, 2026-11-20T08:00, or 24h, 7d ago.", show_default=False)
    ] = "",
    until: Annotated[str, typer.Option(help="Up to then, written in the same way.", show_default=False)] = "",
) -> None:
    """Print the record as JSON lines, oldest first, each with its place in the chain; for another system to keep."""
    from tasks.ledger import chain

    first, last = moment(since, "--since"), moment(until, "--until")
    with nullcontext() if nobody_signs_in() else ledger_if_there():
        for line in chain.oldest_first(settings(), since=first, until=last):
            sys.stdout.write(dumps(line) + "\n")


def moment(said: str, option: str) -> datetime | None:
    """A time as a person writes it, in the local zone unless it names one; None for ''."""
    if not said:
        return None
    units = {"h": timedelta(hours=1), "d": timedelta(days=1), "m": timedelta(minutes=1)}
    try:
        if said[-1] in units and said[:-1].isascii() and said[:-1].isdecimal():
            return datetime.now(UTC) - int(said[:-1]) * units[said[-1]]
        return datetime.fromisoformat(said).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"'{said}' is no time; write 2026-11-20, 2026-11-20T08:00, 24h or 7d.", param_hint=option
        ) from None
