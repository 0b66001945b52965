"""The HTTP API to who may not see, and to what is no request: nothing hidden, sentences, and what it says of itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Away
from starlette.testclient import TestClient

from dashboard import connection
from dashboard.api import answers
from dashboard.api.doors import DOORS
from tasks import errors
from tasks.access import NEEDS
from tasks.errors import IngestboardError
from tasks.ledger import Ledger, keys, saved, store, tokens
from tasks.snapshots.shelf import Shelf
from tests.factories import claimed, finish_documents, submitted
from tests.pages.test_api import ROOT, Api, asked
from tests.pages.test_api_rights import client, headers
from tests.pages.test_exports import exported
from tests.snapshot_factories import lay

__all__ = ["asked", "client"]

# --- what is for others -------------------------------------------------------------------------------


def test_what_somebody_does_not_see_is_in_no_answer(client: TestClient, fake_ledger: Ledger) -> None:
    roles = fake_ledger.settings.roles_file
    roles.write_text(roles.read_text() + '\n[collections."hr-*"]\nsee = ["group:hr"]\n')
    job = submitted(fake_ledger, 2, collection="hr-letters", title="Warning to Ben")
    submitted(fake_ledger)
    claim = claimed(fake_ledger, job)
    finish_documents(fake_ledger, claim, failing=(0,))
    store.settle(fake_ledger, job, "0", claim.attempt, "done")
    lay(Shelf(fake_ledger.settings.data), "hr-letters", "000001")
    saved.save(fake_ledger, "of-hr", query="collection:hr-letters", by="hr")
    own = exported(fake_ledger)
    fake_ledger.redis.hset(keys.job(own), "collection", "hr-letters")
    eve = Api(client, fake_ledger, "operator")
    told = []
    for door in DOORS:
        if door.method == "GET" and not door.parameters and door.path != "/foreign-jobs" and door.right.name == "SEE":
            told.append(json.dumps(eve.get(door.path)))
    told.append(client.get("/metrics", headers=eve.headers).text)
    for text in told:
        for secret in ("hr-letters", "Warning", job, "of-hr"):
            assert secret not in text
    for path in (f"/jobs/{job}", f"/exports/{own}"):
        eve.get(path, 404)
    for what in ("snapshots", "gates", "held"):
        eve.get(f"/collections/hr-letters/{what}", 404)
    eve.get("/collections/hr-letters/search", 404, q="words")
    eve.get("/history", 404, collection="hr-letters")
    for action in ("cancel", "force-stop", "retry", "write-off"):
        eve.post(f"/jobs/{job}/{action}", 404)
    for action, body in (("export", {}), ("publish-held", {"job": job})):
        eve.post(f"/collections/hr-letters/{action}", 404, **body)
    assert "for others" in eve.upload(("a.txt", b"x"), collection="hr-letters", status=422)["error"]
    assert eve.get("/jobs")["total"] == 1
    assert 'ingestboard_jobs{state="running"} 0' in told[-1]
    assert "embedded" not in told[-1]
    assert "hr-letters" in client.get("/metrics", headers=headers(fake_ledger, "admin")).text


# --- what goes wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("GET", "/jobs/a/b/c", {}, 404, "not_found"),
        ("GET", "/jobs/a%0Ab/c", {}, 404, "not_found"),
        ("DELETE", "/jobs", {}, 405, "not_that_way"),
        ("OPTIONS", "/jobs", {}, 405, "not_that_way"),
        ("POST", "/bulk", {"content": "{"}, 422, "invalid"),
        ("POST", "/bulk", {"content": "[" * 100_000}, 422, "invalid"),
        ("POST", "/bulk", {"content": b"\xff"}, 422, "invalid"),
        ("POST", "/bulk", {"content": "x" * (1024 * 1024 + 1)}, 413, "too_large"),
        ("POST", "/queues/low/resume", {"json": {"a": 1}}, 422, "invalid"),
        ("POST", "/jobs", {"content": "x"}, 415, "unsupported"),
        ("POST", "/jobs", {"json": {}}, 415, "unsupported"),
        ("GET", "/me?x=1", {}, 422, "invalid"),
    ],
)
def test_what_is_no_request_is_told_so(
    asked: Api, method: str, path: str, sent: dict[str, Any], status: int, code: str
) -> None:
    extra = {"Content-Type": "application/json"} if "content" in sent and path != "/jobs" else {}
    answer = asked.client.request(method, ROOT + path, headers=asked.headers | extra, **sent)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["error"].endswith(".")
    if status == 405:
        assert answer.headers["allow"] == "GET, HEAD, POST"


def test_a_form_of_another_site_is_of_another_type(asked: Api, fake_ledger: Ledger) -> None:
    """A page could send these three without asking first; they have no token, and no such body is taken anyway."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = asked.client.post(
            f"{ROOT}/queues/low/pause", content='{"why": "x"}', headers=asked.headers | {"Content-Type": kind}
        )
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported")


