"""The Workers page, one test for each state that a person can see."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dashboard.pace import MOVING_S, STILL_S
from tasks.ledger import Ledger, keys
from tests.factories import submitted
from tests.pages.conftest import Open, button, html_of, words_of


def appear(
    ledger: Ledger, name: str, *, host: str = "alpha", age_s: float = 0.0, job: str = "", **fields: str | float
) -> None:
    """A worker that reported so long ago."""
    ledger.redis.zadd(keys.WORKERS, {name: ledger.now() - age_s})
    rq: dict[Any, Any] = {"hostname": host, "pid": 4711, "state": "busy" if job else "idle", "successful_job_count": 12}
    ledger.redis.hset(keys.rq_worker(name), mapping=rq | ({"ingestboard_job": job} if job else {}))
    ours: dict[Any, Any] = {"pool": f"{host}-1", "rss_bytes": 200_000_000, "delivery": f"{job}:0", **fields}
    ledger.redis.hset(keys.worker(name), mapping=ours)


def pool(ledger: Ledger, host: str = "alpha", *, size: int = 2, low: int = 0, high: int = 0) -> None:
    ledger.redis.zadd(keys.POOLS, {f"{host}-1": ledger.now()})
    mapping: dict[Any, Any] = {"host": host, "size": size, "wanted": size, "low": low, "high": high}
    ledger.redis.hset(keys.pool(f"{host}-1"), mapping=mapping)


def test_without_workers_it_says_how_to_start_some(open_page: Open) -> None:
    words = words_of(open_page("workers"))
    assert "No worker is alive" in words
    assert "ingestboard worker -n 4" in words


def test_a_busy_worker_shows_what_it_works_on(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger, title="Contracts of spring")
    appear(board_ledger, "w1", job=job, stage="embed", document="lease.pdf", documents_a_minute=31.5, cpu_percent=97.4)
    pool(board_ledger)
    page = open_page("workers")
    words = words_of(page)
    assert "1 worker alive 1 host 1 busy 0 idle 0 drained 0 not responding 32 documents a minute" in words
    assert "Busy w1 alpha · process 4711 Contracts of spring embed · lease.pdf" in words
    assert f'href="job?job={job}"' in html_of(page)
    assert "97 %" in words
    assert "200 MB" in words


def test_the_hosts_add_up_their_workers(open_page: Open, board_ledger: Ledger) -> None:
    for host in ("alpha", "beta"):
        pool(board_ledger, host, size=3, low=1 if host == "beta" else 0, high=6 if host == "beta" else 0)
        for at in range(3):
            appear(board_ledger, f"{host}-{at}", host=host, documents_a_minute=10, job="x" if at == 0 else "")
    words = words_of(open_page("workers", show="Hosts"))
    assert "alpha pool alpha-1 3 1 of 3 3 30 0 % 600 MB" in words
    assert "beta pool beta-1 3 1 of 3 3 1 to 6 30" in words


def test_a_host_without_a_pool_cannot_be_scaled(open_page: Open, board_ledger: Ledger) -> None:
    appear(board_ledger, "w1")
    page = open_page("workers", show="Hosts")
    assert any("nothing to scale" in one.value for one in page.caption)


def test_a_silent_worker_comes_first_and_can_be_written_off_after_a_question(
    open_page: Open, board_ledger: Ledger
) -> None:
    appear(board_ledger, "a-fine-one")
    appear(board_ledger, "z-silent", age_s=90)
    page = open_page("workers")
    words = words_of(page)
    assert words.index("Not responding z-silent") < words.index("Idle a-fine-one")
    assert button(page, "Write off…").disabled
    page.selectbox(key="worker").select("z-silent").run()
    button(page, "Write off…").click().run()
    assert "Should it wake, it can write nothing" in page.text[0].value
    button(page, "Write off").click().run()
    assert board_ledger.redis.hexists(keys.WRITTEN_OFF, "z-silent")
    assert "Written off z-silent" in words_of(page)


def test_a_worker_that_came_back_is_not_written_off(open_page: Open, board_ledger: Ledger) -> None:
    appear(board_ledger, "w1", age_s=90)
    page = open_page("workers")
    page.selectbox(key="worker").select("w1").run()
    board_ledger.redis.zadd(keys.WORKERS, {"w1": board_ledger.now()})
    button(page, "Write off…").click().run()
    assert "w1 is idle again" in page.warning[0].value
    assert not board_ledger.redis.hexists(keys.WRITTEN_OFF, "w1")


def test_a_worker_is_drained_and_takes_work_again(open_page: Open, board_ledger: Ledger) -> None:
    appear(board_ledger, "w1")
    page = open_page("workers")
    page.selectbox(key="worker").select("w1").run()
    button(page, "Drain").click().run()
    assert board_ledger.redis.hexists(keys.DRAINED, "w1")
    assert "Drained w1" in words_of(page)
    button(page, "Let it take work").click().run()
    assert not board_ledger.redis.hexists(keys.DRAINED, "w1")
    assert "Idle w1" in words_of(page)


def test_a_host_is_scaled(open_page: Open, board_ledger: Ledger) -> None:
    appear(board_ledger, "w1")
    pool(board_ledger, size=2)
    page = open_page("workers", show="Hosts")
    assert button(page, "Scale").disabled
    page.number_input(key="size-alpha-2-0-0").set_value(5).run()
    button(page, "Scale").click().run()
    wanted = board_ledger.redis.hgetall(keys.wanted("alpha"))
    assert wanted[b"size"] == b"5"


def test_a_host_sizes_itself_between_two_bounds(open_page: Open, board_ledger: Ledger) -> None:
    appear(board_ledger, "w1")
    pool(board_ledger, size=2)
    page = open_page("workers", show="Hosts")
    page.toggle(key="auto-alpha-2-0-0").set_value(True).run()
    page.number_input(key="low-alpha-2-0-0").set_value(1).run()
    page.number_input(key="high-alpha-2-0-0").set_value(8).run()
    button(page, "Scale").click().run()
    wanted = board_ledger.redis.hgetall(keys.wanted("alpha"))
    assert (wanted[b"low"], wanted[b"high"]) == (b"1", b"8")


@pytest.mark.parametrize(
    ("parameters", "shown"),
    [
        ({"standing": ["drained"]}, ["b"]),
        ({"host": "beta"}, ["c"]),
        ({"standing": ["busy"]}, []),
        ({}, ["a", "b", "c"]),
    ],
)
def test_the_address_filters_the_processes(
    open_page: Open, board_ledger: Ledger, parameters: dict[str, str | list[str]], shown: list[str]
) -> None:
    appear(board_ledger, "worker-a")
    appear(board_ledger, "worker-b")
    appear(board_ledger, "worker-c", host="beta")
    board_ledger.redis.hset(keys.DRAINED, "worker-b", json.dumps({"by": "ana", "at": 1}))
    words = words_of(open_page("workers", **parameters))
    assert [name for name in "abc" if f" worker-{name} " in words] == shown
    assert ("No worker is in these states" in words) == (not shown)


def test_eight_hundred_workers_are_paged(open_page: Open, board_ledger: Ledger) -> None:
    for host in range(50):
        for at in range(16):
            appear(board_ledger, f"w-{host:02}-{at:02}", host=f"host-{host:02}")
    page = open_page("workers")
    words = words_of(page)
    assert "800 workers alive 50 hosts" in words
    assert "1 to 50 of 800 processes" in words
    assert len(html_of(page)) < 120_000
    page.number_input(key="workers-page").set_value(16).run()
    assert "751 to 800 of 800 processes" in words_of(page)
    assert "w-49-15" in words_of(page)


def test_names_from_outside_are_escaped(open_page: Open, board_ledger: Ledger) -> None:
    appear(board_ledger, "<script>alert(1)</script>", host='"><img src=x>', job="j", document="<b>x</b>")
    html = html_of(open_page("workers"))
    assert "<script>alert" not in html
    assert "<img" not in html
    assert "<b>x</b>" not in html


def test_it_looks_every_second_while_somebody_works(
    open_page: Open, board_ledger: Ledger, paces: list[float | None]
) -> None:
    appear(board_ledger, "w1")
    open_page("workers")
    assert paces[-1] == STILL_S
    appear(board_ledger, "w1", job="x")
    open_page("workers")
    assert paces[-1] == MOVING_S


def test_a_worker_that_begins_to_work_does_not_draw_the_widgets_anew(open_page: Open, board_ledger: Ledger) -> None:
    appear(board_ledger, "w1", job="x")
    appear(board_ledger, "w2")
    page = open_page("workers")
    before = page.session_state["workers:drawn"]
    appear(board_ledger, "w2", job="x")
    page.run()
    assert page.session_state["workers:drawn"] == before
    appear(board_ledger, "w2", age_s=90)
    page.run()
    assert page.session_state["workers:drawn"] != before
