"""Every door of the HTTP API as everybody: who may not is told so, and nothing is done. From the table of doors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.testclient import TestClient

from dashboard import api, connection
from dashboard.api import entering
from dashboard.api.door import Door
from dashboard.api.doors import DOORS, NO_DOOR
from dashboard.gate import who
from tasks.access import NEEDS, Person, Right, Role, at_least
from tasks.ledger import Ledger, activity, keys, tokens
from tests.dumping import dumped
from tests.waiting import wait_until

ROLES = """
[roles]
admin = ["admin@example.com"]
operator = ["operator@example.com"]
viewer = ["viewer@example.com", "lowered@example.com"]
"""
# Who asks -> their role by now; None: they are not let in, or have no role.
CALLERS: dict[str, Role | None] = {
    "no token": None,
    "garbage": None,
    "expired": None,
    "revoked": None,
    "stranger": None,
    "lowered": Role.VIEWER,
    **{role.value: role for role in Role},
}
OUTSIDE = {"no token", "garbage", "expired", "revoked"}
CASES = [(door, right) for door in DOORS for right in (door.right, *door.also)]


@pytest.fixture
def client(fake_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The API of a board where people sign in."""
    fake_ledger.settings = fake_ledger.settings.model_copy(update={"auth": "proxy"})
    fake_ledger.settings.data.mkdir(parents=True)
    fake_ledger.settings.roles_file.write_text(ROLES)
    st.cache_resource.clear()
    connection.use(fake_ledger, tick_s=0.0)
    monkeypatch.setattr(entering, "tries", entering.Tries())  # nobody has tried a wrong token yet
    with TestClient(Starlette(routes=[*api.routes()]), raise_server_exceptions=True) as made:
        yield made
    connection.use(None)


def token(ledger: Ledger, caller: str) -> str:
    """A token of somebody, made when they were what they were then."""
    email = f"{caller}@example.com"
    role = Role(caller) if caller in set(Role) else Role.ADMIN
    days = 1e-9 if caller == "expired" else 1
    made = tokens.make(ledger.held_by(Person(email, role, email)), "test", role=role, days=days)[0]
    if caller == "revoked":
        tokens.revoke(ledger.held_by(Person(email, role, email)), tokens.id_of(made))
    return made


def headers(ledger: Ledger, caller: str) -> dict[str, str]:
    if caller == "no token":
        return {}
    spelled = "ibt_0123456789ab_" + "x" * 43 if caller == "garbage" else token(ledger, caller)
    return {"Authorization": f"Bearer {spelled}"}


def ask(client: TestClient, door: Door, right: Right, sent: dict[str, str], own: str = "") -> Any:
    path = door.path.replace("{token}", own or "0" * 12).replace("{job}", "0123456789ab").replace("{key}", "0" * 16)
    path = path.replace("{collection}", "contracts").replace("{queue}", "low")
    for name in door.parameters:
        path = path.replace(f"{{{name}}}", "x")
    body = door.also.get(right, door.example)
    address = f"/api/v1{path}{'?q=x' if path.endswith('search') else '?queue=low' if path == '/foreign-jobs' else ''}"
    if door.files:
        files = [("files", ("a.txt", b"words", "text/plain"))]
        return client.request(door.method, address, data=dict(body), files=files, headers=sent)
    return client.request(door.method, address, json=dict(body) if body else None, headers=sent)


def test_every_right_of_people_has_a_door_or_a_reason() -> None:
    led_to = {right for _, right in CASES}
    assert led_to | set(NO_DOOR) == {right for right in Right if NEEDS[right] is not None}
    assert not led_to & set(NO_DOOR)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("door", "right"), CASES, ids=[f"{door.name}:{right.name}" for door, right in CASES])
