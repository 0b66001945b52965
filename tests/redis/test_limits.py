"""An embedder's requests and tokens a minute, shared by all workers, on both kinds of server."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.ledger import Ledger, keys, limits


def limited(ledger: Ledger, **limits_a_minute: Any) -> Ledger:
    return Ledger(ledger.redis, settings_of.read(data=ledger.settings.data, **limits_a_minute), PROGRAM)


def test_without_a_limit_nothing_is_asked(ledger: Ledger) -> None:
    assert not limits.limited(ledger)
    assert limits.limited(limited(ledger, embed_requests_per_minute=1))
    assert limits.limited(limited(ledger, embed_tokens_per_minute=1))


def test_a_second_request_waits_for_its_part_of_the_minute(ledger: Ledger) -> None:
    slow = limited(ledger, embed_requests_per_minute=10)
    assert limits.admit(slow, "a", 1) == 0
    assert 2 < limits.admit(slow, "a", 1) <= 60 / 9.5
    assert limits.admit(slow, "another", 1) == 0


def test_tokens_are_limited_too_and_a_call_larger_than_the_minute_goes_alone(ledger: Ledger) -> None:
    slow = limited(ledger, embed_tokens_per_minute=1000)
    assert limits.admit(slow, "a", 5000) == 0
    assert 290 < limits.admit(slow, "a", 1) < 320


def test_a_call_that_must_wait_costs_nothing(ledger: Ledger) -> None:
    both = limited(ledger, embed_requests_per_minute=1000, embed_tokens_per_minute=1000)
    assert limits.admit(both, "a", 1000) == 0
    before = ledger.redis.hgetall(keys.embedder_limit("a"))
    assert limits.admit(both, "a", 1000) > 0
    assert ledger.redis.hgetall(keys.embedder_limit("a")) == before


def test_all_workers_share_one_limit(ledger: Ledger) -> None:
    workers = [limited(ledger, embed_requests_per_minute=1200) for _ in range(3)]
    started = time.monotonic()
    went = 0
    while (spent := time.monotonic() - started) < 1.0:
        went += sum(limits.admit(worker, "a", 1) == 0 for worker in workers)
    # 19 a second, and what three seconds had to spare.
    assert 57 <= went <= 19 * (spent + 3) + 2


def test_what_is_kept_of_it_expires(ledger: Ledger) -> None:
    limits.admit(limited(ledger, embed_requests_per_minute=60), "a", 1)
    assert 0 < ledger.redis.pttl(keys.embedder_limit("a")) <= 5000


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    requests=st.integers(1, 200),
    tokens=st.integers(100, 5000),
    sizes=st.lists(st.integers(1, 900), min_size=1, max_size=150),
    pauses=st.lists(st.floats(0, 5), min_size=1, max_size=10),
)
def test_no_minute_ever_holds_more_than_the_limits(
    fake_ledger: Ledger, requests: int, tokens: int, sizes: list[int], pauses: list[float]
) -> None:
    fake_ledger.redis.flushall()
    ledger = limited(fake_ledger, embed_requests_per_minute=requests, embed_tokens_per_minute=tokens)
    now = 1_800_000_000.0
    went: list[tuple[float, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: now)
        for at, size in enumerate(sizes):
            now += pauses[at % len(pauses)] if at % 7 == 0 else 0.0
            while (wait := limits.admit(ledger, "a", size)) > 0:
                now += wait
            went.append((now, size))
    for at, (moment, _) in enumerate(went):
        minute = [size for later, size in went[at:] if later < moment + 60]
        assert len(minute) <= requests
        assert sum(minute[:-1]) <= tokens
