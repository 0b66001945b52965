"""The doors of the HTTP API, told what nobody means: an answer of ours each time, and never a fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fakeredis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dashboard import api, connection
from dashboard.api.door import Door
from dashboard.api.doors import DOORS
from tasks import settings as settings_of
from tasks.access import PROGRAM, Person, Role
from tasks.ledger import Ledger, tokens
from tests.factories import submitted
from tests.fuzz.outcomes import tried
from tests.fuzz.test_redis_garbage import QUIET

ODD = st.sampled_from(
    ["", " ", "..", "%2e%2e", "a:b", "x" * 300, "\u202e", "é", "0", "-1", "nan", "*", "[", "\n", "\x7f"]
)
WORDS = st.one_of(ODD, st.text(max_size=30))
JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, dict[str, str], str]]:
    """The API, the headers of an administrator, and a job."""
    data: Path = tmp_path_factory.mktemp("data")
    none = {"person_jobs_per_minute": 0, "person_jobs_live": 0, "person_bytes_per_day": 0}
    using = settings_of.read(data=data, redis_url="redis://unused", **none)
    ledger = Ledger(fakeredis.FakeRedis(server=fakeredis.FakeServer()), using, PROGRAM)
    connection.use(ledger, tick_s=0.0)
    spelled, _ = tokens.make(ledger.held_by(Person("ana", Role.ADMIN)), "fuzz", role=Role.ADMIN, days=1)
    with TestClient(Starlette(routes=[*api.routes()])) as client:
        yield client, {"Authorization": f"Bearer {spelled}"}, submitted(ledger)
    connection.use(None)


@st.composite
def requests(draw: st.DrawFn) -> tuple[Door, dict[str, str], dict[str, str], Any]:
    """A door, the words of its path, its parameters, and a body: its example with something else in it, or anything."""
    door = draw(st.sampled_from([door for door in DOORS if (door.method, door.path) != ("DELETE", "/tokens/{token}")]))
    path = {name: draw(WORDS) for name in door.parameters}
    fields = [*(door.query.model_fields if door.query else ()), "other"]
    query = draw(st.dictionaries(st.sampled_from(fields), WORDS, max_size=3))
    said = [*(door.body.model_fields if door.body else ()), "other"]
    spoiled = draw(st.dictionaries(st.sampled_from(said), JSON, max_size=3))
    return door, path, query, draw(st.one_of(st.just(dict(door.example) | spoiled), JSON))


@given(asked=requests(), real=st.booleans())
@QUIET
def test_whatever_a_door_is_told_it_answers(
    board: tuple[TestClient, dict[str, str], str], asked: tuple[Door, dict[str, str], dict[str, str], Any], real: bool
) -> None:
    client, headers, job = board
    door, words, query, body = asked
    path = door.path
    for name, word in words.items():
        path = path.replace(f"{{{name}}}", job if name == "job" and real else quote(word, safe="%."))
    sent: dict[str, Any] = {}
    if door.method != "GET" and not door.files:  # with the infinities that JSON does not have
        sent, headers = {"content": json.dumps(body)}, headers | {"Content-Type": "application/json"}
    if door.files and isinstance(body, dict):
        fields = {name: str(value) for name, value in body.items() if name != "files"}
        sent = {"data": fields, "files": [("files", (query.get("other", "a.txt") or "a", b"words"))]}
    answer = client.request(door.method, f"/api/v1{path}", params=query, headers=headers, **sent)
    tried[f"requests: {answer.status_code}"] += 1
    assert answer.status_code != 500, (door, words, query, body, answer.text)
    assert "Traceback" not in answer.text
    if answer.status_code >= 400:
        assert set(answer.json()) == {"error", "code"}
        assert answer.json()["error"].endswith("."), answer.text
