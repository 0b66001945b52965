"""What the HTTP API answers: the same names as the command line, sentences for what goes wrong, nothing hidden."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from tasks.ledger import Ledger, activity, control, keys, monitor, tokens
from tasks.snapshots.shelf import Shelf
from tests.factories import claimed, submitted
from tests.pages.test_api_rights import client, headers
from tests.pages.test_exports import BODY, exported
from tests.snapshot_factories import lay

__all__ = ["client"]

ROOT = "/api/v1"


class Api:
    """The API as one person asks it."""

    def __init__(self, client: TestClient, ledger: Ledger, caller: str = "admin") -> None:
        self.client, self.ledger = client, ledger
        self.headers = headers(ledger, caller)

    def get(self, path: str, status: int = 200, **parameters: Any) -> Any:
        return self._said(self.client.get(ROOT + path, params=parameters, headers=self.headers), status)

    def post(self, path: str, status: int = 200, **body: Any) -> Any:
        return self._said(self.client.post(ROOT + path, json=body or None, headers=self.headers), status)

    def upload(self, *files: tuple[str, bytes], status: int = 201, **fields: str) -> Any:
        parts = [("files", (name, content, "application/octet-stream")) for name, content in files]
        sent = {"collection": "contracts"} | fields
        return self._said(self.client.post(f"{ROOT}/jobs", data=sent, files=parts, headers=self.headers), status)

    def _said(self, answer: Any, status: int) -> Any:
        assert answer.status_code == status, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.json()


@pytest.fixture
def asked(client: TestClient, fake_ledger: Ledger) -> Api:
    return Api(client, fake_ledger)


# --- jobs ---------------------------------------------------------------------------------------------


def test_files_become_a_job_under_their_names(asked: Api, fake_ledger: Ledger) -> None:
    recipe = json.dumps({"splitter": "markdown", "chunk_size": 500, "chunk_overlap": 50})
    job = asked.upload(("a.txt", b"words"), ("in/b.md", b"# more"), title="Spring", priority="high", recipe=recipe)
    assert job["sentence"] == f"Job {job['id']} was submitted: 2 documents for contracts."
    assert (job["state"], job["owner"], job["title"], job["priority"]) == (
        *("queued", "admin@example.com", "Spring", "high"),
    )
    assert (job["recipe"]["splitter"], job["recipe"]["chunk_size"]) == ("markdown", 500)
    opened = asked.get(f"/jobs/{job['id']}")
    assert [(one["number"], one["name"], one["size_bytes"]) for one in opened["files"]] == [
        (1, "a.txt", 5),
        (2, "in/b.md", 6),
    ]
    assert opened["why"]["reason"].startswith("No worker is alive")
    assert [event["text"] for event in opened["events"]] == [
        "Submitted by admin@example.com: 2 documents for contracts."
    ]
    row = activity.page(fake_ledger).rows[0]
    assert row.origin == f"api testclient token {tokens.id_of(asked.headers['Authorization'][7:])}"
    uploads = {path.read_bytes() for path in (fake_ledger.settings.data / "uploads").iterdir()}
    assert uploads == {b"words", b"# more"}


def test_a_job_is_told_as_the_command_line_tells_it(asked: Api, fake_ledger: Ledger) -> None:
    from tasks.telling import whole_job

    job = submitted(fake_ledger, 2)
    opened = asked.get(f"/jobs/{job}")
    opened.pop("why")
    assert opened == json.loads(json.dumps(whole_job(fake_ledger, monitor.job(fake_ledger, job))))


@pytest.mark.parametrize("where", ["field", "header"])
def test_the_same_token_submits_once(asked: Api, where: str) -> None:
    if where == "header":
        asked.headers["Idempotency-Key"] = "run-17"
    fields: dict[str, Any] = {"token": "run-17"} if where == "field" else {}
    first, again = (asked.upload(("a.txt", b"words"), **fields) for _ in range(2))
    assert first["id"] == again["id"]
    assert "submitted already" in again["sentence"]


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"collection": "../etc"}, 422, "cannot name a collection"),
        ({"priority": "now"}, 422, "priority: input should be 'high', 'default' or 'low'."),
        ({"recipe": "{"}, 422, "recipe: invalid JSON"),
        ({"recipe": '{"embedder": "x"}'}, 422, "recipe.embedder: extra inputs are not permitted."),
        ({"recipe": '{"chunk_size": 100, "chunk_overlap": 90}'}, 422, "overlap"),
        ({"colour": "red"}, 422, "colour: extra inputs are not permitted."),
        ({"time_limit_s": "inf"}, 422, "time_limit_s"),
        ({"token": "a b"}, 422, "token"),
        ({"title": "x" * 70_000}, 413, "longer than"),
    ],
)
def test_what_cannot_be_submitted_is_a_sentence(
    asked: Api, fake_ledger: Ledger, fields: dict[str, str], status: int, said: str
) -> None:
    answer = asked.upload(("a.txt", b"words"), status=status, **fields)
    assert said in answer["error"]
    assert monitor.page(fake_ledger)[1] == 0


def test_a_page_of_jobs_answers_the_boards_own_language(asked: Api, fake_ledger: Ledger) -> None:
    for at in range(3):
        submitted(fake_ledger, title=f"T{at}", owner="ana" if at else "bo")
    control.cancel(fake_ledger, submitted(fake_ledger, title="gone", owner="ana"))
    found = asked.get("/jobs", q="owner:ana state:queued", sort="title", size=1, page=2)
    assert [row["title"] for row in found["jobs"]] == ["T2"]
    assert (found["total"], found["page"], found["pages"], found["problems"]) == (2, 2, 2, [])
    assert asked.get("/jobs", q="stat:failed")["problems"] == ["'stat' is no qualifier; did you mean 'state'?"]
    assert asked.get("/jobs", 422, sort_by="x")["error"] == "sort_by: extra inputs are not permitted."
    assert asked.get("/jobs", 422, size=501)["error"].startswith("size: ")


def test_a_job_goes_through_its_actions(asked: Api, fake_ledger: Ledger) -> None:
    job = submitted(fake_ledger, 2)
    moved = asked.post(f"/jobs/{job}/reprioritise", priority="high")
    assert (moved["priority"], moved["receipt"]["action"]) == ("high", "reprioritise")
    assert asked.post(f"/jobs/{job}/delete", 409)["code"] == "conflict"
    canceled = asked.post(f"/jobs/{job}/cancel")
    assert canceled["sentence"] == f"Job {job} was canceled; nobody was working on it."
    again = asked.post(f"/jobs/{job}/retry", documents=[2])
    assert again["sentence"] == f"Job {job} is retried as attempt 2: 1 document."
    assert asked.post(f"/jobs/{job}/force-stop", 409)["code"] == "conflict"
    assert asked.post(f"/jobs/{job}/write-off", 409)["code"] == "conflict"
    claimed(fake_ledger, job)
    assert asked.post(f"/jobs/{job}/force-stop")["state"] == "canceling"
    assert asked.post(f"/jobs/{job}/write-off")["state"] == "canceled"
    assert asked.post(f"/jobs/{job}/delete")["sentence"].startswith(f"Job {job} was deleted")
    assert asked.get(f"/jobs/{job}", 404)["code"] == "not_found"


def test_many_jobs_are_named_or_meant_by_a_query(asked: Api, fake_ledger: Ledger) -> None:
    jobs = [submitted(fake_ledger) for _ in range(3)]
    named = asked.post("/bulk", 202, action="cancel", jobs=jobs[:2])
    assert (named["outcome"]["total"], named["kind"]) == (2, "bulk action")
    meant = asked.post("/bulk", 202, action="force-stop", q="state:queued -kind:bulk collection:contracts")
    assert meant["outcome"]["total"] == 3
    nothing = asked.post("/bulk", 422, action="cancel", q="state:failed")
    assert nothing["error"].startswith("Nothing was submitted: no jobs were chosen")
    assert "jobs.0" in asked.post("/bulk", 422, action="cancel", jobs=["a/b"])["error"]


@pytest.mark.parametrize("job", ["0123456789ab", "x:cancel", "x%3Acancel", "%00", "%F0%9F%98%80", "a" * 65, "..%2F.."])
def test_what_is_no_job_is_not_found(asked: Api, fake_ledger: Ledger, job: str) -> None:
    fake_ledger.redis.set(keys.cancel("x"), "{}")
    asked.get(f"/jobs/{job}", 404)
    asked.post(f"/jobs/{job}/cancel", 404)


# --- collections --------------------------------------------------------------------------------------


def test_collections_tell_their_snapshots_gates_and_what_is_asked_of_them(asked: Api, fake_ledger: Ledger) -> None:
    lay(Shelf(fake_ledger.settings.data), "contracts", "000001")
    [row] = asked.get("/collections")["collections"]
    assert (row["name"], row["documents"]) == ("contracts", 2)
    [snapshot] = asked.get("/collections/contracts/snapshots")["snapshots"]
    assert snapshot["current"] is True
    assert asked.get("/collections/nowhere/snapshots", 404)["code"] == "not_found"
    assert asked.get("/collections/nowhere/search", 404, q="words")["code"] == "not_found"
    assert asked.get("/collections/contracts/search", 422)["error"].startswith("q: ")
    asked.post("/collections/contracts/gates", min_documents=3)
    assert asked.get("/collections/contracts/gates") == {"max_failed_percent": 100.0, "min_documents": 3}
    assert asked.get("/collections/contracts/held") == {"held": []}
    assert asked.post("/collections/contracts/roll-back", 404, version="999999")["code"] == "not_found"
    for what, kind in (("prune", "prune"), ("export", "export")):
        job = asked.post(f"/collections/contracts/{what}", 202)
        assert (job["kind"], job["collection"], job["owner"]) == (kind, "contracts", "admin@example.com")
    assert asked.post("/collections/contracts/export", 422, format="exe")["code"] == "invalid"
    assert asked.post("/collections/contracts/discard-held", 200, job="0123456789ab")["sentence"]
    assert asked.post("/clean", 202, older_than_days=7)["kind"] == "clean caches"


def test_an_export_is_downloaded_in_parts_too(asked: Api, fake_ledger: Ledger) -> None:
    job = exported(fake_ledger)
    answer = asked.client.get(f"{ROOT}/exports/{job}", headers=asked.headers | {"Range": "bytes=1000-"})
    assert (answer.status_code, answer.content) == (206, BODY[1000:])
    assert asked.get(f"/exports/{submitted(fake_ledger)}", 404)["error"].startswith("There is no such export")
