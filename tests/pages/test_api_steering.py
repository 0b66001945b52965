"""The HTTP API about what does the work, what happened, and the tokens that ask."""

from __future__ import annotations

import json
from typing import Any

from tasks.ledger import Ledger, keys, saved, store
from tests.factories import claimed, finish_documents, submitted
from tests.pages.test_api import ROOT, Api, asked
from tests.pages.test_api_rights import client

__all__ = ["asked", "client"]

# --- what does the work, and what happened ------------------------------------------------------------


def test_queues_and_workers_are_steered(asked: Api, fake_ledger: Ledger) -> None:
    fake_ledger.redis.zadd(keys.WORKERS, {"host-1.1": fake_ledger.now()})
    fake_ledger.redis.zadd(keys.POOLS, {"host-1": fake_ledger.now()})
    assert [row["name"] for row in asked.get("/workers")["workers"]] == ["host-1.1"]
    assert "takes nothing more" in asked.post("/workers/host-1.1/drain")["sentence"]
    assert asked.post("/workers/host-1.1/drain", 409)["code"] == "conflict"
    assert "takes work again" in asked.post("/workers/host-1.1/undrain")["sentence"]
    assert asked.post("/workers/nobody/drain", 404)["code"] == "not_found"
    assert "goes to 3 workers" in asked.post("/hosts/host/scale", size=3)["sentence"]
    assert "written off" in asked.post("/workers/host-1.1/write-off")["sentence"]
    asked.post("/queues/low/pause", why="lunch")
    low = next(row for row in asked.get("/queues")["queues"] if row["priority"] == "low")
    assert (low["paused"]["by"], low["paused"]["why"], low["ours"]) == ("admin@example.com", "lunch", True)
    asked.post("/queues/low/resume")
    assert asked.post("/queues/nowhere/pause", 409)["code"] == "conflict"


def test_rq_jobs_of_other_programs_are_listed_opened_and_moved(asked: Api, fake_ledger: Ledger) -> None:
    redis = fake_ledger.redis
    redis.sadd(keys.RQ_QUEUES, keys.rq_queue("theirs"))
    redis.hset(keys.rq_job("f1"), mapping={"origin": "theirs", "status": "failed", "description": "f()", "data": "x"})
    redis.zadd(keys.rq_registry("failed", "theirs"), {"f1": 9e9})
    page = asked.get("/foreign-jobs", queue="theirs", registry="failed")
    assert ([row["id"] for row in page["rows"]], page["total"]) == (["f1"], 1)
    assert asked.get("/foreign-jobs/f1")["description"] == "f()"
    assert asked.post("/foreign-jobs/f1/requeue", queue="theirs")["done"] == 1
    assert asked.post("/foreign-jobs/f1/stop", 409)["code"] == "conflict"
    assert asked.post("/foreign-jobs/f1/delete", queue="theirs")["done"] == 1
    assert asked.get("/foreign-jobs/f1", 404)["code"] == "not_found"
    assert asked.post("/foreign-jobs/requeue", queue="theirs", registry="failed")["done"] == 0
    assert asked.get("/foreign-jobs", 422, queue="theirs", registry="all")["code"] == "invalid"


def test_failures_are_grouped_and_acknowledged(asked: Api, fake_ledger: Ledger) -> None:
    job = submitted(fake_ledger, 2)
    claim = claimed(fake_ledger, job)
    finish_documents(fake_ledger, claim, failing=(0,))
    store.settle(fake_ledger, job, "0", claim.attempt, "done")
    [group] = asked.get("/failures", q="collection:contracts")["failures"]
    assert (group["cause"], group["documents"], group["jobs"]) == ("It is damaged.", 1, [job])
    asked.post(f"/failures/{group['key']}/acknowledge", note="known")
    [group] = asked.get("/failures")["failures"]
    assert (group["acknowledged"]["note"], group["acknowledged"]["by"]) == ("known", "admin@example.com")
    asked.post(f"/failures/{group['key']}/withdraw")
    assert asked.post("/failures/x/acknowledge", 422)["code"] == "invalid"


