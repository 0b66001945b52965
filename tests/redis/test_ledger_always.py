"""What is always true of the ledger, whatever a few workers, people and accidents do in whatever order."""

from __future__ import annotations

import contextlib

import fakeredis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.errors import Canceled, Fenced, IngestboardError
from tasks.ledger import FINAL, Ledger, State, control, keys, monitor, store
from tasks.ledger.records import text
from tasks.ledger.states import TRANSITIONS, DocumentState
from tasks.recipe import Recipe
from tests.factories import new_documents, rq_id_of


class LifeOfJobs(RuleBasedStateMachine):
    """Interleaved workers, cancels, retries, deaths and hand-backs on one ledger."""

    jobs = Bundle("jobs")
    claims = Bundle("claims")

    @initialize()
    def start(self) -> None:
        config = settings_of.read(data="/nonexistent", redis_url="redis://unused", shard_tries=2)
        self.ledger = Ledger(fakeredis.FakeRedis(server=fakeredis.FakeServer()), config, PROGRAM)
        self.seen: dict[str, tuple[State, int, float]] = {}

    @rule(target=jobs, count=st.integers(1, 20))
    def submit(self, count: int) -> str:
        return control.submit(
            self.ledger, collection="c", documents=new_documents(count), owner="ana", recipe=Recipe()
        ).job

    @rule(target=claims, job=jobs, shard=st.sampled_from(["0", "1", "2", "publish"]))
    def claim(self, job: str, shard: str) -> store.Claim | None:
        claim = store.claim(self.ledger, job, shard, rq_id_of(self.ledger, job, shard), "w")
        self._look()
        return claim

    @rule(claim=claims, fails=st.booleans(), fraction=st.floats(0, 1))
    def report(self, claim: store.Claim | None, fails: bool, fraction: float) -> None:
        if claim is None:
            return
        reporter = store.Reporter(self.ledger, claim)
        for row in claim.documents:
            reporter.document(row.number, DocumentState.FAILED if fails else DocumentState.COMPLETED, chunks=1)
        reporter.progress(fraction)
        with contextlib.suppress(Fenced, Canceled):
            reporter.check(now=True)
        self._look()

    @rule(claim=claims, outcome=st.sampled_from(["done", "lost", "overdue", "released", "yielded", "canceled"]))
    def settle(self, claim: store.Claim | None, outcome: store.Outcome) -> None:
        if claim is None or (claim.shard == store.PUBLISH and outcome == "done"):
            return
        if outcome == "canceled" and not self.ledger.redis.exists(keys.cancel(claim.job)):
            return
        with contextlib.suppress(Fenced):
            store.settle(self.ledger, claim.job, claim.shard, claim.attempt, outcome, how="somehow")
        self._look()

    @rule(claim=claims, fails=st.booleans())
    def close(self, claim: store.Claim | None, fails: bool) -> None:
        if claim is None or claim.shard != store.PUBLISH:
            return
        with contextlib.suppress(Fenced):
            store.close(self.ledger, claim.job, claim.attempt, snapshot="000001", error="It broke." if fails else "")
        self._look()

    @rule(job=jobs, force=st.booleans())
    def cancel(self, job: str, force: bool) -> None:
        with contextlib.suppress(IngestboardError):
            control.cancel(self.ledger, job, by="bo", force=force)
        self._look()

    @rule(job=jobs, failed_only=st.booleans())
    def retry(self, job: str, failed_only: bool) -> None:
        with contextlib.suppress(IngestboardError):
            control.retry(self.ledger, job, by="bo", failed_only=failed_only)
        self._look()

    def _look(self) -> None:
        """After every step: each move is in the table, and percent never fell within an attempt."""
        for row in monitor.page(self.ledger, limit=1000)[0]:
            state, _, percent = self.seen.get(row.id, (row.state, row.attempt, 0.0))
            # One step of ours may walk two edges of the table (claimed and at once settled never do).
            assert row.state == state or row.state in TRANSITIONS[state], f"{state} -> {row.state}"
            if state not in FINAL or row.state in FINAL:
                assert row.percent >= percent
            self.seen[row.id] = (row.state, row.attempt, row.percent)

    @invariant()
    def counted_exactly(self) -> None:
        if not hasattr(self, "ledger"):
            return
        rows = monitor.page(self.ledger, limit=1000)[0]
        counts = {text(name): int(count) for name, count in self.ledger.redis.hgetall(keys.COUNTS).items()}
        for state in State:
            assert counts.get(state.value, 0) == sum(row.state is state for row in rows)
        for row in rows:
            documents = monitor.documents(self.ledger, row.id)
            assert row.documents_done == sum(one.state is DocumentState.COMPLETED for one in documents)
            assert row.documents_failed == sum(one.state is DocumentState.FAILED for one in documents)
            assert 0 <= row.current_step <= row.total_steps
            if row.final:
                assert row.ended_at is not None
                assert not [
                    lease for lease in self.ledger.redis.zrange(keys.LEASES, 0, -1) if text(lease).startswith(row.id)
                ]

    @invariant()
    def nothing_live_is_forgotten(self) -> None:
        """A live job is always worked on, handed to RQ, or due to be: something will move it."""
        if not hasattr(self, "ledger"):
            return
        pending = {
            text(member).rpartition(":")[0]
            for key in (keys.LEASES, keys.ENQUEUED, keys.DELAYED)
            for member in self.ledger.redis.zrange(key, 0, -1)
        }
        for row in monitor.page(self.ledger, limit=1000)[0]:
            assert row.final or row.id in pending, f"{row.id} is {row.state} and nobody will move it"


TestLifeOfJobs = LifeOfJobs.TestCase
TestLifeOfJobs.settings = hypothesis_settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
