"""The commands of the roles file: roles show, roles check, roles set. Where people sign in they take the role admin."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tasks.cli.app import app, ledger, owner

roles_app = typer.Typer(no_args_is_help=True)
app.add_typer(roles_app, name="roles", rich_help_panel="Access")

File = Annotated[str, typer.Argument(metavar="FILE", help="The text to use; - for standard input.", show_default=False)]


@roles_app.callback()
def roles() -> None:
    """Say who may do what, and change it: the file that INGESTBOARD_ROLES names."""


@roles_app.command(name="show")
def show_roles() -> None:
    """Print the roles file."""
    from tasks.access import Right, RolesFile
    from tasks.ledger import control

    with ledger() as connected:
        control.permit(connected, Right.SET_ROLES, "roles", by=owner(), action="show roles")
        typer.echo(RolesFile(connected.settings.roles_file).content(), nl=False)


@roles_app.command()
def check(
    file: File,
    email: Annotated[str, typer.Option("--as", help="Say what this address would be.", show_default=False)] = "",
    group: Annotated[list[str] | None, typer.Option(help="With these groups.", show_default=False)] = None,
) -> None:
    """Say whether a text can be used, and what somebody would be under it. Nothing is changed."""
    from tasks.access.comparing import said_of
    from tasks.access.roles import parse

    made = parse(_text(file), path=file)
    if email or group:
        typer.echo(said_of(made.person(name=email or "Somebody", email=email, groups=group or ())))
    else:
        typer.echo("The text can be used.")


@roles_app.command(name="set")
def set_roles(file: File) -> None:
    """Put another text in place of the roles file, whole or not at all."""
    from tasks.access import Right, RolesFile
    from tasks.ledger import control

    content = _text(file)
    with ledger() as connected:
        control.permit(connected, Right.SET_ROLES, "roles", by=owner(), action="set roles")
        known = RolesFile(connected.settings.roles_file)
        before = known.content() if known.path.exists() else ""
        typer.echo(control.set_roles(connected, known, content, before=before, by=owner()))


def _text(file: str) -> str:
    """The text of a file. Raises RolesUnreadable."""
    from tasks.access.roles import LARGEST
    from tasks.errors import RolesUnreadable

    try:
        raw = sys.stdin.buffer.read(LARGEST + 1) if file == "-" else Path(file).read_bytes()
        return raw.decode("utf-8")
    except OSError as error:
        raise RolesUnreadable(path=file, reason=error.strerror or type(error).__name__) from None
    except UnicodeDecodeError:
        raise RolesUnreadable(path=file, reason="it is not written in UTF-8") from None