def test_activity_goes_on_where_a_page_ended(asked: Api, fake_ledger: Ledger) -> None:
    for _ in range(3):
        submitted(fake_ledger)
    first = asked.get("/activity", action="submit", limit=2)
    rest = asked.get("/activity", action="submit", limit=2, before=first["older"])
    assert (len(first["activity"]), len(rest["activity"]), rest["older"]) == (2, 1, "")
    assert len(asked.get("/record", by="ana")["record"]) == 3
    assert asked.get("/activity", 422, before="x")["code"] == "invalid"


def test_history_has_a_point_for_each_step(asked: Api, fake_ledger: Ledger) -> None:
    found = asked.get("/history", hours=3, step_s=3600)
    assert found["step_s"] == 3600
    assert 3 <= len(found["points"]) <= 5
    assert found["points"][0]["ended"] == {}


def test_views_are_saved_replaced_and_deleted(asked: Api, fake_ledger: Ledger) -> None:
    def put(status: int, **more: Any) -> Any:
        sent = {"query": "state:failed"} | more
        answer = asked.client.put(f"{ROOT}/views/to fix", json=sent, headers=asked.headers)
        assert answer.status_code == status
        return answer.json()

    assert put(200)["by"] == "admin@example.com"
    assert put(409)["code"] == "conflict"
    put(200, replace=True, query="state:partial")
    assert [view["query"] for view in asked.get("/views")["views"]] == ["state:partial"]
    assert asked.client.delete(f"{ROOT}/views/to fix", headers=asked.headers).status_code == 200
    assert asked.client.delete(f"{ROOT}/views/to fix", headers=asked.headers).status_code == 404
    assert saved.views(fake_ledger) == []


# --- tokens -------------------------------------------------------------------------------------------


def test_a_token_says_who_it_speaks_for(asked: Api, fake_ledger: Ledger) -> None:
    me = asked.get("/me")
    assert (me["name"], me["role"], me["limited"]) == ("admin@example.com", "admin", False)
    assert "roll_back" in me["rights"]
    assert "upkeep" not in me["rights"]
    assert "roll_back" not in Api(asked.client, fake_ledger, "operator").get("/me")["rights"]


def test_a_token_makes_no_more_than_itself(asked: Api, fake_ledger: Ledger) -> None:
    made = asked.post("/tokens", 201, label="ci", role="operator", days=0.5)
    assert made["secret"].startswith(f"ibt_{made['token']['id']}_")
    lesser = Api(asked.client, fake_ledger)
    lesser.headers = {"Authorization": f"Bearer {made['secret']}"}
    assert lesser.get("/me")["role"] == "operator"
    assert "more than yours" in lesser.post("/tokens", 422, label="x", role="admin", days=0.1)["error"]
    assert "outlive yours" in lesser.post("/tokens", 422, label="x", role="viewer", days=1)["error"]
    shown = lesser.get("/tokens")["tokens"]
    assert {one["label"] for one in shown} == {"test", "ci"}
    assert made["secret"][17:] not in json.dumps(shown)
    gone = asked.client.delete(f"{ROOT}/tokens/{made['token']['id']}", headers=lesser.headers)
    assert gone.status_code == 200
    assert asked.client.get(f"{ROOT}/me", headers=lesser.headers).status_code == 401


def test_the_roles_file_is_read_and_replaced(asked: Api, fake_ledger: Ledger) -> None:
    def put(status: int, content: str, before: str) -> Any:
        sent = {"content": content, "before": before}
        answer = asked.client.put(f"{ROOT}/roles", json=sent, headers=asked.headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    content = asked.get("/roles")["content"]
    assert "admin@example.com" in content
    assert "somebody else changed it" in put(422, content, "older")["error"]
    assert put(409, '[roles]\nadmin = ["ben@example.com"]', content)["code"] == "conflict"
    assert "cannot be used" in put(422, "[rolls]", content)["error"]
    said = put(200, content.replace('"viewer@', '"ben@example.com", "viewer@'), content)
    assert "viewer gains ben@example.com" in said["sentence"]
    assert '"ben@example.com"' in fake_ledger.settings.roles_file.read_text()
