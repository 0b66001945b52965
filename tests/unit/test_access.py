"""Who is what: the roles file matched whole, read again when it changes, and never half believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.access import NEEDS, NOBODY, PROGRAM, Person, Right, Role, RolesFile, at_least
from tasks.access import roles as roles_of
from tasks.access.rights import lower
from tasks.access.roles import Roles, parse
from tasks.errors import RolesUnreadable

FILE = """
[roles]
admin = ["ana@example.com", "group:platform"]
operator = ["@example.com"]
viewer = ["*"]

[collections."hr-*"]
see = ["group:hr"]
[collections.payroll]
see = ["ben@example.com"]
"""


def role(email: str, *groups: str, verified: bool = True) -> Role | None:
    return parse(FILE).person(name="x", email=email, groups=groups, verified=verified).role


def test_an_address_a_domain_a_group_and_anybody_each_give_their_role() -> None:
    assert role("Ana@Example.com") is Role.ADMIN
    assert role("ben@example.com") is Role.OPERATOR
    assert role("eve@elsewhere.org") is Role.VIEWER
    assert role("", "platform") is Role.ADMIN


@pytest.mark.parametrize(
    "email",
    [
        "evil@example.com.attacker.net",
        "evil@notexample.com",
        "evil@sub.example.com",
        "ana@example.com@attacker.net",
        "evil@attacker.net,ana@example.com",
        "ana@example.com\n",
        " ana@example.com attacker",
        "@example.com",
        "ana@example.com>",
        "group:platform",
    ],
)
def test_whoever_only_looks_like_somebody_is_nobody_special(email: str) -> None:
    strict = parse('[roles]\nadmin = ["ana@example.com", "group:platform"]\noperator = ["@example.com"]')
    found = strict.person(name="x", email=email)
    assert found.role is (Role.ADMIN if email.strip() == "ana@example.com" else None)


def test_an_address_that_nobody_verified_counts_for_nothing_unless_the_file_trusts_it() -> None:
    assert role("ana@example.com", verified=False) is Role.VIEWER
    trusting = parse("trust_unverified_email = true\n" + FILE)
    assert trusting.person(name="x", email="ana@example.com", verified=False).role is Role.ADMIN


def test_the_record_takes_the_address_and_not_the_name_that_somebody_chose() -> None:
    assert parse(FILE).person(name="ana@example.com (really)", email="eve@elsewhere.org").name == "eve@elsewhere.org"


def test_a_collection_for_some_is_hidden_from_the_others_and_from_no_administrator() -> None:
    ben = parse(FILE).person(name="ben", email="ben@example.com")
    assert [ben.sees(name) for name in ("hr-letters", "payroll", "contracts", "")] == [False, True, True, True]
    hr = parse(FILE).person(name="cy", email="cy@example.com", groups=["hr"])
    assert [hr.sees(name) for name in ("hr-letters", "payroll")] == [True, False]
    assert parse(FILE).person(name="ana", email="ana@example.com").hidden == ()
    assert not ben.reads("The view was saved: collection:hr-letters state:failed.")
    assert ben.reads("The view was saved: collection:contracts.")


def test_nobody_sees_nothing_and_a_program_everything() -> None:
    assert not NOBODY.sees("contracts")
    assert not any(NOBODY.may(right) for right in Right)
    assert all(PROGRAM.may(right) for right in Right)
    assert not any(Person("ana", Role.ADMIN).may(right) for right, needed in NEEDS.items() if needed is None)


def test_a_person_signs_with_their_own_name_and_a_program_for_others() -> None:
    assert Person("eve", Role.OPERATOR).signs("ana") == "eve"
    assert PROGRAM.signs("ana") == "ana"
    assert PROGRAM.signs() == "ingestboard"


@pytest.mark.parametrize("one", [None, *Role])
@pytest.mark.parametrize("other", [None, *Role])
def test_the_lower_of_two_roles_may_what_both_may(one: Role | None, other: Role | None) -> None:
    for needed in Role:
        assert at_least(lower(one, other), needed) == (at_least(one, needed) and at_least(other, needed))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("[roles", "TOML"),
        ("[roles]\nadmins = []", "admins"),
        ('[roles]\nadmin = "ana@example.com"', "admin"),
        ('[roles]\nadmin = ["ana"]', "ana"),
        ('[roles]\nadmin = ["group:"]', "group"),
        ('[roles]\nadmin = ["*@example.com"]', "example"),
        ('[collections."../x"]\nsee = ["*"]', "collection"),
        ("[people]", "people"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_where(content: str, word: str) -> None:
    with pytest.raises(RolesUnreadable, match=word):
        parse(content)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RolesFile:
    monkeypatch.setattr(roles_of, "LOOK_EVERY_S", 0.0)
    path = tmp_path / "roles.toml"
    path.write_text(FILE)
    return RolesFile(path)


def admin(roles: Roles) -> bool:
    return roles.person(name="x", email="ana@example.com").role is Role.ADMIN


def test_a_change_of_the_file_counts_at_once(file: RolesFile) -> None:
    assert admin(file.current())
    file.path.write_text('[roles]\nviewer = ["*"]')
    assert not admin(file.current())


def test_a_file_that_became_unusable_leaves_the_last_good_one_in_force(file: RolesFile) -> None:
    assert admin(file.current())
    file.path.write_text("[roles")
    assert admin(file.current())
    assert "stay in force" in file.trouble
    file.path.write_text(FILE)
    assert admin(file.current())
    assert file.trouble == ""


def test_a_file_that_is_gone_gives_nobody_a_role(file: RolesFile) -> None:
    assert admin(file.current())
    file.path.unlink()
    assert not admin(file.current())
    file.path.write_text(FILE)
    assert admin(file.current())


def test_a_new_text_takes_the_place_of_the_old_one_whole(file: RolesFile) -> None:
    file.path.chmod(0o640)
    file.write('[roles]\nadmin = ["ben@example.com"]\n', before=FILE)
    assert file.current().person(name="x", email="ben@example.com").role is Role.ADMIN
    assert not admin(file.current())
    assert file.path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(file.path.parent) == ["roles.toml"]  # noqa: PTH208 names are all that counts


def test_two_people_who_change_the_file_at_once_are_told(file: RolesFile) -> None:
    file.write(FILE + "\n# one", before=FILE)
    with pytest.raises(RolesUnreadable, match="somebody else"):
        file.write(FILE + "\n# two", before=FILE)
    assert file.content().endswith("# one")


def test_a_text_that_is_wrong_is_not_written(file: RolesFile) -> None:
    with pytest.raises(RolesUnreadable):
        file.write("[roles", before=FILE)
    assert file.content() == FILE