def test_without_redis_it_says_so_and_when_to_come_back(asked: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise Away("Error 111 connecting to secret.host:6379")

    def gone(*_: object, **__: object) -> None:
        raise errors.RedisUnreachable(url="redis://x", reason="no connection")

    monkeypatch.setattr(tokens, "person_of", away)
    answer = asked.client.get(f"{ROOT}/me", headers=asked.headers)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "5")
    assert "secret.host" not in answer.text
    connection.use(None)
    monkeypatch.setattr(connection, "connect", gone)
    assert asked.client.get(f"{ROOT}/me", headers=asked.headers).status_code == 503


def test_an_error_of_ours_is_logged_and_told_as_one_sentence(
    asked: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(tokens, "tokens", broken)
    answer = asked.get("/tokens", 500)
    assert answer == {"error": "Something went wrong here; the log of the dashboard has the details.", "code": "failed"}
    assert "RuntimeError: a secret" in caplog.text


def test_what_is_damaged_in_redis_is_a_sentence(asked: Api, fake_ledger: Ledger) -> None:
    fake_ledger.redis.set(keys.job("0123456789ab"), "x")
    assert asked.get("/jobs/0123456789ab", 500)["code"] == "damaged"
    job = submitted(fake_ledger)
    fake_ledger.redis.hset(keys.job(job), "recipe", '{"chunk_size": NaN, "x": [1e999]}')
    assert asked.get(f"/jobs/{job}")["recipe"] == {"chunk_size": None, "x": [None]}


def test_an_allowance_that_is_used_says_when_to_come_back(asked: Api, fake_ledger: Ledger) -> None:
    fake_ledger.settings = fake_ledger.settings.model_copy(update={"person_jobs_per_minute": 1})
    connection.use(fake_ledger, tick_s=0.0)
    asked.upload(("a.txt", b"words"), token="once")
    answer = asked.client.post(
        f"{ROOT}/jobs", data={"collection": "c"}, files=[("files", ("a.txt", b"x"))], headers=asked.headers
    )
    assert (answer.status_code, answer.json()["code"]) == (429, "allowance_used")
    assert 1 <= int(answer.headers["retry-after"]) <= 70
    asked.headers["Idempotency-Key"] = "once"
    assert "submitted already" in asked.upload(("a.txt", b"words"))["sentence"]


def test_every_error_has_a_status_and_a_code() -> None:
    """One that is new is put into the table, or here because no request meets it."""
    elsewhere = {
        *("SettingsError", "RedisMissing", "RedisNotStarted", "AlreadyRunning", "ProgramEnded", "PortUnusable"),
        *("DocumentFailed", "DocumentPastLimit", "EmbedderUnusable", "EmbedderFailed", "EmbedderBusy", "ReaderLost"),
        *("SignInUnusable", "NoSignIn"),
        *("Stopping", "Canceled", "Fenced", "Yielded", "HandedBack", "JobFailed", "NotRunning", "RequestRefused"),
        "IngestboardError",
    }
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, IngestboardError)]
    unsaid = {kind.__name__ for kind in kinds if answers.code_of(kind) == answers.FAILED}
    assert unsaid <= elsewhere, unsaid - elsewhere


# --- what it says of itself ---------------------------------------------------------------------------


def test_the_openapi_document_has_every_door(asked: Api) -> None:
    document = asked.get("/openapi.json")
    told = {(method.upper(), path) for path, one in document["paths"].items() for method in one}
    assert told == {(door.method, ROOT + door.path) for door in DOORS}
    names = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(set(names)) == len(names)
    for reference in _references(document):
        where = document
        for part in reference.removeprefix("#/").split("/"):
            where = where[part]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [one for part in value.values() for one in _references(part)]
    return [one for part in value for one in _references(part)] if isinstance(value, list) else []


def test_the_page_about_it_lists_every_door() -> None:
    text = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text("utf-8")
    (table,) = re.findall(r"<!-- doors -->\n(.*?)<!-- /doors -->", text, re.DOTALL)
    assert table == "| request | role | what it does |\n| --- | --- | --- |\n" + "".join(
        f"| `{door.method} {door.path}` | {NEEDS[door.right]} | {door.about} |\n" for door in DOORS
    )


def test_nobody_makes_a_token_speak_for_another(client: TestClient, fake_ledger: Ledger) -> None:
    sent = headers(fake_ledger, "viewer") | {"X-Forwarded-Email": "admin@example.com", "X-Forwarded-For": "::1"}
    assert client.get(f"{ROOT}/me", headers=sent).json()["name"] == "viewer@example.com"
