"""The mirror is the ledger: read in ticks, portions and after accidents, it holds what a fresh read finds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from redis.client import Pipeline
from redis.connection import AbstractConnection
from redis.exceptions import NoPermissionError

from dashboard.feed import PATIENCE, Feed
from dashboard.memory.mirror import Mirror
from tasks.errors import IngestboardError
from tasks.ledger import Ledger, control, keys, monitor, packed
from tasks.ledger.changes import Reader
from tasks.ledger.news import Cursor, News
from tasks.ledger.records import JobRow, job_row
from tasks.ledger.states import State
from tests.factories import claimed, finish_documents, new_documents, run_to_publish, submitted
from tests.waiting import wait_until


def shown(mirror: Mirror) -> dict[str, JobRow]:
    return {job_id: row for job_id in mirror.memory.rows.by_id if (row := mirror.get(job_id)) is not None}


def fresh(ledger: Ledger) -> dict[str, JobRow]:
    rows = monitor.page(ledger, limit=10_000)[0]
    return {row.id: replace(row, recipe="", sync="", arguments="") for row in rows}


def settled(feed: Feed) -> Mirror:
    """The mirror once it has read everything; a start that begins anew takes a few looks."""
    for _ in range(PATIENCE + 2):
        feed.look()
    for _ in range(1_000):
        if feed.mirror.complete:
            return feed.look()
        feed.advance()
    raise AssertionError("the mirror never had all of it")


def small_feed(ledger: Ledger) -> Feed:
    """A feed that reads few at a time, so that few jobs are many."""
    return Feed(Reader(ledger), tick_s=0, first=3, portion=2, background=False)


@contextmanager
def counting_trips() -> Iterator[list[None]]:
    """A mark for each write to a server."""
    trips: list[None] = []
    real: Any = AbstractConnection.send_packed_command

    def counted(connection: Any, command: Any, check_health: bool = True) -> None:
        trips.append(None)
        real(connection, command, check_health)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AbstractConnection, "send_packed_command", counted)
        yield trips


class Boards(RuleBasedStateMachine):
    """What people, workers and accidents do to a ledger between the ticks of a mirror."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger
        ledger.redis.flushall()
        self.feed = small_feed(ledger)
        self.feed.look()
        self.jobs: list[str] = []

    def one(self, at: int) -> str:
        return self.jobs[at % len(self.jobs)] if self.jobs else "none"

    @rule(count=st.integers(1, 3), many=st.integers(1, 12))
    def submit(self, count: int, many: int) -> None:
        self.jobs += [submitted(self.ledger, count) for _ in range(many)]

    @rule(at=st.integers(0, 100), fails=st.booleans())
    def work(self, at: int, fails: bool) -> None:
        with contextlib.suppress(AssertionError, IngestboardError):
            run_to_publish(self.ledger, self.one(at), failing=[0] if fails else [])

    @rule(at=st.integers(0, 100))
    def claim(self, at: int) -> None:
        with contextlib.suppress(AssertionError):
            claimed(self.ledger, self.one(at))

    @rule(at=st.integers(0, 100), action=st.sampled_from([control.cancel, control.retry, control.delete]))
    def act(self, at: int, action: Any) -> None:
        with contextlib.suppress(IngestboardError):
            action(self.ledger, self.one(at), by="bo")

    @rule()
    def tick(self) -> None:
        self.feed.look()

    @rule()
    def read_on(self) -> None:
        self.feed.advance()

    @rule()
    def lose_the_index_of_removals(self) -> None:
        self.ledger.redis.delete(keys.REMOVED)

    @rule(again=st.integers(0, 30))
    def begin_anew(self, again: int) -> None:
        self.ledger.redis.flushall()
        self.jobs = [submitted(self.ledger) for _ in range(again)]

    @invariant()
    def never_says_more_than_it_knows(self) -> None:
        mirror = self.feed.mirror
        assert mirror.loaded <= mirror.total
        assert mirror.loaded == len(mirror.memory.rows)

    def teardown(self) -> None:
        assert shown(settled(self.feed)) == fresh(self.ledger)


