"""Who looks at a job, on both kinds of server."""

from __future__ import annotations

import pytest

from tasks.ledger import Ledger, keys, presence


def test_everybody_who_looks_is_named_the_latest_first(ledger: Ledger) -> None:
    assert presence.look(ledger, "j1", "ana") == ["ana"]
    assert presence.look(ledger, "j1", "ben") == ["ben", "ana"]
    assert presence.look(ledger, "j1", "ana") == ["ana", "ben"]
    assert presence.look(ledger, "j2", "dewi") == ["dewi"]


def test_a_name_that_was_not_said_again_goes(ledger: Ledger) -> None:
    presence.look(ledger, "j1", "ana")
    long_ago = ledger.now() - presence.STAYS_S - 1
    ledger.redis.zadd(keys.presence("j1"), {"ana": long_ago})
    assert presence.look(ledger, "j1", "ben") == ["ben"]


def test_a_job_that_nobody_looks_at_leaves_nothing_behind(ledger: Ledger) -> None:
    presence.look(ledger, "j1", "ana")
    assert 0 < ledger.redis.ttl(keys.presence("j1")) <= presence.STAYS_S + 1


def test_the_names_of_one_job_are_bounded(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "NAMES", 3)
    for at in range(5):
        names = presence.look(ledger, "j1", f"viewer {at}")
    assert names == ["viewer 4", "viewer 3", "viewer 2"]


def test_looking_takes_one_round_trip(real_ledger: Ledger) -> None:
    presence.look(real_ledger, "j1", "ana")  # loads the script
    before = real_ledger.redis.info("commandstats")
    presence.look(real_ledger, "j1", "ana")
    after = real_ledger.redis.info("commandstats")
    assert after["cmdstat_evalsha"]["calls"] - before["cmdstat_evalsha"]["calls"] == 1
    sent = {name for name in after if after[name]["calls"] != before.get(name, {"calls": 0})["calls"]}
    inside = {
        f"cmdstat_{name}" for name in ("time", "zadd", "zremrangebyscore", "zremrangebyrank", "expire", "zrevrange")
    }
    assert sent - inside <= {"cmdstat_evalsha", "cmdstat_info", "cmdstat_client|setinfo", "cmdstat_client"}
