"""One action on many jobs: the ids are those that were shown, each job is asked once, and what refused is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tasks import bulk
from tasks.errors import Canceled, Fenced, SubmissionRefused
from tasks.ingest import kinds
from tasks.ingest.kinds import bulk as runner
from tasks.kinds import BULK
from tasks.ledger import Action, Ledger, State, activity, control, keys, monitor, store
from tasks.ledger.states import DocumentState
from tasks.snapshots.shelf import Shelf
from tests.factories import claimed, rq_id_of, submitted


class Died(BaseException):
    """The work horse was killed here."""


def work_of(ledger: Ledger, job: str) -> kinds.Work:
    """The bulk job in the hands of a worker."""
    reporter = store.Reporter(ledger, claimed(ledger, job, store.PUBLISH))
    return kinds.Work(ledger, reporter, monitor.job(ledger, job), Shelf(ledger.settings.data))


def ask(ledger: Ledger, action: Action, ids: list[str], **more: Any) -> str:
    return bulk.request(ledger, action, ids, by="bo", shown="state:queued", **more).job


def run(ledger: Ledger, job: str) -> str:
    """Work the bulk job through; what it says."""
    work = work_of(ledger, job)
    said = kinds.run(work)
    store.close(ledger, job, work.reporter.claim.attempt, done=said)
    return said


def lost(ledger: Ledger, work: kinds.Work) -> None:
    """The worker is gone: the next one may take its job."""
    claim = work.reporter.claim
    store.settle(ledger, claim.job, claim.shard, claim.attempt, "lost", how="it was killed")


def states(ledger: Ledger, ids: list[str]) -> list[State]:
    return [monitor.job(ledger, one).state for one in ids]


def audited(ledger: Ledger, action: str) -> list[str]:
    """The jobs with an audit row of the person who asked, for that action."""
    return [row.subject for row in activity.page(ledger, limit=1000).rows if (row.by, row.action) == ("bo", action)]


def failing(ledger: Ledger) -> str:
    """A job that failed."""
    job = submitted(ledger)
    claim = claimed(ledger, job)
    reporter = store.Reporter(ledger, claim)
    reporter.document(0, DocumentState.FAILED, error="It is damaged.")
    reporter.check(now=True)
    store.settle(ledger, job, "0", claim.attempt, "done")
    return job


def test_many_jobs_are_canceled_by_one_job(ledger: Ledger) -> None:
    ids = [submitted(ledger) for _ in range(120)]
    control.cancel(ledger, ids[3], by="ana")
    control.delete(ledger, ids[3], by="ana")
    control.cancel(ledger, ids[7], by="ana")
    job = ask(ledger, Action.CANCEL, ids)
    assert monitor.job(ledger, job).title == "Cancel 120 jobs"
    assert run(ledger, job) == "118 canceled, 1 had ended already, 1 was gone."
    left = [one for one in ids if one != ids[3]]
    assert set(states(ledger, left)) == {State.CANCELED}
    assert sorted(audited(ledger, "cancel")) == sorted(left), "a row for each, in the name of who asked"
    found = bulk.outcome(ledger, job)
    assert (found.total, found.done, found.left) == (120, 118, 0)
    assert {name for name, _ in found.named} == {ids[3], ids[7]}
    assert monitor.job(ledger, job).state is State.COMPLETED


@pytest.mark.parametrize(
    ("action", "prepare", "said", "then"),
    [
        (Action.RETRY, failing, "2 retried.", State.QUEUED),
        (Action.CANCEL, submitted, "2 canceled.", State.CANCELED),
        (Action.REPRIORITISE, submitted, "2 given another priority.", State.QUEUED),
    ],
)
def test_each_action_is_done_to_each_job(
    ledger: Ledger, action: Action, prepare: Callable[[Ledger], str], said: str, then: State
) -> None:
    ids = [prepare(ledger), prepare(ledger)]
    options = {"priority": "high"} if action is Action.REPRIORITISE else {}
    assert run(ledger, ask(ledger, action, ids, options=options)) == said
    assert states(ledger, ids) == [then, then]


def test_what_refuses_is_told_by_its_reason(ledger: Ledger) -> None:
    queued, failed = submitted(ledger), failing(ledger)
    assert run(ledger, ask(ledger, Action.DELETE, [queued, failed])) == "1 deleted, 1 had not ended yet."
    assert run(ledger, ask(ledger, Action.RETRY, [queued])) == "1 had not ended yet."
    running = submitted(ledger)
    claimed(ledger, running)
    control.cancel(ledger, running, by="ana")
    assert run(ledger, ask(ledger, Action.CANCEL, [queued, running])) == "1 canceled, 1 was being stopped already."


def test_nothing_more_than_was_chosen_is_touched(ledger: Ledger) -> None:
    ids = [submitted(ledger) for _ in range(3)]
    job = ask(ledger, Action.CANCEL, ids[:2])
    late = submitted(ledger)
    run(ledger, job)
    assert states(ledger, [ids[2], late]) == [State.QUEUED, State.QUEUED]


def test_more_than_it_takes_is_refused_with_what_to_do(ledger: Ledger) -> None:
    with pytest.raises(SubmissionRefused, match="10,001 jobs are more than the 10,000 that one bulk action takes"):
        ask(ledger, Action.CANCEL, [f"{at:012x}" for at in range(10_001)])
    with pytest.raises(SubmissionRefused, match="no jobs were chosen"):
        ask(ledger, Action.CANCEL, [])
    with pytest.raises(SubmissionRefused, match="no priority was named"):
        ask(ledger, Action.REPRIORITISE, ["a"])
    assert monitor.page(ledger)[1] == 0


def test_the_same_form_asks_once(ledger: Ledger) -> None:
    ids = [submitted(ledger) for _ in range(3)]
    job = ask(ledger, Action.CANCEL, ids, token="form")
    assert ask(ledger, Action.CANCEL, ids, token="form") == job
    assert bulk.ids(ledger, job) == ids
    assert run(ledger, job) == "3 canceled."


def test_a_list_that_is_lost_fails_the_job_with_a_sentence(ledger: Ledger) -> None:
    job = ask(ledger, Action.CANCEL, [submitted(ledger)])
    ledger.redis.delete(keys.bulk(job))
    with pytest.raises(runner.ListLost, match=r"not complete \(0 of 1\), so nothing was done"):
        kinds.run(work_of(ledger, job))


def test_it_is_canceled_between_two_portions_and_a_retry_goes_on(ledger: Ledger) -> None:
    ids = [submitted(ledger) for _ in range(120)]
    job = ask(ledger, Action.CANCEL, ids)
    work = work_of(ledger, job)
    runner_act = runner._act
    with pytest.MonkeyPatch.context() as patched:

        def canceling(*args: Any) -> runner.Portion:
            control.cancel(ledger, job, by="ana")
            return runner_act(*args)

        patched.setattr(runner, "_act", canceling)
        with pytest.raises(Canceled):
            kinds.run(work)
    store.settle(ledger, job, store.PUBLISH, work.reporter.claim.attempt, "canceled", how="at a checkpoint")
    assert monitor.job(ledger, job).state is State.CANCELED
    assert bulk.outcome(ledger, job).done == runner.PORTION
    control.retry(ledger, job, by="ana")
    assert run(ledger, job) == "120 canceled."


@pytest.mark.parametrize("action", [Action.CANCEL, Action.RETRY, Action.DELETE, Action.REPRIORITISE])
def test_a_successor_does_nothing_twice(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, action: Action) -> None:
    """The worker dies when half a portion is done and nothing of it is counted."""
    prepare = failing if action in (Action.RETRY, Action.DELETE) else submitted
    ids = [prepare(ledger) for _ in range(60)]
    job = ask(ledger, action, ids, options={"priority": "low"} if action is Action.REPRIORITISE else {})
    work = work_of(ledger, job)
    real = control.act
    asked: list[str] = []

    def dying(ledger: Ledger, action: Action, ids: list[str], **options: Any) -> Any:
        asked.extend(ids[: len(ids) // 2])
        real(ledger, action, ids[: len(ids) // 2], **options)
        raise Died

    monkeypatch.setattr(control, "act", dying)
    with pytest.raises(Died):
        kinds.run(work)
    lost(ledger, work)

    def noting(ledger: Ledger, action: Action, ids: list[str], **options: Any) -> Any:
        asked.extend(ids)
        return real(ledger, action, ids, **options)

    monkeypatch.setattr(control, "act", noting)
    assert run(ledger, job) == f"60 {bulk.PAST[action.value]}."
    assert sorted(asked) == sorted(ids), "each once"
    assert sorted(audited(ledger, action.value)) == sorted(ids)
    if action is Action.RETRY:
        assert {monitor.job(ledger, one).attempt for one in ids} == {2}


def test_what_died_before_its_record_still_gets_its_audit_row(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [submitted(ledger) for _ in range(4)]
    job = ask(ledger, Action.CANCEL, ids)
    work = work_of(ledger, job)

    def silent(*args: Any, **options: Any) -> Any:
        ledger.transition("cancel", ids[0], "bo", "0")
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(control, "act", silent)
        with pytest.raises(Died):
            kinds.run(work)
    lost(ledger, work)
    assert run(ledger, job) == "4 canceled."
    assert sorted(audited(ledger, "cancel")) == sorted(ids)


def test_a_zombie_counts_nothing(ledger: Ledger) -> None:
    ids = [submitted(ledger) for _ in range(3)]
    job = ask(ledger, Action.CANCEL, ids)
    zombie = work_of(ledger, job)
    lost(ledger, zombie)
    assert run(ledger, job) == "3 canceled."
    with pytest.raises(Fenced):
        runner._count(zombie, runner.Portion(done=3), 0, 3)
    assert bulk.outcome(ledger, job).done == 3


def test_the_refused_are_kept_by_name_up_to_a_bound(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "REFUSED_KEPT", 60)
    job = ask(ledger, Action.CANCEL, [f"{at:012x}" for at in range(130)])
    assert run(ledger, job) == "130 were gone."
    found = bulk.outcome(ledger, job)
    assert (len(found.named), found.refused) == (60, {"were gone": 130})


def test_its_ids_go_with_its_time(ledger: Ledger) -> None:
    job = ask(ledger, Action.CANCEL, [submitted(ledger)])
    run(ledger, job)
    for key in (keys.bulk(job), keys.bulk_outcome(job)):
        assert 0 < ledger.redis.ttl(key) <= bulk.kept_s(ledger)


def test_without_a_worker_it_says_that_it_waits(ledger: Ledger) -> None:
    ids = [submitted(ledger)]
    assert bulk.request(ledger, Action.CANCEL, ids, by="bo").sentence.endswith("it waits for one.")
    ledger.redis.zadd(keys.WORKERS, {"w1": ledger.now()})
    assert bulk.request(ledger, Action.CANCEL, ids, by="bo").sentence.endswith("Cancel 1 job.")


def test_it_is_handed_to_the_workers(ledger: Ledger) -> None:
    job = ask(ledger, Action.CANCEL, [submitted(ledger)])
    assert monitor.job(ledger, job).kind == BULK.name
    assert ledger.redis.lrange(keys.rq_queue("high"), 0, -1) == [rq_id_of(ledger, job, store.PUBLISH).encode()]