def test_a_door_opens_for_its_role_and_those_above_it(
    client: TestClient, fake_ledger: Ledger, caller: str, door: Door, right: Right
) -> None:
    sent = headers(fake_ledger, caller)
    own = tokens.id_of(token(fake_ledger, caller)) if right is Right.MAKE_TOKENS and door.method == "DELETE" else ""
    before = dumped(fake_ledger.redis)
    answer = ask(client, door, right, sent, own)
    if caller in OUTSIDE:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["code"] in ("not_signed_in", "token_refused")
        assert dumped(fake_ledger.redis) == before
        return
    if at_least(CALLERS[caller], NEEDS[right]):
        assert answer.status_code in (200, 201, 202, 404, 409, 422), answer.text
        if answer.status_code >= 400:
            assert answer.json()["error"].endswith(".")
        return
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed"), answer.text
    lacking = door.right if not at_least(CALLERS[caller], NEEDS[door.right]) else right
    assert f"{caller}@example.com may not {lacking.value}" in answer.json()["error"]
    after = dumped(fake_ledger.redis)
    changed = {key for key in after if after[key] != before.get(key)}
    assert changed <= {keys.AUDIT, keys.AUDIT_NUMBER, keys.TOKENS_USED}
    if lacking is not Right.SEE:
        row = activity.page(fake_ledger).rows[0]
        assert (row.by, row.outcome) == (f"{caller}@example.com", "refused")
        assert row.origin.startswith("api testclient token ")
    assert not (fake_ledger.settings.data / "uploads").exists()


def test_a_role_that_is_taken_away_is_gone_within_a_second(client: TestClient, fake_ledger: Ledger) -> None:
    sent = headers(fake_ledger, "operator")
    assert client.post("/api/v1/queues/low/pause", headers=sent).status_code == 200
    fake_ledger.settings.roles_file.write_text('[roles]\nviewer = ["operator@example.com"]')
    wait_until(lambda: client.get("/api/v1/me", headers=sent).json()["role"] == "viewer", timeout_s=2)
    assert client.post("/api/v1/queues/low/resume", headers=sent).status_code == 403
    who.roles(fake_ledger.settings).path.unlink()
    wait_until(lambda: client.get("/api/v1/me", headers=sent).status_code == 403, timeout_s=2)


def test_a_cookie_opens_nothing(client: TestClient, fake_ledger: Ledger) -> None:
    spelled = token(fake_ledger, "admin")
    for name in ("token", "Authorization", "_streamlit_user"):
        client.cookies.set(name, spelled)
    assert client.get("/api/v1/me").status_code == 401
    assert client.get("/api/v1/me", headers={"X-Forwarded-Email": "admin@example.com"}).status_code == 401


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic {0}", "Token {0}", "{0}", "Bearer {0} x", "Bearer {0}, Bearer {0}"]
)
def test_only_a_bearer_token_is_taken(client: TestClient, fake_ledger: Ledger, header: str) -> None:
    sent = {"Authorization": header.format(token(fake_ledger, "admin"))}
    assert client.get("/api/v1/me", headers=sent).status_code == 401


def test_two_headers_are_none(client: TestClient, fake_ledger: Ledger) -> None:
    spelled = token(fake_ledger, "admin")
    twice = [("Authorization", f"Bearer {spelled}"), ("Authorization", "Bearer x")]
    assert client.get("/api/v1/me", headers=twice).status_code == 401
    assert client.get("/api/v1/me", headers={"authorization": f"bearer {spelled}"}).status_code == 200


def test_wrong_tokens_from_one_address_are_held_to_some_a_minute(client: TestClient, fake_ledger: Ledger) -> None:
    good, unused = headers(fake_ledger, "viewer"), headers(fake_ledger, "operator")
    assert client.get("/api/v1/me", headers=good).status_code == 200
    for _ in range(entering.TRIES):
        assert client.get("/api/v1/me", headers=headers(fake_ledger, "garbage")).status_code == 401
    shut: Response = client.get("/api/v1/me", headers=headers(fake_ledger, "garbage"))  # type: ignore[assignment]
    assert (shut.status_code, 1 <= int(shut.headers["retry-after"]) <= 60) == (429, True)
    # One that nobody has seen is not even looked at; one that was right before goes on.
    assert client.get("/api/v1/me", headers=unused).status_code == 429
    assert client.get("/api/v1/me", headers=good).status_code == 200
    assert client.get("/metrics", headers=unused).status_code == 429


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    tries = entering.Tries()
    for at in range(entering.ADDRESSES + 10):
        tries.wrong(f"10.{at}")
    for at in range(entering.TRUSTED + 10):
        tries.right(f"t{at}")
    assert (len(tries._wrong), len(tries._right)) == (entering.ADDRESSES, entering.TRUSTED)
