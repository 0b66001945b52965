"""/metrics: the figures of the board as Prometheus reads them, for whom they are, and names and numbers only."""

from __future__ import annotations

import re

import pytest
from redis.exceptions import ConnectionError as Away
from starlette.testclient import TestClient

from dashboard import connection
from dashboard.api import exposition
from dashboard.api.exposition import Family, one
from tasks.errors import RedisUnreachable
from tasks.ledger import Ledger, control, foreign, keys
from tasks.snapshots.shelf import Shelf
from tests.factories import claimed, finish_documents, submitted
from tests.pages.test_api_rights import client, headers, token
from tests.snapshot_factories import lay

__all__ = ["client"]

# A line of the format: https://prometheus.io/docs/instrumenting/exposition_formats/
LABEL = r'[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?'
SAMPLE = re.compile(r"[a-z_:][a-z0-9_:]*(\{(" + LABEL + r")*\})? (?:-?[0-9.]+(?:e[+-]?\d+)?|NaN|[+-]Inf)")


def read(text: str) -> dict[str, float]:
    """Series and value of a scrape; every line is one of the format, and every series is there once."""
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            assert word in ("HELP", "TYPE")
            if word == "TYPE":
                assert name not in kinds
                kinds[name] = rest
            continue
        assert SAMPLE.fullmatch(line), line
        series, _, value = line.rpartition(" ")
        assert series not in found
        assert series.partition("{")[0] in kinds
        found[series] = float(value)
    assert text.endswith("\n")
    return found


@pytest.fixture
def local(client: TestClient, fake_ledger: Ledger) -> TestClient:
    """The same where nobody signs in."""
    fake_ledger.settings = fake_ledger.settings.model_copy(update={"auth": "local"})
    connection.use(fake_ledger, tick_s=0.0)
    return client


def test_where_nobody_signs_in_it_is_open(local: TestClient, fake_ledger: Ledger) -> None:
    job = submitted(fake_ledger, 2, title="A secret title")
    claim = claimed(fake_ledger, job)
    finish_documents(fake_ledger, claim)
    control.cancel(fake_ledger, submitted(fake_ledger))
    submitted(fake_ledger)
    lay(Shelf(fake_ledger.settings.data), "contracts", "000001")
    control.pause(fake_ledger, "low")
    answer = local.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = read(answer.text)
    assert found['ingestboard_jobs{state="running"}'] == 1
    assert found['ingestboard_jobs{state="canceled"}'] == 1
    assert found['ingestboard_jobs_ended_today{state="canceled"}'] == 1
    assert 'ingestboard_jobs_ended_today{state="running"}' not in found
    assert found['ingestboard_queue_paused{queue="low"}'] == 1
    assert found['ingestboard_queue_paused{queue="high"}'] == 0
    assert found['ingestboard_queue_depth{queue="default"}'] >= 1
    assert found['ingestboard_collection_chunks{collection="contracts"}'] == found["ingestboard_chunks"] == 7
    assert found["ingestboard_redis_up"] == 1
    assert found["ingestboard_workers_alive"] == 0
    assert found["ingestboard_viewers"] == 0
    assert found["process_resident_memory_bytes"] > 1_000_000
    assert "ingestboard_embedded_chunks_total" in found
    for told in ("secret", job, "paper-0.txt", "ana"):
        assert told not in answer.text


def test_where_people_sign_in_it_takes_a_token_of_a_viewer(client: TestClient, fake_ledger: Ledger) -> None:
    assert client.get("/metrics").status_code == 401
    for caller, status in (("garbage", 401), ("expired", 401), ("revoked", 401), ("stranger", 403), ("viewer", 200)):
        assert client.get("/metrics", headers=headers(fake_ledger, caller)).status_code == status


def test_a_wrong_token_is_wrong_where_none_is_needed(local: TestClient, fake_ledger: Ledger) -> None:
    assert local.get("/metrics", headers=headers(fake_ledger, "garbage")).status_code == 401
    assert local.get("/metrics", headers={"Authorization": f"Bearer {token(fake_ledger, 'viewer')}"}).status_code == 200


def test_jobs_that_ended_today_are_counted_of_what_is_seen(client: TestClient, fake_ledger: Ledger) -> None:
    roles = fake_ledger.settings.roles_file
    roles.write_text(roles.read_text() + '\n[collections."hr-*"]\nsee = ["group:hr"]\n')
    for collection in ("hr-letters", "contracts"):
        job = submitted(fake_ledger, collection=collection)
        control.cancel(fake_ledger, job)
    seen = 'ingestboard_jobs_ended_today{state="canceled"}'
    assert read(client.get("/metrics", headers=headers(fake_ledger, "viewer")).text)[seen] == 1
    assert read(client.get("/metrics", headers=headers(fake_ledger, "admin")).text)[seen] == 2


def test_without_redis_it_says_so_and_what_the_process_uses(
    local: TestClient, fake_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.shared().feed.look()

    def away(*_: object, **__: object) -> None:
        raise Away("away")

    def gone(*_: object, **__: object) -> None:
        raise RedisUnreachable(url="redis://x", reason="no connection")

    monkeypatch.setattr(foreign, "overview", away)
    found = read(local.get("/metrics").text)
    assert (found["ingestboard_redis_up"], "process_cpu_seconds_total" in found) == (0, True)
    connection.use(None)
    monkeypatch.setattr(connection, "connect", gone)
    assert read(local.get("/metrics").text)["ingestboard_redis_up"] == 0


def test_what_somebody_forged_breaks_no_line(local: TestClient, fake_ledger: Ledger) -> None:
    submitted(fake_ledger)
    fake_ledger.redis.hset(keys.USUAL, 'a"b\\c\nd', "5")
    fake_ledger.redis.hset(keys.DAYS, b"\xff:failed", "x")
    fake_ledger.redis.hset(keys.RATES, "txt:documents", "nan")
    read(local.get("/metrics").text)


def test_values_and_labels_are_written_as_the_format_has_it() -> None:
    family = Family("ingestboard_x", "gauge", "About\nit \\.", (({"name": 'a"b\\c\nd'}, 0.25), ({}, float("inf"))))
    assert exposition.text([family, one("ingestboard_y_total", "counter", "Y.", 3.0)]) == (
        "# HELP ingestboard_x About\\nit \\\\.\n"
        "# TYPE ingestboard_x gauge\n"
        'ingestboard_x{name="a\\"b\\\\c\\nd"} 0.25\n'
        "ingestboard_x +Inf\n"
        "# HELP ingestboard_y_total Y.\n"
        "# TYPE ingestboard_y_total counter\n"
        "ingestboard_y_total 3\n"
    )
    with pytest.raises(AssertionError):
        one("ingestboard_z", "counter", "", 1.0)
