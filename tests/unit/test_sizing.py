"""How many workers a pool aims at."""

from __future__ import annotations

import pytest

from tasks.ledger import Ledger, keys
from workers.sizing import Sizing, share

POOLS = ["host-10", "host-20", "host-30"]


@pytest.mark.parametrize(("total", "each"), [(0, [0, 0, 0]), (1, [1, 0, 0]), (5, [2, 2, 1]), (6, [2, 2, 2])])
def test_pools_of_a_host_share_what_is_asked_for_it(total: int, each: list[int]) -> None:
    assert [share(total, POOLS, name) for name in POOLS] == each


def test_a_pool_that_has_not_reported_yet_counts_itself() -> None:
    assert share(4, [], "host-10") == 4
    assert share(4, ["host-20"], "host-10") == 2


def sizing(ledger: Ledger, **asked: int) -> Sizing:
    if asked:
        ledger.redis.hset(keys.wanted("host"), mapping={name: str(value) for name, value in asked.items()})
    return Sizing(ledger, "host-10", 2)


def test_a_pool_keeps_the_size_it_was_started_with_until_another_is_asked(fake_ledger: Ledger) -> None:
    pool = sizing(fake_ledger)
    pool.ask()
    assert pool.size == 2
    fake_ledger.redis.hset(keys.wanted("host"), mapping={"size": "5", "low": "0", "high": "0"})
    pool.ask()
    assert (pool.size, pool.low, pool.high) == (5, 5, 5)


def test_a_damaged_number_asks_for_no_thousands_of_workers(fake_ledger: Ledger) -> None:
    pool = sizing(fake_ledger, size=10**9, low=0, high=0)
    pool.ask()
    assert pool.size == 512


def test_it_grows_while_something_waits_long_and_never_beyond(fake_ledger: Ledger) -> None:
    pool = sizing(fake_ledger, size=2, low=1, high=4)
    pool.ask()
    sizes = []
    for second in range(100, 106):
        pool.move(6.0, float(second))
        sizes.append(pool.size)
    assert sizes == [3, 4, 4, 4, 4, 4]


def test_a_short_wait_changes_nothing(fake_ledger: Ledger) -> None:
    pool = sizing(fake_ledger, size=2, low=1, high=4)
    pool.ask()
    pool.move(4.0, 100.0)
    assert pool.size == 2


def test_it_shrinks_one_by_one_after_idle_time_and_never_below(fake_ledger: Ledger) -> None:
    pool = sizing(fake_ledger, size=2, low=1, high=4)
    pool.ask()
    pool.size = 3
    pool.move(1.0, 1000.0)
    sizes = []
    for now in (1059.0, 1061.0, 1100.0, 1122.0, 1200.0):
        pool.move(None, now)
        sizes.append(pool.size)
    assert sizes == [3, 2, 2, 1, 1]
