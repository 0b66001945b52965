"""The commands about who asks: whoami, token make, token list, token revoke."""

from __future__ import annotations

from typing import Annotated

import typer

from tasks import telling
from tasks.cli import show
from tasks.cli.app import Json, app, ledger, own_token

PANEL = "Access"
token_app = typer.Typer(no_args_is_help=True, help="Personal tokens, for the command line and the HTTP API.")
app.add_typer(token_app, name="token", rich_help_panel=PANEL)


@app.command(rich_help_panel=PANEL)
def whoami(json: Json = False) -> None:
    """Say who you are to this board, and what you may do."""
    with ledger() as connected:
        found = telling.person_object(connected.person, own_token())
    if json:
        show.as_json(found)
        return
    show.facts(
        [
            ("name", found["name"]),
            ("role", found["role"] or "none"),
            ("groups", ", ".join(found["groups"])),
            ("token", found["token"]),
            ("sees", "not every collection" if found["limited"] else "every collection"),
            ("may", ", ".join(name.replace("_", " ") for name in found["rights"]) or "nothing"),
        ]
    )


@token_app.command()
def make(
    label: Annotated[str, typer.Argument(metavar="LABEL", help="What it is for.", show_default=False)],
    role: Annotated[str, typer.Option(help="viewer, operator or admin; yours at most.")] = "viewer",
    days: Annotated[float, typer.Option(help="Days until it opens nothing any more.")] = 30.0,
) -> None:
    """Make a token of yours. It is printed this once, alone on the standard output."""
    from tasks.access import Role
    from tasks.ledger import tokens

    if role not in set(Role):
        raise typer.BadParameter(f"{role!r} is not one of {', '.join(Role)}", param_hint="--role")
    with ledger() as connected:
        spelled, made = tokens.make(connected, label, role=Role(role), days=days, made_with=own_token())
    typer.echo(spelled)
    until = f"until {show.when(made.expires_at)}" if made.expires_at else "for a while"
    typer.echo(f"Token {made.id} speaks for {show.clean(made.owner)} as {role} {until}; keep it secret.", err=True)


@token_app.command(name="list")
def listed(
    everybodys: Annotated[bool, typer.Option("--all", help="Those of everybody, for who may revoke them.")] = False,
    json: Json = False,
) -> None:
    """List your tokens, without their secrets."""
    from tasks.access import Right
    from tasks.ledger import control, tokens

    with ledger() as connected:
        if everybodys:
            control.permit(connected, Right.REVOKE_TOKENS, "tokens", action="list tokens")
        rows = tokens.tokens(connected, everybodys=everybodys)
    if json:
        show.as_json(rows)
        return
    show.table(
        ("ID", "OWNER", "ROLE", "LABEL", "MADE", "ENDS", "LAST USE"),
        [
            (
                row.id,
                row.owner,
                row.role.value,
                row.label,
                show.when(row.created_at),
                "expired" if row.expired else show.when(row.expires_at),
                show.ago(row.used_at) or "never",
            )
            for row in rows
        ],
        empty="There are no tokens; `ingestboard token make LABEL` makes one.",
    )


@token_app.command()
def revoke(token: Annotated[str, typer.Argument(metavar="ID", help="The token's id.", show_default=False)]) -> None:
    """Let a token open nothing from now on."""
    from tasks.ledger import tokens

    with ledger() as connected:
        typer.echo(tokens.revoke(connected, token))
