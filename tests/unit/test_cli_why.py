"""`ingestboard why` on a real Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import settings as settings_of
from tasks.cli import main
from tasks.ledger import Ledger, keys
from tests.factories import submitted


@pytest.fixture
def ledger(real_ledger: Ledger, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("INGESTBOARD_DATA", str(tmp_path / "data"))
    settings_of.current.cache_clear()
    yield real_ledger
    settings_of.current.cache_clear()


def test_it_says_the_reason_and_when_it_may_start(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.redis.zadd(keys.WORKERS, {"w1": ledger.now()})
    ledger.redis.sadd(keys.rq_listeners("default"), keys.rq_worker("w1"))
    ledger.redis.hset(keys.RATES, mapping={"txt:documents": 1, "txt:seconds": 30})
    submitted(ledger)
    job = submitted(ledger)
    assert main(["why", job]) == 0
    assert capsys.readouterr().out == (
        "It waits for 1 in the queue default; 1 worker works on them.\nIt may start in about 30 s.\n"
    )


def test_for_scripts_it_is_an_object(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    job = submitted(ledger)
    assert main(["why", job, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cause"] == "no worker"
    assert (found["position"], found["ahead"], found["starts_in_s"]) == (1, 0, None)


def test_a_job_that_there_is_not_is_one_sentence(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "nope"]) == 1
    assert capsys.readouterr().err.startswith("There is no job nope;")