def test_after_any_interleaving_the_mirror_equals_a_fresh_read(ledger: Ledger) -> None:
    class OnThisLedger(Boards):
        def __init__(self) -> None:
            super().__init__(ledger)

    run_state_machine_as_test(
        OnThisLedger,
        settings=hypothesis_settings(
            max_examples=15,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_packed_job_reads_as_the_job_does(ledger: Ledger) -> None:
    job_id = submitted(ledger, 2)
    claim = claimed(ledger, job_id)
    finish_documents(ledger, claim, failing=[1])
    control.cancel(ledger, job_id, by="bo")
    found = Reader(ledger).start(Cursor(), 10)[0].rows
    assert [packed.unpack(row) for row in found] == list(fresh(ledger).values())


@pytest.mark.parametrize(
    "broken", [{"state": "flying"}, {"state": "running", "percent": "nan", "created_at": "-3"}, {}]
)
def test_a_damaged_record_reads_as_it_does_elsewhere(broken: dict[str, str]) -> None:
    fields = {name.encode(): value.encode() for name, value in ({"title": "t"} | broken).items()}
    row = packed.pack("j", [fields.get(name.encode()) for name in packed.FIELDS])
    assert row is not None
    assert packed.unpack(row) == job_row("j", fields)


def test_a_tick_is_one_round_trip_and_a_burst_two(real_ledger: Ledger) -> None:
    jobs = [submitted(real_ledger) for _ in range(60)]
    feed = Feed(Reader(real_ledger), tick_s=0)
    feed.look()
    feed.look()
    for changed, most in ((3, 1), (50, 2), (50, 1)):
        for job in jobs[:changed]:
            store_title(real_ledger, job)
        with counting_trips() as trips:
            mirror = feed.look()
        assert len(trips) <= most
        assert mirror.revision == int(real_ledger.redis.get(keys.REVISION) or 0)
        assert shown(mirror) == fresh(real_ledger)


def store_title(ledger: Ledger, job_id: str) -> None:
    """Change a job as the scripts do."""
    revision = ledger.redis.incr(keys.REVISION)
    ledger.redis.hset(keys.job(job_id), mapping={"title": f"changed at {revision}", "revision": revision})
    ledger.redis.zadd(keys.CHANGES, {job_id: revision})


def test_more_changes_than_a_tick_reads_come_in_portions(real_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.ledger.changes.BURST", 20)
    jobs = [submitted(real_ledger) for _ in range(90)]
    feed = Feed(Reader(real_ledger), tick_s=0, portion=7, background=False)
    feed.look()
    for job in jobs:
        store_title(real_ledger, job)
    with counting_trips() as trips:
        mirror = feed.look()
    assert len(trips) <= 2
    assert not mirror.complete
    assert mirror.loaded == mirror.total == 90
    assert shown(settled(feed)) == fresh(real_ledger)


def test_a_start_shows_the_newest_jobs_and_a_thread_reads_the_rest(ledger: Ledger) -> None:
    jobs = [submitted(ledger) for _ in range(40)]
    feed = Feed(Reader(ledger), tick_s=0, first=10, portion=5)
    first = feed.look()
    assert (first.loaded, first.total, first.complete) == (10, 40, False)
    assert set(shown(first)) == set(jobs[-10:])
    wait_until(lambda: feed.mirror.complete, what="the whole board")
    assert shown(feed.look()) == fresh(ledger)


def test_jobs_of_one_instant_are_all_read(ledger: Ledger) -> None:
    jobs = [submitted(ledger) for _ in range(12)]
    for job in jobs:
        ledger.redis.hset(keys.job(job), "created_at", "1763600000.000000")
        ledger.redis.zadd(keys.JOBS, {job: 1763600000.0})
    assert set(shown(settled(small_feed(ledger)))) == set(jobs)


def test_a_server_that_refuses_to_sort_is_asked_job_by_job(
    real_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Pipeline.execute

    def refusing(pipe: Any, raise_on_error: bool = True) -> list[Any]:
        sorts = [at for at, (args, _) in enumerate(pipe.command_stack) if args[0] == "SORT"]
        answers: list[Any] = real(pipe, raise_on_error)
        for at in sorts:
            answers[at] = NoPermissionError("No permissions to access a key")
        return answers

    monkeypatch.setattr(Pipeline, "execute", refusing)
    reader = Reader(real_ledger)
    feed = Feed(reader, tick_s=0)
    feed.look()
    job = submitted(real_ledger)
    feed.look()
    assert not reader.sorts
    control.cancel(real_ledger, job, by="bo")
    assert [row.state for row in shown(feed.look()).values()] == [State.CANCELED]


def test_a_server_that_began_anew_is_read_anew(real_ledger: Ledger) -> None:
    submitted(real_ledger, title="old")
    feed = Feed(Reader(real_ledger), tick_s=0)
    feed.look()
    real_ledger.redis.flushall()
    job = submitted(real_ledger, title="new")
    submitted(real_ledger)
    assert job in shown(feed.look())
    assert shown(settled(feed)) == fresh(real_ledger)


def test_more_jobs_than_may_be_kept_leaves_the_newest(ledger: Ledger) -> None:
    jobs = [submitted(ledger) for _ in range(30)]
    feed = Feed(Reader(ledger), tick_s=0, most=20, first=5, portion=5, background=False)
    mirror = settled(feed)
    assert set(jobs[-15:]) <= set(shown(mirror))
    assert mirror.loaded <= 20
    assert mirror.total == 30
    assert mirror.complete
    assert mirror.capped


def test_figures_workers_and_counts_are_those_of_the_ledger(ledger: Ledger) -> None:
    feed = Feed(Reader(ledger), tick_s=0)
    feed.look()
    first, second = submitted(ledger), submitted(ledger)
    ledger.redis.zadd(keys.WORKERS, {"w1": ledger.now(), "w0": ledger.now() - 60})
    claim = run_to_publish(ledger, first)
    assert claim is not None
    mirror = feed.look()
    assert mirror.workers == {"w1"}
    assert (mirror.figures.queued, mirror.figures.running, mirror.figures.workers_alive) == (1, 1, 1)
    assert mirror.figures.oldest_wait_s is not None
    assert mirror.get(second) is not None
    assert mirror.total == len(new_documents(2))


def test_a_removal_that_left_no_trace_is_noticed(ledger: Ledger) -> None:
    jobs = [submitted(ledger) for _ in range(3)]
    feed = Feed(Reader(ledger), tick_s=0)
    feed.look()
    control.cancel(ledger, jobs[0], by="bo")
    control.delete(ledger, jobs[0], by="bo")
    ledger.redis.delete(keys.REMOVED)
    assert set(shown(settled(feed))) == set(jobs[1:])


def test_a_record_that_is_lost_does_not_make_the_mirror_begin_for_ever(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [submitted(ledger) for _ in range(3)]
    ledger.redis.delete(keys.job(jobs[0]))
    starts: list[None] = []
    start = Reader.start

    def counted(reader: Reader, cursor: Cursor, count: int) -> Any:
        starts.append(None)
        return start(reader, cursor, count)

    monkeypatch.setattr(Reader, "start", counted)
    feed = Feed(Reader(ledger), tick_s=0)
    for _ in range(20 * PATIENCE):
        feed.look()
    assert len(starts) <= 2
    assert set(shown(feed.mirror)) == set(jobs[1:])
    control.cancel(ledger, jobs[1], by="bo")
    control.delete(ledger, jobs[1], by="bo")
    assert set(shown(feed.look())) == {jobs[2]}


def test_another_server_behind_the_same_address_is_read_anew(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted(ledger)
    feed = Feed(Reader(ledger), tick_s=0)
    before = feed.look().memory
    assert feed.look().memory is before
    tick = Reader.tick

    def restarted(*args: Any, **options: Any) -> News:
        news = tick(*args, **options)
        assert news.beat is not None
        return replace(news, beat=replace(news.beat, run="another"))

    monkeypatch.setattr(Reader, "tick", restarted)
    after = feed.look()
    assert after.memory is not before
    assert shown(after) == fresh(ledger)


def test_the_server_tells_its_run(real_ledger: Ledger) -> None:
    news, _ = Reader(real_ledger).start(Cursor(), 1)
    assert news.beat is not None
    assert news.beat.run == real_ledger.redis.info("server")["run_id"]
