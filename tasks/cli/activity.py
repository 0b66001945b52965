"""The command that says who did what: activity."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.cli import show
from tasks.cli.app import Json, app, ledger

if TYPE_CHECKING:
    from tasks.ledger.activity import ActivityRow


@app.command(rich_help_panel="Jobs")
def activity(
    by: Annotated[str, typer.Option(help="Only this person.", show_default=False)] = "",
    action: Annotated[str, typer.Option(help="Only this action, such as cancel.", show_default=False)] = "",
    on: Annotated[str, typer.Option(help="Only on this job, collection or worker.", show_default=False)] = "",
    text: Annotated[str, typer.Option(help="Only what holds this text.", show_default=False)] = "",
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused.")] = False,
    hours: Annotated[float | None, typer.Option(min=0, help="Only the last so many hours.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=50_000, help="Rows at most, the newest first.")] = 50,
    json: Json = False,
) -> None:
    """Say who did what to which job, with the result; newest first."""
    from tasks.ledger import activity as looking

    since = datetime.now(UTC) - timedelta(hours=hours) if hours is not None else None
    outcome = "refused" if refused else ""
    wanted = looking.Wanted(by=by, action=action, subject=on, text=text, since=since, outcome=outcome)
    with ledger() as connected:
        rows, all_of_it = looking.matching(connected, wanted, limit=limit)
    if json:
        show.as_json(rows)
        return
    table(rows)
    if not all_of_it:
        typer.echo(f"There is more; --limit shows more than {limit}.")


def table(rows: Iterable[ActivityRow]) -> None:
    """Print rows for a person."""
    show.table(
        ("WHEN", "WHO", "FROM", "ACTION", "ON", "", "RESULT"),
        [(show.when(one.at), one.by, one.origin, one.action, one.subject, _marked(one), one.result) for one in rows],
        empty="Nobody has done such a thing.",
    )


def _marked(row: ActivityRow) -> str:
    return row.outcome if row.outcome == "refused" else ""
