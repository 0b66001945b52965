"""The typer application that the commands join, and what they share: the ledger, the owner, the options."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tasks.access import Person
    from tasks.ledger import Ledger
    from tasks.settings import Settings

app = typer.Typer(
    name="ingestboard",
    help="A live control board over a Redis-backed queue of document ingestion.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PATIENCE_S = 60.0  # of a command that has begun, for a Redis in trouble

Json = Annotated[bool, typer.Option("--json", help="Print JSON with stable field names.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.", show_default=False)]
CollectionName = Annotated[str, typer.Argument(metavar="COLLECTION", help="The collection.", show_default=False)]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from tasks import __version__

        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def settings() -> Settings:
    """The settings of this process, read when the first command asks for them."""
    from tasks import settings as source

    return source.current()


@contextmanager
def ledger() -> Iterator[Ledger]:
    """The ledger of this installation, in the hands of whoever runs this command.

    Raises NotRunning, RedisUnreachable, RedisTooOld, and where people sign in NotSignedIn, TokenRefused or NotAllowed.
    """
    from tasks.errors import NotRunning, RedisUnreachable
    from tasks.ledger import connect
    from tasks.ledger.origin import acting_from
    from tasks.ledger.trouble import NO_CONNECTION

    using = settings()
    try:
        connected = connect(using)
    except RedisUnreachable as error:
        # One that is there and does not serve us is another matter: starting a second one would not help.
        if using.embedded and error.data["reason"] == NO_CONNECTION:
            raise NotRunning(data=using.data) from None
        raise
    # Whoever is not there at all is told at once; trouble on the way, or a server that takes no writes, is waited for.
    connected.be_patient(min(PATIENCE_S, using.redis_patience_s))
    try:
        with acting_from(f"cli {account()}@{socket.gethostname()}"):
            yield connected.held_by(_known(_person(connected)))
    finally:
        connected.close()


def _person(connected: Ledger) -> Person:
    """Who runs this command: the account where nobody signs in, else whose token it is."""
    from tasks.access import Person, Role, RolesFile
    from tasks.errors import NotSignedIn
    from tasks.ledger import tokens

    using = connected.settings
    if using.token is not None:
        roles = None if using.auth == "local" else RolesFile(using.roles_file).current
        return tokens.person_of(connected, using.token.get_secret_value(), roles)
    if using.auth == "local":
        return Person(owner(), Role.ADMIN)
    raise NotSignedIn(remedy="make a token on the page Access and put it into INGESTBOARD_TOKEN")


def _known(person: Person) -> Person:
    """The person, if they may look at all. What is of no collection, such as the workers, is for who has a role."""
    from tasks.access import Right
    from tasks.errors import NotAllowed

    if not person.may(Right.SEE):
        raise NotAllowed(person=person.signs(), right=Right.SEE.value, role="none", needed="viewer")
    return person


def own_token() -> str:
    """The id of the token that this command acts by; '' for none."""
    from tasks.ledger import tokens

    using = settings()
    return tokens.id_of(using.token.get_secret_value()) if using.token is not None else ""


@contextmanager
def reader() -> Iterator[Person]:
    """Who looks at what lies on disk, for commands that need no Redis where nobody signs in. Raises as `ledger`."""
    from tasks.access import Person, Role

    using = settings()
    if using.auth == "local" and using.token is None:
        yield Person(owner(), Role.ADMIN)
        return
    with ledger() as connected:
        yield connected.person


def owner() -> str:
    """The name on the record: INGESTBOARD_OWNER, else the name of the account."""
    return settings().owner or account()


def account() -> str:
    """The name of the account that runs this."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
