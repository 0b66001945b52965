"""`ingestboard token` and `whoami` on a real Redis, and who reads the record while Redis is away."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks import settings as settings_of
from tasks.access import Person, Role
from tasks.ledger import Ledger, chain, tokens
from tests.factories import submitted
from tests.unit.test_cli import Ask, ask, environment, ledger
from tests.unit.test_cli_rights import acts_as
from tests.unit.test_cli_rights import ledger as signed_in

__all__ = ["ask", "environment", "ledger", "signed_in"]


def test_a_token_is_printed_once_and_alone(ask: Ask, ledger: Ledger) -> None:
    said = ask("token", "make", "nightly sync", "--role", "operator", "--days", "7")
    assert said.code == 0
    spelled = said.out.removesuffix("\n")
    assert tokens.SPELLED.fullmatch(spelled)
    assert said.err.startswith(f"Token {spelled[4:16]} speaks for ana as operator until ")
    assert said.err.count("\n") == 1
    assert spelled[17:] not in said.err
    listed = ask("token", "list")
    assert "nightly sync" in listed.out
    assert spelled[17:] not in listed.out + ask("token", "list", "--json").out + ask("activity").out
    assert tokens.person_of(ledger, spelled, None) == Person("ana", Role.OPERATOR)
    assert ask("token", "revoke", spelled[4:16]).out == (
        f"The token {spelled[4:16]} was revoked and opens nothing any more.\n"
    )
    assert ask("token", "list", "--all").out.startswith("There are no tokens; ")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["x", "--role", "owner"], 2, "'owner' is not one of viewer, operator, admin"),
        (["x", "--days", "0"], 1, "it lives for up to 365 days"),
        (["x" * 61], 1, "say in 1 to 60 letters"),
    ],
)
def test_what_makes_no_token_is_a_sentence(ask: Ask, arguments: list[str], code: int, said: str) -> None:
    answer = ask("token", "make", *arguments)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err


def test_who_one_is_is_told(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask("whoami", "--json").json
    assert (found["name"], found["role"], found["token"], found["limited"]) == ("ana", "admin", "", False)
    spelled = ask("token", "make", "ci").out.strip()
    monkeypatch.setenv("INGESTBOARD_TOKEN", spelled)
    settings_of.current.cache_clear()
    said = ask("whoami").out
    assert "viewer" in said
    assert spelled[4:16] in said
    assert "submit" not in said
    assert "outlive yours" in ask("token", "make", "longer", "--days", "31").err


def test_while_redis_is_away_the_record_is_for_who_runs_the_machine_alone(
    ask: Ask, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spelled = ask("token", "make", "ci").out.strip()
    submitted(ledger)
    while chain.Copier(ledger).turn():
        pass
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/nobody.sock")
    settings_of.current.cache_clear()
    for command in (["audit"], ["audit", "verify"], ["audit", "export"]):
        assert ask(*command).code == 0
    for name, value in (("INGESTBOARD_TOKEN", spelled), ("INGESTBOARD_AUTH", "proxy")):
        monkeypatch.setenv(name, value)
        settings_of.current.cache_clear()
        for command in (["audit"], ["audit", "verify"], ["audit", "export"]):
            said = ask(*command)
            assert (said.code, said.out) == (1, "")
            assert "does not answer" in said.err


def test_the_doctor_tells_little_to_who_does_not_see_everything(
    signed_in: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tasks.cli import examination, main

    monkeypatch.setattr(examination, "_embedder", lambda using: examination.Finding("embedder", "works", "It loads."))
    roles = signed_in.settings.roles_file
    roles.write_text(roles.read_text() + '\n[collections."hr-*"]\nsee = ["group:hr"]\n')
    acts_as(signed_in, "operator", monkeypatch)
    main(["doctor"])
    said = capsys.readouterr().out
    assert "They are looked for by who sees every collection." in said
    acts_as(signed_in, "admin", monkeypatch)
    main(["doctor"])
    assert "There is nothing to repair." in capsys.readouterr().out
