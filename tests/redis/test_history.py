"""The history: what happened is rolled up exactly once, whatever dies, and is read back in any step."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis.exceptions import WatchError

from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.kinds import CLEAN
from tasks.ledger import Ledger, control, history, keys, rolling, store
from tasks.ledger.buckets import ALL, DAY, HOUR, MINUTE, OTHER, UPKEEP, Bucket, Durations, decode
from tasks.ledger.records import text
from tasks.ledger.states import DocumentState
from tests.factories import claimed, run_to_publish, submitted


def total(ledger: Ledger, collection: str = "", *, hours: float = 1.0) -> Bucket:
    now = datetime.now(UTC)
    return history.series(ledger, collection, now - timedelta(hours=hours), now, 60).total()


def fact(
    ledger: Ledger, at: float, what: str = "ended", collection: str = "c", kind: str = "ingest", **more: Any
) -> None:
    """A fact as the scripts write it, at a time of the test's own."""
    fields: dict[Any, Any] = {"what": what, "collection": collection, "kind": kind, **more}
    ledger.redis.xadd(keys.FACTS, fields, id=f"{int(at * 1000)}-*")


def facts_of(ledger: Ledger) -> list[dict[Any, Any]]:
    """The facts that are not rolled up yet."""
    entries: list[Any] = ledger.redis.xrange(keys.FACTS) or []
    return [fields for _, fields in entries]


def ended(ledger: Ledger, at: float, run_s: float = 1.0, **more: Any) -> None:
    fact(ledger, at, state="completed", run=str(run_s), **more)


def publish(ledger: Ledger, job: str) -> None:
    claim = run_to_publish(ledger, job)
    assert claim is not None
    store.close(ledger, job, claim.attempt, snapshot="000001")


def test_a_job_leaves_its_figures(ledger: Ledger) -> None:
    publish(ledger, submitted(ledger, 3))
    claim = run_to_publish(ledger, submitted(ledger, 2), failing=[1])
    assert claim is not None
    store.close(ledger, claim.job, claim.attempt, snapshot="000002")
    control.cancel(ledger, submitted(ledger), by="bo")
    assert history.roll_up(ledger) > 0
    found = total(ledger)
    assert found.ended == {"completed": 1, "partial": 1, "canceled": 1}
    assert (found.started, found.documents, found.documents_failed, found.chunks) == (2, 5, 1, 12)
    assert (found.wait.total(), found.run.total()) == (2, 2), "what was canceled in the queue neither waited nor ran"
    assert total(ledger, "contracts") == found
    assert history.roll_up(ledger) == 0


def test_many_documents_of_one_report_are_one_fact(ledger: Ledger) -> None:
    run_to_publish(ledger, submitted(ledger, 8))
    facts = [text(fields[b"what"]) for fields in facts_of(ledger)]
    assert facts.count("documents") == int(ledger.redis.xlen(keys.FACTS)) - 1 == 8, "a report a shard of one document"
    ledger.redis.delete(keys.FACTS)
    job = submitted(ledger, 600)
    claim = claimed(ledger, job)
    reporter = store.Reporter(ledger, claim)
    for row in claim.documents:
        reporter.document(row.number, DocumentState.COMPLETED, chunks=2, cached=True)
    reporter.check(now=True)
    reporter.check(now=True)
    [started, documents] = facts_of(ledger)
    assert len(claim.documents) > 10
    assert int(documents[b"ended"]) == int(documents[b"cached"]) == len(claim.documents)
    assert text(started[b"what"]) == "started"


def test_jobs_without_documents_are_counted_apart(ledger: Ledger) -> None:
    job = control.request(ledger, kind=CLEAN.name, collection="", arguments="{}", owner="ana", title="Clean").job
    store.close(ledger, job, claimed(ledger, job, store.PUBLISH).attempt, done="Done.")
    history.roll_up(ledger)
    assert total(ledger) == Bucket()
    assert total(ledger, UPKEEP).ended == {"completed": 1}


def test_what_the_facts_said_outlives_the_job_and_the_facts(ledger: Ledger) -> None:
    job = submitted(ledger)
    publish(ledger, job)
    history.roll_up(ledger)
    control.delete(ledger, job, by="bo")
    assert ledger.redis.xlen(keys.FACTS) == 0
    assert total(ledger).ended == {"completed": 1}


