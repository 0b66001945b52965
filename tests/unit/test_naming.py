"""What a change of the roles file means; and it is made whole or not at all, by an administrator who stays one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tasks.access import PROGRAM, Person, Role, RolesFile
from tasks.access.comparing import Somebody, effects, entries, said_of
from tasks.access.roles import Roles, parse
from tasks.errors import NotAllowed, RolesRefused, RolesUnreadable
from tasks.ledger import Ledger, activity, control
from tests.unit.test_cli import Ask, ask, environment, ledger, sentence

__all__ = ["ask", "environment", "ledger"]  # the fixtures of the other commands

BEFORE = """
[roles]
admin = ["ana@example.com", "group:platform"]
operator = ["@example.com"]

[collections."hr-*"]
see = ["group:hr"]
"""
AFTER = """
[roles]
admin = ["ana@example.com"]
viewer = ["@example.com", "*"]

[collections."hr-*"]
see = ["group:hr", "ben@example.com"]
[collections.payroll]
see = []
"""
ANA = Person("ana@example.com", Role.ADMIN, email="ana@example.com")


def test_the_entries_that_come_and_go_are_said_in_words() -> None:
    assert entries(parse(BEFORE), parse(AFTER)) == [
        "admin loses group:platform",
        "operator loses @example.com",
        "viewer gains *, @example.com",
        "collections hr-* gains ben@example.com",
        "collections payroll are for administrators alone",
    ]
    assert entries(parse(AFTER), Roles())[-1] == "collections payroll are for everybody"
    assert entries(parse(BEFORE), parse(f"trust_unverified_email = true\n{BEFORE}")) == [
        "addresses that nobody verified count"
    ]
    assert entries(parse(BEFORE), parse(BEFORE)) == []


def test_who_gains_or_loses_what_is_said_of_those_for_whom_something_changes() -> None:
    people = [
        Somebody("ana@example.com", "ana@example.com"),
        Somebody("ben@example.com", "ben@example.com"),
        Somebody("eve@elsewhere.org", "eve@elsewhere.org"),
        Somebody("pia", "", frozenset({"platform"})),
    ]
    found = {one.who: one for one in effects(parse(BEFORE), parse(AFTER), people)}
    assert set(found) == {"ben@example.com", "eve@elsewhere.org", "pia"}
    ben = found["ben@example.com"]
    assert ben.gains == ("sees hr-*",)
    assert ben.loses == ("is viewer, was operator", "sees payroll no more")
    assert found["eve@elsewhere.org"].gains == ("is viewer, was nobody",)
    assert found["pia"].loses == ("is viewer, was admin", "sees hr-* no more", "sees payroll no more")


def test_what_somebody_would_be_is_a_sentence() -> None:
    roles = parse(BEFORE)
    assert said_of(roles.person(name="x", email="ben@example.com")) == (
        "ben@example.com would be operator. They would not see hr-*."
    )
    assert said_of(roles.person(name="eve")) == "eve would have no role and see nothing."


@pytest.fixture
def file(fake_ledger: Ledger) -> RolesFile:
    path = fake_ledger.settings.roles_file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(BEFORE)
    path.chmod(0o640)
    return RolesFile(path)


def held_by(ledger: Ledger, person: Person, auth: str = "oidc") -> Ledger:
    """The ledger in their hands where people sign in."""
    settings = ledger.settings.model_copy(update={"auth": auth})
    return Ledger(ledger.redis, settings, person)


def test_a_change_is_written_whole_and_is_on_the_record_in_words(fake_ledger: Ledger, file: RolesFile) -> None:
    said = control.set_roles(held_by(fake_ledger, ANA), file, AFTER, before=BEFORE)
    assert file.path.read_text() == AFTER
    assert file.path.stat().st_mode & 0o777 == 0o640
    assert file.current().person(name="x", email="ben@example.com").role is Role.VIEWER
    assert [one.name for one in file.path.parent.iterdir()] == [file.path.name]
    row = activity.page(fake_ledger).rows[0]
    assert (row.by, row.action, row.subject, row.outcome, row.result) == (
        ANA.name,
        "set roles",
        "roles",
        "allowed",
        said,
    )
    assert "operator loses @example.com" in said


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (AFTER.replace('"ana@example.com"', '"bo@example.com"'), "would have the role viewer and could not change it"),
        ('[roles]\nadmin = ["bo@elsewhere.org"]', "would have no role and could not change it back"),
        ("[roles]\n", "nobody would be an administrator"),
        ("[roles", "it is no TOML"),
        ('[roles]\nadmin = ["ana@"]', "is no e-mail address"),
        (f"# {'x' * 1024 * 1024}\n{BEFORE}", "larger than 1 MB"),
    ],
)
def test_a_text_that_locks_its_writer_out_or_cannot_be_used_changes_nothing(
    fake_ledger: Ledger, file: RolesFile, text: str, reason: str
) -> None:
    with pytest.raises((RolesRefused, RolesUnreadable), match=reason):
        control.set_roles(held_by(fake_ledger, ANA), file, text, before=BEFORE)
    assert file.path.read_text() == BEFORE
    assert activity.page(fake_ledger).rows[0].outcome == "refused"


def test_whose_address_counts_only_by_trust_cannot_take_the_trust_away(fake_ledger: Ledger, file: RolesFile) -> None:
    trusting = f"trust_unverified_email = true\n{BEFORE}"
    file.path.write_text(trusting)
    with pytest.raises(RolesRefused, match="could not change it back"):
        control.set_roles(held_by(fake_ledger, ANA), file, BEFORE, before=trusting)
    pia = Person("pia", Role.ADMIN, groups=frozenset({"platform"}))
    control.set_roles(held_by(fake_ledger, pia), file, BEFORE, before=trusting)


@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.OPERATOR])
def test_only_an_administrator_changes_the_roles(fake_ledger: Ledger, file: RolesFile, role: Role | None) -> None:
    with pytest.raises(NotAllowed):
        control.set_roles(held_by(fake_ledger, Person("eve", role)), file, AFTER, before=BEFORE)
    assert file.path.read_text() == BEFORE


def test_of_two_who_change_it_at_once_one_is_told(fake_ledger: Ledger, file: RolesFile) -> None:
    texts = [BEFORE.replace("[roles]", f'[roles]\nviewer = ["v{at}@example.com"]') for at in range(8)]
    outcomes: list[str] = []

    def change(text: str) -> None:
        try:
            control.set_roles(held_by(fake_ledger, ANA), file, text, before=BEFORE)
            outcomes.append("")
        except RolesUnreadable as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=change, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(bool, outcomes)) == [False, *[True] * 7]
    assert all("somebody else changed it meanwhile" in one for one in outcomes if one)
    assert file.path.read_text() in texts


def test_a_file_that_is_not_there_yet_is_made_and_a_link_stays_one(fake_ledger: Ledger, tmp_path: Path) -> None:
    real, link = tmp_path / "etc" / "roles.toml", tmp_path / "roles.toml"
    link.symlink_to(real)
    control.set_roles(held_by(fake_ledger, PROGRAM), RolesFile(link), BEFORE, before="", by="ana")
    assert link.is_symlink()
    assert real.read_text() == BEFORE


# --- the commands ----------------------------------------------------------------------------------------


def test_the_roles_are_shown_checked_and_set_by_command(ask: Ask, ledger: Ledger, tmp_path: Path) -> None:
    text = tmp_path / "new.toml"
    text.write_text(BEFORE)
    assert ask("roles", "check", text).out == "The text can be used.\n"
    assert ask("roles", "check", text, "--as", "ben@example.com").out.startswith("ben@example.com would be operator.")
    assert ask("roles", "check", text, "--group", "platform", "--group", "hr").out == "Somebody would be admin.\n"
    said = ask("roles", "set", text)
    assert (said.code, said.err) == (0, "")
    assert "admin gains ana@example.com, group:platform" in said.out
    assert ask("roles", "show").out == BEFORE
    assert activity.page(ledger).rows[0].by == "ana"


def test_a_text_that_cannot_be_used_is_refused_by_command(ask: Ask, tmp_path: Path) -> None:
    text = tmp_path / "new.toml"
    text.write_text("[roles]\n")
    assert "nobody would be an administrator" in sentence(ask("roles", "set", text))
    text.write_bytes(b"\xff")
    assert "not written in UTF-8" in sentence(ask("roles", "check", text))
    assert "No such file" in sentence(ask("roles", "check", tmp_path / "none"))
    assert "cannot be used" in sentence(ask("roles", "show"))
