"""The mirror answers from memory: pages, counts, ids, concerns; and what it made once it makes once."""

from __future__ import annotations

import gc
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dashboard.memory.matching import Sort
from dashboard.memory.mirror import Memory, Mirror
from dashboard.memory.query import Query, parse
from dashboard.memory.rows import LOGGED, Rows
from tasks.ledger.states import State
from tests.board_rows import memory_of, mirror_of, row


def many(count: int) -> Mirror:
    states = ("completed", "failed", "running")
    return mirror_of(
        memory_of(row(f"j{at}", state=states[at % 3], title=f"t{at:03}", created_at=1000.0 + at) for at in range(count))
    )


def test_a_page_says_where_it_is_and_of_how_many() -> None:
    mirror = many(120)
    page = mirror.page(Query(), number=2)
    assert [one.id for one in page.rows] == [f"j{at}" for at in range(69, 19, -1)]
    assert (page.total, page.first, page.number, page.last) == (120, 51, 2, 3)
    assert mirror.page(Query(), number=99).number == 3
    assert len(mirror.page(Query(), number=3).rows) == 20
    assert mirror.page(Query(), number=-4).number == 1
    nothing = mirror.page(parse("state:queued"))
    assert (nothing.rows, nothing.total, nothing.first, nothing.last) == ((), 0, 0, 1)


def test_pages_of_either_direction_meet() -> None:
    mirror = many(30)
    up = [one.id for number in (1, 2, 3) for one in mirror.page(Query(), Sort("title", False), number, 10).rows]
    down = [one.id for number in (1, 2, 3) for one in mirror.page(Query(), Sort("title"), number, 10).rows]
    assert up == [f"j{at}" for at in range(30)]
    assert down == up[::-1]
    assert mirror.ids(Query(), Sort("title", False)) == tuple(up)


def test_a_page_is_made_once_until_its_jobs_change() -> None:
    mirror = many(60)
    failed, everything = parse("state:failed"), Query()
    before, all_before = mirror.page(failed), mirror.page(everything)
    assert mirror.page(failed) is before
    mirror.memory.rows.put([row("j0", state="completed", title="new", created_at=1000.0, revision=2)])
    assert mirror.page(failed) is before
    assert mirror.page(everything) is not all_before
    mirror.memory.rows.put([row("j0", state="failed", title="new", created_at=1000.0, revision=3)])
    assert mirror.page(failed) is not before
    assert mirror.page(failed).total == before.total + 1


def test_counts_are_by_state_of_what_matches() -> None:
    mirror = many(9)
    assert mirror.counts(Query())[State.FAILED] == 3
    assert mirror.counts(parse("id:j1"))[State.FAILED] == 1
    assert mirror.counts(parse("id:j1"))[State.COMPLETED] == 0
    mirror.memory.rows.put((), ["j1"])
    assert sum(mirror.counts(Query()).values()) == 8


def test_collections_and_owners_are_those_that_jobs_have() -> None:
    memory = memory_of([row("a", owner="zoe", collection=""), row("b", owner="ana")])
    mirror = mirror_of(memory)
    assert (mirror.owners(), mirror.collections()) == (["ana", "zoe"], ["contracts"])
    memory.rows.put((), ["a"])
    assert mirror.owners() == ["ana"]


@pytest.fixture
def worried() -> Mirror:
    now = time.time()
    running = {"state": "running", "worker": "w1", "created_at": now - 9000, "progressed_at": now}
    rows = [
        row("fine", **(running | {"started_at": now - 10})),
        row("slow", **(running | {"started_at": now - 500})),
        row("stalled", **(running | {"started_at": now - 5000, "progressed_at": now - 700})),
        row("lost", **(running | {"started_at": now - 10, "worker": "w9"})),
        row("queued", state="queued", created_at=now - 9000),
    ]
    return replace(
        mirror_of(memory_of(rows)),
        workers=frozenset({"w1"}),
        usual={"contracts": 100.0},
        stalled_s=300.0,
    )


def test_concerns_are_the_live_jobs_with_a_mark_the_worst_first(worried: Mirror) -> None:
    assert [(one.row.id, one.mark.value) for one in worried.concerns(datetime.now(UTC))] == [
        ("lost", "lost"),
        ("stalled", "stalled"),
        ("slow", "slow"),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mark:slow", {"slow"}),
        ("mark:lost,stalled", {"lost", "stalled"}),
        ("mark:lost id:s", set()),
        ("-mark:lost", {"fine", "slow", "stalled", "queued"}),
        ("mark:slow -mark:slow", set()),
    ],
)
def test_marks_are_searched(worried: Mirror, text: str, found: set[str]) -> None:
    query = parse(text)
    assert set(worried.ids(query)) == found
    page = worried.page(query)
    assert ({one.id for one in page.rows}, page.total) == (found, len(found))
    assert sum(worried.counts(query).values()) == len(found)


def test_a_selection_that_fell_behind_the_log_begins_again() -> None:
    memory = memory_of([row("a", created_at=5.0)])
    mirror = mirror_of(memory)
    assert mirror.page(parse("owner:ben")).total == 0
    for turn in range(LOGGED + 10):
        memory.rows.put([row("a", created_at=5.0, revision=turn + 2)])
    memory.rows.put([row("b", owner="ben", created_at=6.0)])
    assert mirror.page(parse("owner:ben")).total == 1


def test_selections_that_nobody_looks_at_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.memory.mirror.PLACES", 250)
    mirror = many(100)
    first = mirror.memory.selection(Query(), Sort("title"))
    mirror.page(Query(), Sort("title"))
    for column in ("owner", "state", "percent"):
        mirror.page(Query(), Sort(column))
    assert mirror.memory.selection(Query(), Sort("title")) is not first
    assert mirror.page(Query(), Sort("title")).total == 100


def test_more_than_may_be_kept_drops_the_oldest() -> None:
    rows = Rows(100)
    rows.put(row(f"j{at}", created_at=1000.0 + at) for at in range(150))
    assert 90 <= len(rows) <= 100
    assert "j149" in rows.by_id
    assert "j0" not in rows.by_id


def test_rows_are_no_work_for_the_garbage_collector() -> None:
    memory = Memory()
    memory.rows.put(row(f"j{at}", created_at=1000.0 + at, error=f"e{at}") for at in range(50))
    gc.collect()
    assert not [one for one in memory.rows.by_id.values() if gc.is_tracked(one)]


def test_many_look_while_one_writes() -> None:
    mirror, stop, wrong = many(300), threading.Event(), []

    def look() -> None:
        try:
            while not stop.is_set():
                page = mirror.page(parse("-state:queued"), Sort("updated"))
                assert page.total >= len(page.rows)
                mirror.ids(parse("state:failed"))
                mirror.counts(Query())
        except Exception as error:  # noqa: BLE001
            wrong.append(error)

    viewers = [threading.Thread(target=look) for _ in range(4)]
    for viewer in viewers:
        viewer.start()
    for turn in range(300):
        mirror.memory.rows.put(
            [row(f"j{at}", state="running", last_updated=2000.0 + turn, created_at=1000.0 + at, revision=turn + 2)
             for at in range(turn % 50, 300, 50)],
            [f"j{turn}"],
        )  # fmt: skip
    stop.set()
    for viewer in viewers:
        viewer.join(30)
    assert not wrong
    assert set(mirror.ids(Query())) == set(mirror.memory.rows.by_id)
