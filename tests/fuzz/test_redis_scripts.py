"""The scripts on a spoiled ledger: a refusal or a sentence, in bounded time; and a janitor makes it work again."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import IngestboardError
from tasks.ledger import Ledger, State, control, foreign, keys, locks, monitor, queues, store
from tasks.ledger.states import Action
from tests.factories import finish_documents, rq_id_of, run_to_publish, submitted
from tests.fuzz import garbage
from tests.fuzz.garbage import Names, Spoil
from tests.fuzz.outcomes import tried
from tests.fuzz.test_redis_garbage import PATTERNS, QUIET, filled, ledger, sentence

pytest.importorskip("workers.janitor")
from workers.janitor import Janitor

__all__ = ["ledger"]

SPOILED = sorted(
    name for name in PATTERNS if not name.startswith("rq_") or name in ("rq_queue", "rq_job", "rq_registry")
)

Change = Callable[[Ledger, str], object]
OUTCOMES: tuple[store.Outcome, ...] = ("done", "canceled", "released", "yielded", "lost", "overdue")


def _claim(ledger: Ledger, job_id: str) -> None:
    claim = store.claim(ledger, job_id, "0", rq_id_of(ledger, job_id, "0"), "w1")
    if claim is not None:
        finish_documents(ledger, claim)


def _report(ledger: Ledger, job_id: str) -> None:
    for attempt in (1, 2):
        claim = store.Claim(job_id, "0", attempt, "w1", 0, ())
        reporter = store.Reporter(ledger, claim)
        reporter.stage("embed", "Embedding")
        reporter.event("Something happened.")
        reporter.check(now=True)


def _settle(outcome: store.Outcome) -> Change:
    def settle(ledger: Ledger, job_id: str) -> None:
        for attempt in (1, 2):
            store.settle(ledger, job_id, "0", attempt, outcome, how="it was lost", document=0)

    return settle


CHANGES: dict[str, Change] = {
    "claim": _claim,
    "report": _report,
    **{f"settle {outcome}": _settle(outcome) for outcome in OUTCOMES},
    "lease": lambda ledger, job_id: store.extend_lease(ledger, job_id, "0", rq_id_of(ledger, job_id, "0")),
    "take": lambda ledger, job_id: queues.take(ledger, "w1"),
    "reprioritise": lambda ledger, job_id: control.reprioritise(ledger, job_id, "high", by="ana"),
    "write off": lambda ledger, job_id: control.write_off_workers_of(ledger, job_id, by="ana"),
    "cancel": lambda ledger, job_id: control.cancel(ledger, job_id, by="ana"),
    "force stop": lambda ledger, job_id: control.cancel(ledger, job_id, by="ana", force=True),
    "close": lambda ledger, job_id: store.close(ledger, job_id, 1, snapshot="000001"),
    "retry": lambda ledger, job_id: control.retry(ledger, job_id, by="ana"),
    "expire": lambda ledger, job_id: ledger.transition("expire", job_id, extra=(keys.LIMITED,)),
    "mend": lambda ledger, job_id: ledger.transition("mend", job_id, "1", store.new_rq_id(), 15),
    "requeue": lambda ledger, job_id: ledger.transition("requeue", job_id, "0", "", store.new_rq_id()),
    "many": lambda ledger, job_id: control.act(ledger, Action.RETRY, [job_id, "nobody"], by="ana"),
    "lock": lambda ledger, job_id: locks.acquire(ledger, "contracts"),
    "foreign": lambda ledger, job_id: foreign.page(ledger, "default", "queued"),
    "delete": lambda ledger, job_id: control.delete(ledger, job_id, by="ana"),
}


def test_every_script_of_a_job_is_tried() -> None:
    from tasks.ledger.connection import SCRIPTS, STANDALONE

    told = {name.replace(" ", "_") for name in CHANGES} | {"settle", "submit", "advance"}
    assert set(SCRIPTS) - STANDALONE <= told


@given(spoiled=st.lists(garbage.spoils(SPOILED), min_size=1, max_size=3), changes=st.permutations(sorted(CHANGES)))
@QUIET
def test_a_script_refuses_or_says_a_sentence_and_a_janitor_makes_it_work_again(
    ledger: Ledger, spoiled: list[Spoil], changes: list[str]
) -> None:
    names, good = filled(ledger)
    for one in spoiled:
        one.apply(ledger.redis, PATTERNS[one.pattern](names))
    for what in changes:
        for job_id in (names.job, good):
            began = time.monotonic()
            try:
                CHANGES[what](ledger, job_id)
            except IngestboardError as error:
                tried[f"scripts: {sentence(error)}"] += 1
            else:
                tried["scripts: done or refused"] += 1
            assert time.monotonic() - began < 3, f"{what} took too long"
    for _ in range(3):
        Janitor(ledger, "janitor").turn()
    tried["ledgers mended"] += 1
    _a_new_job_completes(ledger)


def _a_new_job_completes(ledger: Ledger) -> None:
    ledger.redis.hdel(keys.WRITTEN_OFF, "w1")  # one of the changes writes this worker off, as a person would
    job_id = submitted(ledger, 2, collection="afterwards")
    claim = run_to_publish(ledger, job_id)
    assert claim is not None
    assert store.close(ledger, job_id, claim.fence, snapshot="000001") == State.COMPLETED
    assert monitor.job(ledger, job_id).state is State.COMPLETED
    assert job_id in {row.id for row in monitor.page(ledger)[0]}


def test_a_janitor_ends_a_job_whose_parts_are_garbage(ledger: Ledger) -> None:
    """It would wait for ever for what nobody can work on."""
    filled(ledger)
    names = Names(submitted(ledger, 3))
    ledger.redis.hset(keys.shards(names.job), "0", b'{"state": "running", "attempt": "x"')
    for _ in range(2):
        Janitor(ledger, "janitor").turn()
    job = monitor.job(ledger, names.job)
    assert job.state is State.FAILED
    assert "damaged" in job.error
    control.retry(ledger, names.job, by="ana")
    assert run_to_publish(ledger, names.job) is not None


def test_a_key_of_another_type_is_set_aside_and_forgotten_after_a_day(ledger: Ledger) -> None:
    filled(ledger)
    ledger.redis.delete(keys.COUNTS)
    ledger.redis.rpush(keys.COUNTS, "forged")
    with pytest.raises(IngestboardError, match="damaged in Redis"):
        submitted(ledger)
    for _ in range(2):
        Janitor(ledger, "janitor").turn()
    (aside,) = ledger.redis.keys(f"{keys.PREFIX}damaged:*")
    assert 0 < ledger.redis.ttl(aside) <= 86_400
    submitted(ledger)
    assert monitor.figures(ledger).queued >= 1