def test_a_turn_takes_a_bounded_number_of_facts(ledger: Ledger) -> None:
    now = ledger.now()
    for _ in range(25):
        ended(ledger, now)
    assert [history.roll_up(ledger, limit=10) for _ in range(4)] == [10, 10, 5, 0]
    assert total(ledger).ended == {"completed": 25}


def test_a_second_janitor_in_between_doubles_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        ended(ledger, ledger.now())
    real = rolling._merged
    between: list[int] = []

    def interrupted(ledger: Ledger, news: dict[rolling.Where, Bucket]) -> dict[rolling.Where, Bucket]:
        if not between:
            between.append(-1)
            between.append(history.roll_up(ledger))
        return real(ledger, news)

    monkeypatch.setattr(rolling, "_merged", interrupted)
    assert history.roll_up(ledger) == 0, "its transaction is void"
    assert between == [-1, 5]
    assert total(ledger).ended == {"completed": 5}


def test_the_oldest_wait_is_sampled(ledger: Ledger) -> None:
    job = submitted(ledger)
    ledger.redis.zadd(keys.WAITING, {job: ledger.now() - 300})
    history.roll_up(ledger)
    assert total(ledger).oldest_s == pytest.approx(300, abs=5)
    ledger.redis.zadd(keys.WAITING, {job: ledger.now() - 900})
    history.roll_up(ledger)
    assert total(ledger).oldest_s == pytest.approx(300, abs=5), "at most every ten seconds"


def whole_of(ledger: Ledger) -> dict[bytes, bytes | None]:
    """Everything that Redis holds."""
    return {key: ledger.redis.dump(key) for key in ledger.redis.scan_iter()}


def test_a_quiet_turn_writes_nothing(ledger: Ledger) -> None:
    ended(ledger, ledger.now())
    history.roll_up(ledger)
    before = whole_of(ledger)
    history.roll_up(ledger)
    assert whole_of(ledger) == before


