"""What somebody who does not see every collection meets of the others through what is shared: nothing."""

from __future__ import annotations

import pytest

from tasks import bulk, catalog
from tasks.access import Person, Role, hides
from tasks.access.person import EVERYTHING
from tasks.errors import CollectionNotFound, ForeignJobNotFound, NotAllowed, SubmissionRefused
from tasks.kinds import PRUNE, BulkArguments, PruneArguments
from tasks.ledger import Ledger, activity, control, failures, foreign, history, keys, monitor, queues, store
from tasks.ledger.buckets import OTHER, UPKEEP
from tasks.ledger.foreign import FOR_OTHERS
from tasks.ledger.monitor import utc_now
from tasks.ledger.states import Action, State
from tests.factories import claimed, submitted

EVE = Person("eve", Role.OPERATOR, hidden=("hr-*",))


@pytest.fixture
def hidden(ledger: Ledger) -> str:
    """A job in a collection that eve does not see."""
    return submitted(ledger, collection="hr-letters", title="Warning to Ben")


def test_sight_tells_apart_what_is_of_no_collection() -> None:
    assert EVE.sight == ("hr-*",)
    assert EVE.sees("")
    assert EVE.sees("contracts")
    assert not EVE.sees("hr-letters")
    assert Person("eve", Role.VIEWER, hidden=("*",)).sees("")
    nobody = Person("eve")
    assert nobody.sight == EVERYTHING
    assert not nobody.sees("")
    assert not nobody.sees("contracts")
    assert not hides((), "contracts")
    assert not nobody.reads("contracts")


def test_a_part_of_a_hidden_job_in_its_queue_tells_nothing(ledger: Ledger, hidden: str) -> None:
    rq_id = store.delivery_of(ledger, hidden, "0")
    seen = submitted(ledger, collection="contracts")
    name = queues.queue_name(ledger, "default")
    page = foreign.page(ledger.held_by(EVE), name, "queued")
    assert page.total == 2
    shown = {row.description: row for row in page.rows}
    assert hidden not in str(page)
    assert rq_id not in str(page)
    assert not shown[FOR_OTHERS].openable
    assert any(seen in description for description in shown)
    with pytest.raises(ForeignJobNotFound):
        foreign.job(ledger.held_by(EVE), rq_id)
    assert foreign.job(ledger, rq_id).ours


def test_a_bulk_action_of_somebody_else_names_no_hidden_job(ledger: Ledger, hidden: str) -> None:
    receipt = bulk.request(ledger, Action.CANCEL, [hidden], by="ana", shown="title:Warning")
    ledger.redis.rpush(keys.bulk_refused(receipt.job), f'["{hidden}", "Job {hidden} is running."]')
    row = monitor.job(ledger.held_by(EVE), receipt.job)
    assert "Warning" not in row.arguments
    assert BulkArguments.model_validate_json(row.arguments).jobs == 1
    assert bulk.outcome(ledger.held_by(EVE), receipt.job).named == ()
    assert len(bulk.outcome(ledger, receipt.job).named) == 1
    assert "Warning" in monitor.job(ledger, receipt.job).arguments


def test_what_was_said_of_a_cause_is_for_those_who_see_everything_and_who_said_it(ledger: Ledger) -> None:
    failures.acknowledge(ledger, "0" * 16, "Ben knows", by="ana", cause="Warning to Ben cannot be read")
    assert activity.page(ledger.held_by(EVE)).rows == ()
    failures.acknowledge(ledger.held_by(EVE), "1" * 16, "mine", cause="It is encrypted")
    assert [row.by for row in activity.page(ledger.held_by(EVE)).rows] == ["eve"]
    assert len(activity.page(ledger).rows) == 2


@pytest.mark.parametrize("mixed", [OTHER, UPKEEP])
def test_figures_that_mix_collections_are_for_those_who_see_all_of_them(ledger: Ledger, mixed: str) -> None:
    now = utc_now()
    with pytest.raises(CollectionNotFound):
        history.series(ledger.held_by(EVE), mixed, now, now, 60)
    assert history.series(ledger, mixed, now, now, 60).collection == mixed


def test_writing_a_worker_off_hands_over_what_it_had_of_hidden_jobs_too(ledger: Ledger, hidden: str) -> None:
    claimed(ledger, hidden, worker="w1")
    assert "1 part" in control.write_off(ledger.held_by(EVE), "w1")
    name = queues.queue_name(ledger, "default")
    assert store.delivery_of(ledger, hidden, "0").encode() in ledger.redis.lrange(keys.rq_queue(name), 0, -1)


def done_by_an_admin(ledger: Ledger, kind: str = PRUNE.name) -> str:
    """A prune that failed, of an administrator."""
    job = control.request(
        ledger, kind=kind, collection="contracts", arguments=PruneArguments().model_dump_json(), owner="ana", title="t"
    ).job
    control.cancel(ledger, job, by="ana")
    assert monitor.job(ledger, job).state is State.CANCELED
    return job


def test_a_retry_takes_what_asking_for_the_job_takes(ledger: Ledger) -> None:
    job = done_by_an_admin(ledger)
    operator = ledger.held_by(Person("eve", Role.OPERATOR))
    with pytest.raises(NotAllowed, match="prune"):
        control.retry(operator, job)
    mine = submitted(ledger, collection="contracts")
    control.cancel(ledger, mine, by="ana")
    outcomes = control.act(operator, Action.RETRY, [job, mine])
    assert [one.job for one in outcomes.done] == [mine]
    assert "eve may not prune snapshots" in outcomes.refused[0].reason
    assert monitor.job(ledger, job).state is State.CANCELED
    assert activity.page(ledger, activity.Wanted(subject=job, outcome="refused")).rows[0].by == "eve"
    assert control.retry(ledger.held_by(Person("ana", Role.ADMIN)), job).state is State.QUEUED


@pytest.mark.parametrize("action", [Action.DELETE, Action.CANCEL])
def test_a_bulk_action_is_retried_by_who_may_do_it_to_its_jobs(ledger: Ledger, hidden: str, action: Action) -> None:
    job = bulk.request(ledger, action, [hidden], by="ana").job
    control.cancel(ledger, job, by="ana")
    refusal = NotAllowed if action is Action.DELETE else SubmissionRefused
    with pytest.raises(refusal):
        control.retry(ledger.held_by(EVE), job)
    assert activity.page(ledger.held_by(EVE)).rows[0].outcome == "refused"
    assert monitor.job(ledger, job).state is State.CANCELED


def test_discarding_what_is_held_of_a_hidden_collection_is_no_way_to_learn_of_it(ledger: Ledger) -> None:
    admin = Person("eve", Role.ADMIN, hidden=("hr-*",))
    with pytest.raises(CollectionNotFound):
        catalog.discard_held(ledger.held_by(admin), "hr-letters", "0123456789ab")
