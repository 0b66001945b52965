"""What always holds on a real server while several actors interleave: persons, workers, zombies, a janitor.

A worker's claim is held across steps, so that everything may happen between its reports. A worker that falls
silent becomes a zombie: once the janitor has given its shard to others, whatever it does must write nothing.
The janitor's decisions are made here, since no test waits for a lease to end; the transitions are the real ones.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from typing import Any, ClassVar

import pytest
import redis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.errors import Canceled, Fenced, IngestboardError
from tasks.ledger import FINAL, Ledger, State, control, keys, monitor, store
from tasks.ledger.records import text, whole
from tasks.ledger.states import TRANSITIONS, DocumentState
from tests.dumping import dumped
from tests.factories import rq_id_of, submitted

pytestmark = pytest.mark.redis

WORKERS = ("w1", "w2", "w3")
PERSON = "bo"
TRIES = 2
which = st.integers(0, 1_000)  # picks one of however many there are


class Actors(RuleBasedStateMachine):
    """One ledger, and everyone who writes to it."""

    url: ClassVar[str]

    @initialize()
    def start(self) -> None:
        client = redis.Redis.from_url(self.url)
        client.flushall()
        config = settings_of.read(data="/nonexistent", redis_url=self.url, shard_tries=TRIES)
        self.ledger = Ledger(client, config, PROGRAM)
        self.held: dict[str, store.Claim] = {}  # what each worker works on
        self.silent: list[store.Claim] = []  # held by workers that went silent, their leases not yet at an end
        self.zombies: list[store.Claim] = []  # taken from them since
        self.orphans: list[tuple[str, str]] = []  # publishes that were written off and wait for the janitor
        self.lives: Counter[str] = Counter()  # a worker that comes back has a new name
        self.spent: list[tuple[str, str, str]] = []  # deliveries that were claimed once: job, shard, RQ id
        self.seen: dict[str, tuple[State, int, float]] = {}

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()

    # --- persons --------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 12), priority=st.sampled_from(["high", "default", "low"]))
    def submit(self, count: int, priority: str) -> None:
        if len(self._jobs()) < 6:
            submitted(self.ledger, count, priority=priority)

    @rule(at=which, force=st.booleans())
    def cancel(self, at: int, force: bool) -> None:
        self._ask(at, lambda job: control.cancel(self.ledger, job, by=PERSON, force=force))

    @rule(at=which, failed_only=st.booleans())
    def retry(self, at: int, failed_only: bool) -> None:
        self._ask(at, lambda job: control.retry(self.ledger, job, by=PERSON, failed_only=failed_only))

    @rule(at=which)
    def delete(self, at: int) -> None:
        self._ask(at, lambda job: control.delete(self.ledger, job, by=PERSON))

    @rule(at=which, priority=st.sampled_from(["high", "default", "low"]))
    def reprioritise(self, at: int, priority: str) -> None:
        self._ask(at, lambda job: control.reprioritise(self.ledger, job, priority, by=PERSON))

    @precondition(lambda self: self.silent)
    @rule(at=which)
    def write_off(self, at: int) -> None:
        """What the worker has goes on elsewhere at once; of a publish the janitor decides."""
        claim = self.silent.pop(at % len(self.silent))
        control.write_off(self.ledger, claim.worker, by=PERSON)
        self.zombies.append(claim)
        if claim.shard == store.PUBLISH:
            self.orphans.append((claim.job, claim.shard))

    def _ask(self, at: int, ask: Any) -> None:
        if jobs := self._jobs():
            with contextlib.suppress(IngestboardError):
                ask(one_of(jobs, at))

    # --- workers --------------------------------------------------------------------------------------

    @rule(worker=st.sampled_from(WORKERS), at=which)
    def claim(self, worker: str, at: int) -> None:
        on_their_way = self._members(keys.ENQUEUED)
        if worker in self.held or not on_their_way:
            return
        job, _, shard = one_of(sorted(on_their_way), at).rpartition(":")
        rq_id = rq_id_of(self.ledger, job, shard)
        claim = store.claim(self.ledger, job, shard, rq_id, f"{worker}-{self.lives[worker]}")
        if claim is not None:
            self.held[worker] = claim
            self.spent.append((job, shard, rq_id))

    @precondition(lambda self: self.spent)
    @rule(at=which)
    def claim_what_was_claimed_before(self, at: int) -> None:
        before = dumped(self.ledger.redis)
        job, shard, rq_id = one_of(self.spent, at)
        assert store.claim(self.ledger, job, shard, rq_id, "late") is None
        assert dumped(self.ledger.redis) == before

    @rule(worker=st.sampled_from(WORKERS), at=which, fails=st.booleans(), fraction=st.floats(0, 0.99))
    def report(self, worker: str, at: int, fails: bool, fraction: float) -> None:
        claim = self.held.get(worker)
        if claim is not None and not self._report(claim, at, fails=fails, fraction=fraction):
            del self.held[worker]

    @rule(worker=st.sampled_from(WORKERS), outcome=st.sampled_from(["released", "yielded", "lost", "overdue"]))
    def leave(self, worker: str, outcome: store.Outcome) -> None:
        """It hands its shard back, gives up its turn, dies, or is killed over a document; it may yet wake."""
        if worker in self.held:
            claim = self.held.pop(worker)
            self._settle(claim, outcome)
            self.zombies.append(claim)

    @rule(worker=st.sampled_from(WORKERS), fails=st.booleans())
    def finish(self, worker: str, fails: bool) -> None:
        claim = self.held.pop(worker, None)
        if claim is not None:
            self._finish(claim, fails=fails)

    @rule(worker=st.sampled_from(WORKERS))
    def commit(self, worker: str) -> None:
        claim = self.held.get(worker)
        if claim is not None and claim.shard == store.PUBLISH:
            try:
                store.Reporter(self.ledger, claim).check(commit=True)
            except Canceled:
                self._settle(self.held.pop(worker), "canceled")
            except Fenced:
                raise AssertionError("a worker was fenced off from what it holds") from None

    @rule(worker=st.sampled_from(WORKERS))
    def fall_silent(self, worker: str) -> None:
        if worker in self.held:
            self.silent.append(self.held.pop(worker))
            self.lives[worker] += 1

    @precondition(lambda self: self.silent)
    @rule(at=which, fails=st.booleans())
    def wake_in_time(self, at: int, fails: bool) -> None:
        self._finish(self.silent.pop(at % len(self.silent)), fails=fails)

    # --- zombies --------------------------------------------------------------------------------------

    @precondition(lambda self: self.zombies)
    @rule(at=which, does=st.sampled_from(["report", "commit", "done", "lost", "canceled", "released", "close"]))
    def wake_too_late(self, at: int, does: str) -> None:
        zombie, before = one_of(self.zombies, at), dumped(self.ledger.redis)
        with pytest.raises(Fenced):
            self._write(zombie, does)
        assert dumped(self.ledger.redis) == before

    def _write(self, claim: store.Claim, does: str) -> None:
        if does in ("report", "commit"):
            reporter = store.Reporter(self.ledger, claim)
            for row in claim.documents:
                reporter.document(row.number, DocumentState.COMPLETED, chunks=7)
            reporter.event("I am back.")
            reporter.check(now=True, commit=does == "commit")
        elif does == "close":
            store.close(self.ledger, claim.job, claim.fence, snapshot="000009")
        else:
            store.settle(self.ledger, claim.job, claim.shard, claim.fence, does)  # type: ignore[arg-type]

    # --- the janitor ----------------------------------------------------------------------------------

    @precondition(lambda self: self.silent)
    @rule(at=which, delay_s=st.sampled_from([0.0, 0.0, 60.0]))
    def take_back(self, at: int, delay_s: float) -> None:
        claim = self.silent.pop(at % len(self.silent))
        canceled = self.ledger.redis.exists(keys.cancel(claim.job))
        self._settle(claim, "canceled" if canceled else "lost", delay_s=delay_s)
        self.zombies.append(claim)

    @precondition(lambda self: self.orphans)
    @rule()
    def take_back_what_was_written_off(self) -> None:
        job, shard = self.orphans.pop()
        attempt = self._shards(job)[shard]["attempt"]
        canceled = self.ledger.redis.exists(keys.cancel(job))
        store.settle(self.ledger, job, shard, attempt, "canceled" if canceled else "lost", how="it was written off")

    @rule()
    def hand_over_what_is_due(self) -> None:
        for member in self._members(keys.DELAYED) | self._members(keys.ENQUEUED):
            job, _, shard = member.rpartition(":")
            known = rq_id_of(self.ledger, job, shard)
            self.ledger.transition("requeue", job, shard, known, store.new_rq_id())

    # --- how they do it -------------------------------------------------------------------------------

    def _report(self, claim: store.Claim, at: int, *, fails: bool, fraction: float) -> bool:
        """Some documents end, and a part of the next; whether the worker goes on."""
        reporter = store.Reporter(self.ledger, claim)
        for row in claim.documents[: at % (len(claim.documents) + 1)]:
            end(reporter, row.number, fails=fails)
        if len(claim.documents) > reporter.finished:
            reporter.document(claim.documents[reporter.finished].number, DocumentState.RUNNING)
            reporter.progress(fraction)
        try:
            reporter.check(now=True)
        except Canceled:
            self._settle(claim, "canceled")
            return False
        return True

    def _finish(self, claim: store.Claim, *, fails: bool) -> None:
        if claim.shard == store.PUBLISH:
            error = "It broke." if fails else ""
            store.close(self.ledger, claim.job, claim.fence, snapshot="000001", error=error)
            return
        reporter = store.Reporter(self.ledger, claim)
        for row in claim.documents:
            end(reporter, row.number, fails=fails and row.number % 2 == 0)
        try:
            reporter.check(now=True)
        except Canceled:
            self._settle(claim, "canceled")
            return
        self._settle(claim, "done")

    def _settle(self, claim: store.Claim, outcome: store.Outcome, delay_s: float = 0.0) -> None:
        document = claim.documents[0].number if claim.documents and outcome in ("lost", "overdue") else None
        store.settle(
            self.ledger,
            claim.job,
            claim.shard,
            claim.fence,
            outcome,
            how="somehow",
            document=document,
            delay_s=delay_s,
        )

    def _jobs(self) -> list[str]:
        return [text(member) for member in self.ledger.redis.zrange(keys.JOBS, 0, -1)]

    def _members(self, key: str) -> set[str]:
        return {text(member) for member in self.ledger.redis.zrange(key, 0, -1)}

    def _shards(self, job: str) -> dict[str, dict[str, Any]]:
        found = self.ledger.redis.hgetall(keys.shards(job))
        return {text(name): json.loads(raw) for name, raw in found.items()}

    # --- what always holds ----------------------------------------------------------------------------

    @invariant()
    def moves_are_in_the_table_and_percent_never_falls(self) -> None:
        if not hasattr(self, "ledger"):
            return
        rows = monitor.page(self.ledger, limit=100)[0]
        for row in rows:
            state, attempt, percent = self.seen.get(row.id, (State.QUEUED, 1, 0.0))
            assert row.state is state or row.state in TRANSITIONS[state], f"{state} -> {row.state}"
            assert row.attempt >= attempt
            assert row.percent >= percent or row.attempt > attempt
        self.seen = {row.id: (row.state, row.attempt, row.percent) for row in rows}

    @invariant()
    def counters_equal_the_rows(self) -> None:
        if not hasattr(self, "ledger"):
            return
        rows = monitor.page(self.ledger, limit=100)[0]
        states = Counter(row.state for row in rows)
        counts = {text(name): int(value) for name, value in self.ledger.redis.hgetall(keys.COUNTS).items()}
        assert {state: counts.get(state.value, 0) for state in State} == {state: states[state] for state in State}
        assert self._members(keys.LIVE) == {row.id for row in rows if not row.final}
        assert self._members(keys.FINAL) == {row.id for row in rows if row.final}
        assert self._members(keys.WAITING) == {row.id for row in rows if row.state is State.QUEUED}
        for row in rows:
            ended = Counter(document.state for document in monitor.documents(self.ledger, row.id))
            assert row.documents_done == ended[DocumentState.COMPLETED]
            assert row.documents_failed == ended[DocumentState.FAILED]
            finished = row.documents_done + row.documents_failed
            assert row.current_step == (row.total_steps if row.percent == 100 else finished)

    @invariant()
    def shards_are_counted_once(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for job in self._jobs():
            names = ("state", "shards_total", "shards_done", "running_shards")
            found = self.ledger.redis.hmget(keys.job(job), *names)
            state, total, done, running = State(text(found[0])), *map(whole, found[1:])
            shards = self._shards(job)
            publish = shards.pop(store.PUBLISH, None)
            assert len(shards) == total
            assert done == sum(row["state"] == "done" for row in shards.values())
            if publish is not None:
                assert done == total
            every = [*shards.values(), *([publish] if publish else [])]
            if state not in FINAL:
                assert running == sum(row["state"] == "running" for row in every)
            else:
                assert running == 0

    @invariant()
    def leases_and_deliveries_agree_with_the_shards(self) -> None:
        """And so a live job is never forgotten: somebody works on it, or it is on its way, or it is due later."""
        if not hasattr(self, "ledger"):
            return
        running, queued = set(), set()
        for job in self._jobs():
            if State(text(self.ledger.redis.hget(keys.job(job), "state"))) in FINAL:
                continue
            rows = self._shards(job)
            running |= {f"{job}:{name}" for name, row in rows.items() if row["state"] == "running"}
            mine = {f"{job}:{name}" for name, row in rows.items() if row["state"] == "queued"}
            queued |= mine
            assert mine or any(row["state"] == "running" for row in rows.values()), f"nobody will move {job}"
        assert self._members(keys.LEASES) == running
        on_their_way, later = self._members(keys.ENQUEUED), self._members(keys.DELAYED)
        assert on_their_way | later == queued
        assert not on_their_way & later
        assert {f"{one.job}:{one.shard}" for one in [*self.held.values(), *self.silent]} | {
            f"{job}:{shard}" for job, shard in self.orphans
        } == running


def one_of(things: Any, at: int) -> Any:
    return things[at % len(things)]


def end(reporter: store.Reporter, number: int, *, fails: bool) -> None:
    state = DocumentState.FAILED if fails else DocumentState.COMPLETED
    reporter.document(number, state, chunks=0 if fails else 3, error="It is damaged." if fails else "")


def test_the_ledger_holds_whatever_its_actors_do_in_whatever_order(redis_url: str) -> None:
    class OnThisServer(Actors):
        url = redis_url

    run_state_machine_as_test(
        OnThisServer,
        settings=hypothesis_settings(
            max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