def test_minutes_hours_and_days_agree(ledger: Ledger) -> None:
    now = int(ledger.now())
    moments = range(now - 86_400, now, 7 * 60)
    for at in moments:
        ended(ledger, at)
    while history.roll_up(ledger, limit=50):
        pass
    for step in (MINUTE, HOUR, DAY):
        found = Counter[int]()
        for at in range(moments[0] // step.step_s, now // step.step_s + 1):
            raw = ledger.redis.hget(keys.history(step.name, at * step.step_s // step.span_s, ALL), str(at))
            found[at] = decode(raw).ended["completed"]
        assert +found == Counter(at // step.step_s for at in moments)


def test_buckets_go_with_their_time(ledger: Ledger) -> None:
    ended(ledger, ledger.now())
    history.roll_up(ledger)
    for step in (MINUTE, HOUR, DAY):
        span = int(ledger.now()) // step.span_s
        left = ledger.redis.ttl(keys.history(step.name, span, ALL))
        assert step.kept_s <= left <= step.kept_s + step.span_s


def test_a_series_has_a_point_for_every_step(ledger: Ledger) -> None:
    now = datetime.now(UTC)
    ended(ledger, now.timestamp() - 1800)
    ended(ledger, now.timestamp() - 60)
    history.roll_up(ledger)
    found = history.series(ledger, "c", now - timedelta(hours=1), now, 300)
    assert (found.step_s, len(found.points)) == (300, 13)
    assert [point.at.timestamp() % 300 for point in found.points] == [0.0] * 13
    assert found.total().ended == {"completed": 2}
    assert sum(bool(point.figures.ended) for point in found.points) == 2
    assert found.collections == ("c",)


@pytest.mark.parametrize(("hours", "step_s", "wanted"), [(1, 60, 60), (24, 900, 900), (24 * 30, 60, 3600)])
def test_a_step_is_made_of_buckets_that_reach_back(ledger: Ledger, hours: int, step_s: int, wanted: int) -> None:
    now = datetime.now(UTC)
    assert history.series(ledger, "", now - timedelta(hours=hours), now, step_s).step_s == wanted


def test_a_series_is_one_round_trip(real_ledger: Ledger) -> None:
    before = int(real_ledger.redis.info("stats")["total_commands_processed"])
    now = datetime.now(UTC)
    history.series(real_ledger, "", now - timedelta(days=30), now, 3600)
    after = int(real_ledger.redis.info("stats")["total_commands_processed"])
    assert after - before <= 8


def test_only_so_many_collections_have_buckets_of_their_own(ledger: Ledger) -> None:
    now = ledger.now()
    for at in range(rolling.COLLECTIONS_APART + 3):
        ended(ledger, now, collection=f"c{at}")
    history.roll_up(ledger)
    assert len(history.series(ledger, "", datetime.now(UTC), datetime.now(UTC), 60).collections) == 50
    assert total(ledger, OTHER).ended == {"completed": 3}
    assert total(ledger).ended == {"completed": 53}


def test_a_collection_that_is_long_gone_gives_its_place_away(ledger: Ledger) -> None:
    now = ledger.now()
    ledger.redis.zadd(keys.HISTORY_COLLECTIONS, {f"c{at}": now for at in range(49)} | {"old": now - 61 * 86_400})
    ended(ledger, now, collection="new")
    ended(ledger, now, collection="newer")
    history.roll_up(ledger)
    names = history.series(ledger, "", datetime.now(UTC), datetime.now(UTC), 60).collections
    assert "new" in names
    assert not {"old", "newer"} & set(names)


def test_the_usual_time_of_a_collection_is_its_p95(ledger: Ledger) -> None:
    now = ledger.now()
    for seconds in range(1, 101):
        ended(ledger, now, float(seconds), collection="slow")
    ended(ledger, now, 5.0, collection="rare")
    history.roll_up(ledger)
    found = history.usual(ledger)
    assert found == {"slow": pytest.approx(95, rel=0.1)}, "one run makes no usual time"
    ended(ledger, now, 5000.0, collection="slow")
    history.roll_up(ledger)
    assert history.usual(ledger) == found, "at most once a minute"


@given(st.lists(st.floats(0.011, 1e6), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95, 1.0]))
def test_a_percentile_is_within_ten_percent(values: list[float], share: float) -> None:
    durations = Durations()
    for value in values:
        durations.note(value)
    at = max(0, -(-int(share * 1000) * len(values) // 1000) - 1)
    assert durations.percentile(share) == pytest.approx(sorted(values)[at], rel=0.1)


@given(st.binary())
def test_a_garbled_bucket_reads_as_nothing_or_as_figures(raw: bytes) -> None:
    assert decode(decode(raw).encode()) == decode(raw)


class Crash(Exception):
    """The process ends here."""


def crashing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """One roll-up whose process dies: before it writes, or when it has written and does not hear so."""
    real = redis.client.Pipeline.execute

    def dying(pipe: redis.client.Pipeline, *args: Any, **more: Any) -> Any:
        writes = any("XTRIM" in str(command[0][0]) for command in pipe.command_stack)
        if writes and where == "before":
            raise Crash
        answer = real(pipe, *args, **more)
        if writes:
            raise Crash
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(redis.client.Pipeline, "execute", dying)
        try:
            history.roll_up(ledger)
        except (Crash, WatchError):
            return


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fact"), st.sampled_from(["a", "b"]), st.integers(0, 200)),
        st.tuples(st.just("roll"), st.integers(1, 4), st.just(0)),
        st.tuples(st.just("crash"), st.sampled_from(["before", "after"]), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_order_of_facts_and_crashes_rolls_up_to_the_same_sums(steps: list[tuple[str, Any, int]]) -> None:
    config = settings_of.read(data="/nonexistent", redis_url="redis://unused")
    ledger = Ledger(fakeredis.FakeRedis(server=fakeredis.FakeServer()), config, PROGRAM)
    now = ledger.now() - 7000
    wanted: dict[str, Bucket] = {"": Bucket(), "a": Bucket(), "b": Bucket()}
    with pytest.MonkeyPatch.context() as monkeypatch:
        for step, what, more in steps:
            if step == "fact":
                now += more
                fact(ledger, now, "documents", collection=what, ended=more, chunks=2, cached=1, failed=0)
                for name in ("", what):
                    wanted[name].add(Bucket(documents=more, chunks=2, cached=1))
            elif step == "roll":
                history.roll_up(ledger, limit=what)
            else:
                crashing(ledger, monkeypatch, what)
    while history.roll_up(ledger):
        pass
    for name, figures in wanted.items():
        assert total(ledger, name, hours=3) == figures
