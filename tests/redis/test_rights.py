"""Every door of the ledger asks who may: each right as each role, from the table of rights; and what is not seen."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks import bulk, catalog, kinds
from tasks.access import NEEDS, NOBODY, PROGRAM, Person, Right, Role, RolesFile, at_least
from tasks.errors import CollectionNotFound, IngestboardError, JobNotFound, NotAllowed, SubmissionRefused
from tasks.kinds import CleanArguments, ExportArguments, HeldArguments, PruneArguments, RollBackArguments
from tasks.ledger import (
    Ledger,
    activity,
    control,
    failures,
    fleet,
    history,
    keys,
    monitor,
    presence,
    saved,
    tokens,
    waiting,
)
from tasks.ledger.control import NewDocument
from tasks.ledger.monitor import utc_now
from tasks.ledger.records import Gates, text
from tasks.ledger.states import Action
from tasks.recipe import Recipe
from tests.factories import submitted

JOB = "0123456789ab"
Door = Callable[[Ledger], object]


def asked_for(kind: kinds.Kind, arguments: kinds.Arguments) -> Door:
    return lambda ledger: control.request(
        ledger, kind=kind.name, collection="c", arguments=arguments.model_dump_json(), title="t"
    )


def submit(ledger: Ledger, collection: str = "c", **more: Any) -> Any:
    documents = [NewDocument("a.txt", 1, sha256="0" * 64)]
    return control.submit(ledger, collection=collection, documents=documents, recipe=Recipe(), **more)


# Every way to make use of a right through the ledger. One that is not here fails the test below.
DOORS: dict[Right, list[Door]] = {
    Right.SEE: [lambda ledger: _refuse_unseen(ledger)],
    Right.SUBMIT: [submit],
    Right.CANCEL: [
        lambda ledger: control.cancel(ledger, JOB),
        lambda ledger: control.act(ledger, Action.CANCEL, [JOB]),
        lambda ledger: bulk.request(ledger, Action.CANCEL, [JOB]),
    ],
    Right.FORCE_STOP: [
        lambda ledger: control.cancel(ledger, JOB, force=True),
        lambda ledger: control.act(ledger, Action.FORCE_STOP, [JOB]),
        lambda ledger: bulk.request(ledger, Action.FORCE_STOP, [JOB]),
    ],
    Right.RETRY: [
        lambda ledger: control.retry(ledger, JOB),
        lambda ledger: control.act(ledger, Action.RETRY, [JOB]),
        lambda ledger: bulk.request(ledger, Action.RETRY, [JOB]),
    ],
    Right.DELETE: [
        lambda ledger: control.delete(ledger, JOB),
        lambda ledger: control.act(ledger, Action.DELETE, [JOB]),
        lambda ledger: bulk.request(ledger, Action.DELETE, [JOB]),
    ],
    Right.REPRIORITISE: [
        lambda ledger: control.reprioritise(ledger, JOB, "high"),
        lambda ledger: control.act(ledger, Action.REPRIORITISE, [JOB], priority="high"),
        lambda ledger: bulk.request(ledger, Action.REPRIORITISE, [JOB], options={"priority": "high"}),
    ],
    Right.WRITE_OFF: [
        lambda ledger: control.write_off(ledger, "w"),
        lambda ledger: control.write_off_workers_of(ledger, JOB),
        lambda ledger: control.act(ledger, Action.WRITE_OFF, [JOB]),
    ],
    Right.PAUSE: [lambda ledger: control.pause(ledger, "low"), lambda ledger: control.resume(ledger, "low")],
    Right.DRAIN: [lambda ledger: control.drain(ledger, "w"), lambda ledger: control.undrain(ledger, "w")],
    Right.SCALE: [lambda ledger: control.scale(ledger, "h", 2)],
    Right.ACKNOWLEDGE: [
        lambda ledger: failures.acknowledge(ledger, "0" * 16, "known"),
        lambda ledger: failures.withdraw(ledger, "0" * 16),
    ],
    Right.SAVE_VIEWS: [
        lambda ledger: saved.save(ledger, "mine", query="state:failed"),
        lambda ledger: saved.forget(ledger, "mine"),
    ],
    Right.EXPORT: [asked_for(kinds.EXPORT, ExportArguments())],
    Right.PUBLISH_HELD: [asked_for(kinds.PUBLISH_HELD, HeldArguments(job=JOB))],
    Right.DISCARD_HELD: [lambda ledger: catalog.discard_held(ledger, "c", JOB)],
    Right.ROLL_BACK: [
        lambda ledger: catalog.roll_back(ledger, "c", "000001"),
        asked_for(kinds.ROLL_BACK, RollBackArguments(version="000001")),
    ],
    Right.PRUNE: [asked_for(kinds.PRUNE, PruneArguments())],
    Right.REBUILD: [
        lambda ledger: catalog.rebuild(ledger, "c", Recipe()),
        lambda ledger: submit(ledger, kind=control.REBUILD),
    ],
    Right.SET_GATES: [lambda ledger: control.set_gates(ledger, "c", Gates(min_documents=1))],
    Right.CLEAN: [asked_for(kinds.CLEAN, CleanArguments())],
    Right.REQUEUE_FOREIGN: [
        lambda ledger: control.requeue_foreign(ledger, "q", "x"),
        lambda ledger: control.move_foreign(ledger, "requeue", "q", "failed"),
    ],
    Right.STOP_FOREIGN: [lambda ledger: control.stop_foreign(ledger, "x")],
    Right.DELETE_FOREIGN: [
        lambda ledger: control.delete_foreign(ledger, "q", "x"),
        lambda ledger: control.move_foreign(ledger, "delete", "q", "failed"),
    ],
    Right.MAKE_TOKENS: [lambda ledger: tokens.make(ledger, "ci", role=Role.VIEWER, days=1)],
    Right.REVOKE_TOKENS: [lambda ledger: tokens.revoke(ledger, "0" * 12)],
    Right.READ_RECORD: [lambda ledger: control.permit(ledger, Right.READ_RECORD, "record")],
    Right.SET_ROLES: [lambda ledger: control.set_roles(ledger, RolesFile(Path("/nowhere")), "", before="")],
    Right.UPKEEP: [control.forget_workers, tokens.forget_expired],
}
# What is exported by `control` and is no action of a person.
NO_ACTIONS = {"cut", "record", "permit", "permit_submission", "look_for_room"}


def _refuse_unseen(ledger: Ledger) -> None:
    if not ledger.person.sees("c"):
        control.permit(ledger, Right.SEE, "board")


def test_every_right_has_a_door_and_a_role() -> None:
    assert set(DOORS) == set(Right) == set(NEEDS)


@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.parametrize(("right", "at"), [(right, at) for right in Right for at in range(len(DOORS[right]))])
def test_a_door_opens_for_its_role_and_those_above_it(fake_ledger: Ledger, right: Right, at: int, role: Role) -> None:
    theirs = fake_ledger.held_by(Person("eve", role))
    refusal: IngestboardError | None = None
    try:
        DOORS[right][at](theirs)
    except IngestboardError as error:
        refusal = error
    refused = isinstance(refusal, NotAllowed)  # any other: it was let in, and the thing was not there
    assert refused is not at_least(role, NEEDS[right])
    if refused:
        assert "eve may not" in str(refusal)
        row = activity.page(fake_ledger).rows[0]
        assert (row.by, row.outcome) == ("eve", "refused")
        # Nothing but the record was written.
        assert set(map(text, fake_ledger.redis.keys("*"))) == {keys.AUDIT, keys.AUDIT_NUMBER}


@pytest.mark.parametrize("name", sorted(set(control.__all__) - NO_ACTIONS))
def test_whatever_control_offers_is_refused_to_nobody_before_it_does_a_thing(fake_ledger: Ledger, name: str) -> None:
    door = getattr(control, name)
    if not inspect.isfunction(door):
        return
    given: dict[str, Any] = {
        "job_ids": [JOB],
        "action": "delete" if name == "move_foreign" else Action.CANCEL,
        "gates": Gates(),
        "size": 1,
        "documents": [NewDocument("a.txt", 1)],
        "recipe": Recipe(),
        "kind": kinds.EXPORT.name,
        "submissions": [control.Submission("c", [NewDocument("a.txt", 1)], "ana", Recipe())],
        "arguments": "{}",
    }
    wanted = [
        one for one in inspect.signature(door).parameters.values() if one.default is one.empty and one.name != "ledger"
    ]
    with pytest.raises(NotAllowed):
        door(fake_ledger.held_by(NOBODY), **{one.name: given.get(one.name, "x") for one in wanted})


def test_a_person_cannot_sign_with_the_name_of_another(ledger: Ledger) -> None:
    eve = ledger.held_by(Person("eve", Role.ADMIN))
    job = submit(eve, owner="ana").job
    assert monitor.job(ledger, job).owner == "eve"
    control.cancel(eve, job, by="ana")
    assert {row.by for row in activity.page(ledger).rows} == {"eve"}


@pytest.fixture
def hidden(ledger: Ledger) -> str:
    """A job in a collection that eve does not see."""
    return submitted(ledger, collection="hr-letters", title="Warning to Ben")


EVE = Person("eve", Role.OPERATOR, hidden=("hr-*",))


@pytest.mark.parametrize(
    "read",
    [
        monitor.job,
        monitor.documents,
        monitor.events,
        monitor.stages,
        monitor.receipt,
        waiting.why,
        lambda ledger, job: presence.look(ledger, job, "eve"),
    ],
)
def test_a_job_of_a_collection_for_others_is_not_there(
    ledger: Ledger, hidden: str, read: Callable[[Ledger, str], object]
) -> None:
    with pytest.raises(JobNotFound):
        read(ledger.held_by(EVE), hidden)


def test_lists_leave_out_what_somebody_does_not_see(ledger: Ledger, hidden: str) -> None:
    seen = submitted(ledger, collection="contracts")
    eve = ledger.held_by(EVE)
    rows, total = monitor.page(eve)
    assert ([row.id for row in rows], total) == ([seen], 1)
    assert hidden not in str(activity.page(eve).rows)
    assert "hr-letters" not in str(activity.page(eve).rows)
    saved.save(ledger, "theirs", query="collection:hr-letters", by="hr")
    saved.save(ledger, "ours", query="collection:contracts", by="ana")
    assert [view.name for view in saved.views(eve)] == ["ours"]
    assert len(saved.views(ledger)) == 2
    assert fleet.workers(eve) == []


@pytest.mark.parametrize("action", list(Action))
def test_no_action_reaches_a_job_that_is_not_seen(ledger: Ledger, hidden: str, action: Action) -> None:
    admin = Person("eve", Role.ADMIN, hidden=("hr-*",))
    before = ledger.redis.hgetall(keys.job(hidden))
    outcomes = control.act(ledger.held_by(admin), action, [hidden], priority="high")
    assert not outcomes.done
    assert "There is no job" in outcomes.refused[0].reason
    assert ledger.redis.hgetall(keys.job(hidden)) == before
    assert activity.page(ledger).rows[0].outcome == "refused"


def test_nothing_is_submitted_to_a_collection_for_others(ledger: Ledger, hidden: str) -> None:
    eve = ledger.held_by(EVE)
    with pytest.raises(SubmissionRefused, match="for others"):
        submit(eve, "hr-letters")
    with pytest.raises(CollectionNotFound):
        control.request(eve, kind="export", collection="hr-letters", arguments="{}", title="t")
    assert monitor.page(ledger)[1] == 1
    with pytest.raises(CollectionNotFound):
        monitor.gates(eve, "hr-letters")
    assert bulk.request(eve, Action.CANCEL, [hidden, submitted(ledger, collection="c")]).sentence.count("1 job")


def test_figures_over_time_leave_out_what_somebody_does_not_see(ledger: Ledger) -> None:
    for name in ("hr-letters", "contracts"):
        control.cancel(ledger, submitted(ledger, collection=name))
    history.roll_up(ledger)
    now = utc_now()
    theirs = history.series(ledger.held_by(EVE), "", now, now, 60)
    assert theirs.collections == ("contracts",)
    assert history.series(ledger, "", now, now, 60).collections == ("contracts", "hr-letters")
    assert 2 * sum(theirs.total().ended.values()) == sum(
        history.series(ledger, "", now, now, 60).total().ended.values()
    )
    with pytest.raises(CollectionNotFound):
        history.series(ledger.held_by(EVE), "hr-letters", now, now, 60)


def test_a_program_sees_and_does_everything_in_the_name_of_others(ledger: Ledger, hidden: str) -> None:
    assert ledger.person == PROGRAM
    control.cancel(ledger, hidden, by="ana")
    assert activity.page(ledger).rows[0].by == "ana"
