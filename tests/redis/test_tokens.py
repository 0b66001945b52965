"""Personal tokens: what opens, as whom, until when; and that nobody finds the secret of one anywhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest

from tasks import repairs
from tasks.access import Person, Role
from tasks.access.roles import Roles, parse
from tasks.errors import NotAllowed, TokenRefused
from tasks.ledger import Ledger, activity, keys, tokens
from tasks.ledger.records import fields_of, text
from tests.dumping import dumped

ANA = Person("ana@example.com", Role.OPERATOR, "ana@example.com", frozenset({"platform"}))
BEN = Person("ben@example.com", Role.VIEWER, "ben@example.com")
ROOT = Person("root@example.com", Role.ADMIN, "root@example.com")
ROLES = """
[roles]
admin = ["root@example.com"]
operator = ["ana@example.com"]
viewer = ["ben@example.com"]

[collections."hr-*"]
see = ["group:hr"]
"""


def roles(content: str = ROLES) -> Callable[[], Roles]:
    return lambda: parse(content)


def made(ledger: Ledger, person: Person = ANA, role: Role = Role.OPERATOR, days: float = 1.0, label: str = "ci") -> str:
    return tokens.make(ledger.held_by(person), label, role=role, days=days)[0]


def kept_of(ledger: Ledger, spelled: str) -> dict[str, object]:
    """What Redis keeps of a token."""
    return fields_of(ledger.redis.hget(keys.TOKENS, spelled[4:16]))


def refused(ledger: Ledger, spelled: str) -> str:
    with pytest.raises(TokenRefused) as refusal:
        tokens.person_of(ledger, spelled, roles())
    return str(refusal.value)


def test_a_token_opens_as_its_owner_with_what_they_see(ledger: Ledger) -> None:
    person = tokens.person_of(ledger, made(ledger), roles())
    assert (person.name, person.role, person.hidden) == ("ana@example.com", Role.OPERATOR, ("hr-*",))
    assert not person.sees("hr-letters")


def test_where_nobody_signs_in_its_own_role_counts(ledger: Ledger) -> None:
    person = tokens.person_of(ledger, made(ledger, role=Role.VIEWER), None)
    assert (person.name, person.role) == ("ana@example.com", Role.VIEWER)


@pytest.mark.parametrize(
    "spelled", ["", "ibt_", "Bearer", "ibt_000000000000_" + "A" * 43, "ibt_00_é", "\0", "ibt_" + "a" * 10_000]
)
def test_an_unknown_token_is_refused(ledger: Ledger, spelled: str) -> None:
    made(ledger)
    assert "unknown or was revoked" in refused(ledger, spelled)


def test_the_secret_of_another_token_opens_nothing(ledger: Ledger) -> None:
    one, other = made(ledger), made(ledger, ROOT, Role.ADMIN)
    mixed = f"{other.rpartition('_')[0][:16]}_{one[17:]}"
    assert mixed != one
    assert "unknown" in refused(ledger, mixed)


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"{",
        b"[1]",
        b"\xff\xfe",
        b"{}",
        b'{"hash": 1, "role": "admin", "expires_at": 9e99}',
        b'{"hash": "", "role": "admin", "expires_at": 9999999999}',
    ],
)
def test_a_damaged_token_opens_nothing_and_breaks_no_list(ledger: Ledger, kept: bytes) -> None:
    spelled = made(ledger)
    ledger.redis.hset(keys.TOKENS, spelled[4:16], kept)
    assert "unknown" in refused(ledger, spelled)
    tokens.tokens(ledger.held_by(ROOT), everybodys=True)


@pytest.mark.parametrize("change", [{"role": "owner"}, {"role": None}, {"expires_at": "never"}, {"expires_at": None}])
def test_a_token_with_a_part_missing_opens_nothing(ledger: Ledger, change: dict[str, object]) -> None:
    spelled = made(ledger)
    kept = kept_of(ledger, spelled)
    ledger.redis.hset(keys.TOKENS, spelled[4:16], json.dumps(kept | change))
    refused(ledger, spelled)


def test_an_expired_token_says_so(ledger: Ledger) -> None:
    spelled = made(ledger, days=1e-9)
    assert "its time is over" in refused(ledger, spelled)
    assert tokens.tokens(ledger.held_by(ANA))[0].expired


def test_a_revoked_token_opens_nothing(ledger: Ledger) -> None:
    spelled = made(ledger)
    assert "opens nothing any more" in tokens.revoke(ledger.held_by(ANA), spelled[4:16])
    assert "revoked" in refused(ledger, spelled)
    with pytest.raises(TokenRefused, match="no such token"):
        tokens.revoke(ledger.held_by(ROOT), spelled[4:16])


def test_only_an_administrator_revokes_the_token_of_another(ledger: Ledger) -> None:
    spelled = made(ledger)
    with pytest.raises(NotAllowed):
        tokens.revoke(ledger.held_by(BEN), spelled[4:16])
    tokens.person_of(ledger, spelled, roles())
    tokens.revoke(ledger.held_by(ROOT), spelled[4:16])
    refused(ledger, spelled)


def test_only_an_administrator_sees_the_tokens_of_others(ledger: Ledger) -> None:
    made(ledger), made(ledger, BEN, Role.VIEWER)
    assert [one.owner for one in tokens.tokens(ledger.held_by(BEN), everybodys=True)] == [BEN.name]
    assert len(tokens.tokens(ledger.held_by(ROOT), everybodys=True)) == 2
    assert tokens.tokens(ledger.held_by(ROOT)) == []


@pytest.mark.parametrize(
    ("content", "role"),
    [
        ('[roles]\nviewer = ["ana@example.com"]', Role.VIEWER),
        ('[roles]\nadmin = ["ana@example.com"]', Role.OPERATOR),
        ("", None),
    ],
)
def test_the_lower_of_its_role_and_its_owners_counts(ledger: Ledger, content: str, role: Role | None) -> None:
    spelled = made(ledger)
    assert tokens.person_of(ledger, spelled, roles(content)).role is role


@pytest.mark.parametrize(("person", "role"), [(BEN, Role.OPERATOR), (BEN, Role.ADMIN), (ANA, Role.ADMIN)])
def test_a_token_holds_no_more_than_its_maker(ledger: Ledger, person: Person, role: Role) -> None:
    with pytest.raises(TokenRefused, match="more than yours"):
        made(ledger, person, role)
    assert not ledger.redis.exists(keys.TOKENS)


def test_a_token_made_with_a_token_holds_no_more_than_that(ledger: Ledger) -> None:
    viewer = tokens.person_of(ledger, made(ledger, ROOT, Role.VIEWER), roles())
    with pytest.raises(TokenRefused, match="more than yours"):
        tokens.make(ledger.held_by(viewer), "more", role=Role.OPERATOR, days=1)
    again = tokens.make(ledger.held_by(viewer), "as much", role=Role.VIEWER, days=1)[0]
    assert tokens.person_of(ledger, again, roles()).role is Role.VIEWER


def test_nobody_has_more_than_fifty(ledger: Ledger) -> None:
    for at in range(tokens.EACH):
        made(ledger, label=f"t{at}")
    with pytest.raises(TokenRefused, match="50 tokens already"):
        made(ledger)
    made(ledger, BEN, Role.VIEWER)


@pytest.mark.parametrize(
    ("label", "days"), [("", 1), (" ", 1), ("x" * 61, 1), ("a\u202eb", 1), ("x", 0), ("x", -1), ("x", 366)]
)
def test_what_makes_no_token_is_a_sentence(ledger: Ledger, label: str, days: float) -> None:
    with pytest.raises(TokenRefused):
        made(ledger, label=label, days=days)


def test_the_secret_is_nowhere_but_in_the_hands_of_its_owner(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    spelled = made(ledger)
    secret = spelled[17:]
    tokens.person_of(ledger, spelled, roles())
    refused(ledger, spelled[:-1] + ("A" if spelled[-1] != "A" else "B"))
    told = repr(dumped(ledger.redis))
    assert spelled[4:16] in told
    for where in (told, caplog.text, repr(activity.page(ledger)), repr(tokens.tokens(ledger.held_by(ANA)))):
        assert secret not in where
        assert secret[:20] not in where


def test_its_last_use_is_known_to_the_minute(ledger: Ledger) -> None:
    spelled = made(ledger)
    assert tokens.tokens(ledger.held_by(ANA))[0].used_at is None
    tokens.person_of(ledger, spelled, roles())
    assert tokens.tokens(ledger.held_by(ANA))[0].used_at is not None


def test_the_janitor_drops_what_is_long_over_and_nothing_else(ledger: Ledger) -> None:
    fresh, over = made(ledger, days=1), made(ledger, days=1e-9)
    old = made(ledger)
    kept = kept_of(ledger, old)
    ledger.redis.hset(keys.TOKENS, old[4:16], json.dumps(kept | {"expires_at": ledger.now() - 40 * 86_400}))
    ledger.redis.hset(keys.TOKENS_USED, mapping={old[4:16]: "1", "gone": "1"})
    [check] = [one for one in repairs.checks() if one.name == "tokens past their time"]
    [finding] = check.find(ledger)
    assert finding.sentence == "2 tokens expired more than a month ago."
    check.repair(ledger, finding)
    assert set(map(text, ledger.redis.hkeys(keys.TOKENS))) == {fresh[4:16], over[4:16]}
    assert not ledger.redis.hkeys(keys.TOKENS_USED)
    assert check.find(ledger) == []


def test_the_janitor_takes_a_bounded_number_at_once(ledger: Ledger) -> None:
    ledger.redis.hset(keys.TOKENS, mapping={f"{at:012x}": "{}" for at in range(tokens.FORGOTTEN + 5)})
    assert tokens.forget_expired(ledger) == tokens.FORGOTTEN
    assert tokens.forget_expired(ledger) == 5
