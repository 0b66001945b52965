"""Every command as everybody: let in or refused as the table says, and a command that is not in it fails here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from typer.core import TyperGroup
from typer.main import get_command

from tasks import settings as settings_of
from tasks.access import NEEDS, PROGRAM, Person, Right, Role, at_least
from tasks.cli import main, waiting
from tasks.cli.app import app
from tasks.errors import JobFailed
from tasks.ledger import Ledger, activity, connect, tokens
from tests.dumping import dumped
from tests.snapshot_factories import lay

JOB = "0123456789ab"
ROLES = """
[roles]
admin = ["admin@example.com"]
operator = ["operator@example.com"]
viewer = ["viewer@example.com", "lowered@example.com"]
"""
CALLERS: dict[str, Role | None] = {
    "no token": None,
    "garbage": None,
    "expired": None,
    "revoked": None,
    "stranger": None,
    "lowered": Role.VIEWER,
    **{role.value: role for role in Role},
}
# The command with arguments that are understood, and the right that it takes. Several where its options ask for more.
COMMANDS: dict[str, list[tuple[list[str], Right]]] = {
    "cancel": [([JOB], Right.CANCEL), (["--force", JOB], Right.FORCE_STOP), ([JOB, "b"], Right.CANCEL)],
    "retry": [([JOB], Right.RETRY)],
    "priority": [([JOB, "high"], Right.REPRIORITISE)],
    "delete": [([JOB], Right.DELETE)],
    "activity": [([], Right.SEE)],
    "audit": [([], Right.READ_RECORD)],
    "audit verify": [([], Right.READ_RECORD)],
    "audit export": [([], Right.READ_RECORD)],
    "bulk": [
        (["cancel", JOB], Right.CANCEL),
        (["force-stop", JOB], Right.FORCE_STOP),
        (["retry", JOB], Right.RETRY),
        (["delete", JOB], Right.DELETE),
        (["reprioritise", JOB, "--priority", "high"], Right.REPRIORITISE),
    ],
    "collections": [([], Right.SEE)],
    "snapshots": [(["contracts"], Right.SEE)],
    "rollback": [(["contracts", "000001"], Right.ROLL_BACK)],
    "search": [(["nowhere", "words"], Right.SEE)],
    "submit": [(["FILE", "-c", "contracts"], Right.SUBMIT), (["FILE", "-c", "contracts", "--dry-run"], Right.SEE)],
    "jobs": [([], Right.SEE)],
    "job": [([JOB], Right.SEE)],
    "why": [([JOB], Right.SEE)],
    "workers": [([], Right.SEE)],
    "pause": [(["low"], Right.PAUSE)],
    "resume": [(["low"], Right.PAUSE)],
    "drain": [(["w"], Right.DRAIN)],
    "undrain": [(["w"], Right.DRAIN)],
    "scale": [(["h", "2"], Right.SCALE)],
    "write-off": [(["w"], Right.WRITE_OFF)],
    "whoami": [([], Right.SEE)],
    "token make": [(["ci", "--days", "0.001"], Right.MAKE_TOKENS)],
    "token list": [([], Right.SEE), (["--all"], Right.REVOKE_TOKENS)],
    "token revoke": [(["0" * 12], Right.REVOKE_TOKENS)],
    "roles show": [([], Right.SET_ROLES)],
    "roles set": [(["FILE"], Right.SET_ROLES)],
    "diff": [(["contracts", "000001", "000001"], Right.SEE)],
    "prune": [(["contracts"], Right.PRUNE), (["contracts", "--dry-run"], Right.SEE)],
    "export": [(["contracts", "x.jsonl"], Right.EXPORT)],
    "gates": [(["contracts"], Right.SEE), (["contracts", "--min-documents", "3"], Right.SET_GATES)],
    "held": [
        (["contracts"], Right.SEE),
        (["contracts", "--publish", JOB], Right.PUBLISH_HELD),
        (["contracts", "--discard", JOB], Right.DISCARD_HELD),
    ],
    "rebuild": [(["contracts"], Right.REBUILD)],
    "clean": [([], Right.CLEAN)],
}
# Commands that ask the board nothing, and why they take no right.
NO_RIGHT = {
    "preview": "cuts a file of whoever runs it, and reads nothing of the board",
    "roles check": "reads a text of whoever runs it, and nothing of the board",
    "up": "starts the programs: that takes an account on this machine",
    "worker": "as up",
    "dashboard": "as up",
    "doctor": "looks at this machine; of Redis it tells what the person of the token sees",
}
# Rights of people that no command makes use of, and why.
NO_COMMAND = {
    Right.ACKNOWLEDGE: "causes of failures are read on the board, and acknowledged there or over HTTP",
    Right.SAVE_VIEWS: "views are of the board",
    Right.REQUEUE_FOREIGN: "RQ brings commands of its own for the jobs of other programs",
    Right.STOP_FOREIGN: "as above",
    Right.DELETE_FOREIGN: "as above",
}
CASES = [(name, at, right) for name, asked in COMMANDS.items() for at, (_, right) in enumerate(asked)]


def names(group: TyperGroup, before: str = "") -> Iterator[str]:
    """Every command that there is; a group that does something by itself is one, too."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            if command.invoke_without_command:
                yield f"{before}{name}"
            yield from names(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


@pytest.fixture
def ledger(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A board where people sign in, with a collection."""
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    client.close()
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("INGESTBOARD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("INGESTBOARD_AUTH", "proxy")
    monkeypatch.chdir(tmp_path)
    settings_of.current.cache_clear()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "roles.toml").write_text(ROLES)
    (tmp_path / "a.txt").write_text("words")
    connected = connect(settings_of.current(), PROGRAM)
    from tasks.snapshots.shelf import Shelf

    lay(Shelf(connected.settings.data), "contracts", "000001")
    monkeypatch.setattr(waiting, "until_final", _no_worker)
    yield connected
    connected.close()
    settings_of.current.cache_clear()


def _no_worker(ledger: Ledger, job_id: str) -> None:
    raise JobFailed(job=job_id, state="queued", reason="no worker runs in this test")


def acts_as(ledger: Ledger, caller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next commands are those of somebody."""
    email = f"{caller}@example.com"
    person = Person(email, Role(caller) if caller in set(Role) else Role.ADMIN, email)
    if caller == "no token":
        monkeypatch.delenv("INGESTBOARD_TOKEN", raising=False)
    else:
        days = 1e-9 if caller == "expired" else 1
        role = person.role or Role.VIEWER
        spelled, made = tokens.make(ledger.held_by(person), "test", role=role, days=days)
        if caller == "revoked":
            tokens.revoke(ledger.held_by(person), made.id)
        monkeypatch.setenv("INGESTBOARD_TOKEN", "ibt_x" if caller == "garbage" else spelled)
    settings_of.current.cache_clear()


def test_every_command_is_in_the_table() -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    assert set(names(group)) == set(COMMANDS) | set(NO_RIGHT)


def test_every_right_of_people_has_a_command_or_a_reason() -> None:
    used = {right for asked in COMMANDS.values() for _, right in asked}
    assert used | set(NO_COMMAND) == {right for right in Right if NEEDS[right] is not None}
    assert not used & set(NO_COMMAND)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("name", "at", "right"), CASES, ids=[f"{name}:{right.name}" for name, _, right in CASES])
def test_a_command_is_let_in_for_its_role_and_those_above_it(
    ledger: Ledger,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caller: str,
    name: str,
    at: int,
    right: Right,
) -> None:
    acts_as(ledger, caller, monkeypatch)
    arguments = [str(tmp_path / "a.txt") if one == "FILE" else one for one in COMMANDS[name][at][0]]
    before = dumped(ledger.redis)
    code = main([*name.split(), *arguments])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert "Something went wrong" not in said.err
    assert code != 2, said.err
    if at_least(CALLERS[caller], NEEDS[right]):
        assert "may not" not in said.err
        assert "signed in" not in said.err
        return
    assert (code, said.out) == (1, "")
    assert said.err.count("\n") == 1
    if caller in ("no token", "garbage", "expired", "revoked"):
        assert "signed in" in said.err or "was not accepted" in said.err
        assert dumped(ledger.redis) == before
        return
    lacking = Right.SEE if CALLERS[caller] is None else right
    assert f"{caller}@example.com may not {lacking.value}" in said.err
    assert not (tmp_path / "data" / "uploads").exists()
    if lacking is not Right.SEE:
        row = activity.page(ledger).rows[0]
        assert (row.by, row.outcome) == (f"{caller}@example.com", "refused")
        assert row.origin.startswith("cli ")
