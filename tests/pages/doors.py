"""Everything that can be done on a page: what it takes, where it is, and the clicks that do it.

`test_roles` goes through each door as each role. A right, an action, or a call of the dashboard that changes something
and has no door here fails there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rq import Queue, SimpleWorker
from streamlit.testing.v1 import AppTest

from dashboard import connection
from dashboard.cards import saved_views
from tasks.access import Person, Right, Role
from tasks.ledger import Ledger, control, failures, keys, saved, tokens
from tasks.ledger.states import Action
from tasks.snapshots import Shelf
from tests.factories import claimed, submitted
from tests.pages.conftest import Open
from tests.pages.stub_worker import StubWorker
from tests.pages.test_failures import failed, key_of
from tests.pages.test_job import gone_quiet
from tests.pages.test_upkeep import FIRST, NAME, SECOND, hold, publish
from tests.pages.test_workers import appear, pool
from tests.redis.foreign_functions import add, fail

EVE = "eve@example.com"
EMAILS = "emails"
FIRST_OPTION = object()
Steps = tuple["Step", ...]
ROLES_BEFORE = f'[roles]\nadmin = ["{EVE}"]\n'
ROLES_AFTER = f'[roles]\nadmin = ["{EVE}"]\nviewer = ["*"]\n'


@dataclass(frozen=True)
class Step:
    """One thing that a person does to a widget, which is found by its kind and its key or label."""

    kind: str
    name: str
    value: object = None
    run: bool = True  # fields of a form are only filled

    def find(self, page: AppTest) -> list[object]:
        """The widgets that are meant, those that can be used."""
        if self.kind == "upload":
            return list(page.file_uploader)
        found = [
            one
            for one in page.get(self.kind)
            if self.name in (getattr(one, "label", ""), (one.key or "")) or (one.key or "").startswith(f"{self.name}:")
        ]
        if self.kind == "menu_button":
            found = [one for one in found if self.value in getattr(one, "options", ())]
        return [one for one in found if not getattr(one, "disabled", False)]

    def take(self, page: AppTest) -> AppTest:
        (widget, *_) = self.find(page) or [None]
        assert widget is not None, f"no {self.kind} {self.name!r} on the page"
        if self.kind == "button":
            widget.click().run()  # type: ignore[attr-defined]
        elif self.kind == "menu_button":
            widget.click(self.value).run()  # type: ignore[attr-defined]
        else:
            value = widget.options[0] if self.value is FIRST_OPTION else self.value  # type: ignore[attr-defined]
            widget.set_value(value)  # type: ignore[attr-defined]
            if self.run:
                page.run()
        assert not page.exception
        return page


def click(name: str) -> Step:
    return Step("button", name)


def typed(name: str, value: str) -> Step:
    return Step("text_input", name, value, run=False)


@dataclass(frozen=True)
class Door:
    """`calls` is the function that makes the change. `arrange` lays the ground and gives the page and its address.

    `before` are steps that everybody may take; the first of `steps` is the widget that is offered by role, the last
    does it. `acted` is what the row of the record says was done.
    """

    name: str
    right: Right
    calls: str
    acted: str
    arrange: Callable[[Ledger], tuple[str, dict[str, str]]]
    steps: tuple[Step, ...]
    before: tuple[Step, ...] = ()
    action: Action | None = None
    auth: str = "local"

    def open(self, open_page: Open, ledger: Ledger) -> AppTest:
        page, parameters = self.arrange(ledger)
        return open_page(page, **parameters)


# --- what is there --------------------------------------------------------------------------------------


def a_job(ledger: Ledger) -> tuple[str, dict[str, str]]:
    return "job", {"job": submitted(ledger)}


def a_canceled_job(ledger: Ledger) -> tuple[str, dict[str, str]]:
    job = submitted(ledger, 2)
    worker = StubWorker(ledger, job)
    worker.start()
    worker.finish()
    control.cancel(ledger, job, by="ana")
    worker.notice_cancel()
    return "job", {"job": job}


def a_job_that_stops(ledger: Ledger) -> tuple[str, dict[str, str]]:
    job = submitted(ledger)
    claimed(ledger, job)
    control.cancel(ledger, job, by="ana")
    return "job", {"job": job}


def a_job_of_a_silent_worker(ledger: Ledger) -> tuple[str, dict[str, str]]:
    job = submitted(ledger)
    worker = StubWorker(ledger, job)
    worker.appear()
    worker.start()
    control.cancel(ledger, job, by="ana")
    gone_quiet(ledger, job, stop_asked_at=25)
    return "job", {"job": job}


def a_failed_document(ledger: Ledger) -> tuple[str, dict[str, str]]:
    job = failed(ledger, "It is damaged.")
    return "job", {"job": job, "ask": "retry", "document": "1"}


def a_board(ledger: Ledger) -> tuple[str, dict[str, str]]:
    submitted(ledger)
    return "board", {}


def a_board_of_what_ended(ledger: Ledger) -> tuple[str, dict[str, str]]:
    control.cancel(ledger, submitted(ledger), by="ana")
    return "board", {}


def a_board_of_what_stops(ledger: Ledger) -> tuple[str, dict[str, str]]:
    a_job_that_stops(ledger)
    return "board", {}


def a_board_with_a_view(ledger: Ledger) -> tuple[str, dict[str, str]]:
    saved.save(ledger, "mine", query="owner:ana", by="ana")
    return a_board(ledger)


def a_cause(ledger: Ledger) -> tuple[str, dict[str, str]]:
    failed(ledger, "It is encrypted.")
    return "board", {"view": "failures", "cause": key_of("It is encrypted")}


def a_cause_that_is_known(ledger: Ledger) -> tuple[str, dict[str, str]]:
    page, parameters = a_cause(ledger)
    failures.acknowledge(ledger, parameters["cause"], "known", by="ana")
    connection.shared().feed.hurry()
    return page, parameters


def the_documents(ledger: Ledger) -> tuple[str, dict[str, str]]:
    publish(Shelf(ledger.settings.data), "000001", FIRST)  # AppTest cannot type a name that is not offered
    return "documents", {}


def a_collection(view: str = "Snapshots") -> Callable[[Ledger], tuple[str, dict[str, str]]]:
    def arrange(ledger: Ledger) -> tuple[str, dict[str, str]]:
        shelf = Shelf(ledger.settings.data)
        publish(shelf, "000001", FIRST)
        publish(shelf, "000002", SECOND)
        uploads = ledger.settings.data / "uploads"
        uploads.mkdir(parents=True)
        for name, chunks in SECOND.items():
            (uploads / hashlib.sha256(f"{name} {chunks}".encode()).hexdigest()).write_bytes(b"x")
        if view == "Held back":
            hold(shelf, "job9", {"d.txt": 1}, "it was held")
        return "collections", {"name": NAME, "view": view}

    return arrange


def a_worker(ledger: Ledger) -> tuple[str, dict[str, str]]:
    appear(ledger, "w1")
    return "workers", {}


def a_drained_worker(ledger: Ledger) -> tuple[str, dict[str, str]]:
    ledger.redis.hset(keys.DRAINED, "w1", json.dumps({"by": "ana", "at": 1}))
    return a_worker(ledger)


def a_silent_worker(ledger: Ledger) -> tuple[str, dict[str, str]]:
    appear(ledger, "w1", age_s=90)
    return "workers", {}


def a_host(ledger: Ledger) -> tuple[str, dict[str, str]]:
    appear(ledger, "w1")
    pool(ledger, size=2)
    return "workers", {"show": "Hosts"}


def the_queues(ledger: Ledger) -> tuple[str, dict[str, str]]:
    return "queues", {}


def a_paused_queue(ledger: Ledger) -> tuple[str, dict[str, str]]:
    control.pause(ledger, "low", by="ana")
    return "queues", {}


def a_failed_rq_job(ledger: Ledger) -> tuple[str, dict[str, str]]:
    queue = Queue(EMAILS, connection=ledger.redis)
    job = queue.enqueue(fail, "x")
    SimpleWorker([queue], connection=ledger.redis).work(burst=True, logging_level="CRITICAL")
    return "queues", {"queue": EMAILS, "rq": job.id}


def an_rq_job_that_runs(ledger: Ledger) -> tuple[str, dict[str, str]]:
    job = Queue(EMAILS, connection=ledger.redis).enqueue(add, 1, 2)
    ledger.redis.hset(keys.rq_job(job.id), mapping={"status": "started", "worker_name": "dead"})
    return "queues", {"queue": EMAILS, "rq": job.id}


def a_queue_of_failed_rq_jobs(ledger: Ledger) -> tuple[str, dict[str, str]]:
    a_failed_rq_job(ledger)
    return "queues", {"queue": EMAILS, "registry": "failed"}


def the_access_page(ledger: Ledger) -> tuple[str, dict[str, str]]:
    return "access", {}


def a_token(owner: str) -> Callable[[Ledger], tuple[str, dict[str, str]]]:
    def arrange(ledger: Ledger) -> tuple[str, dict[str, str]]:
        tokens.make(ledger.held_by(Person(owner, Role.VIEWER)), "ci", role=Role.VIEWER, days=1)
        return "access", {}

    return arrange


def the_roles(ledger: Ledger) -> tuple[str, dict[str, str]]:
    path = ledger.settings.roles_file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(ROLES_BEFORE)
    return "access", {}


# --- the doors ------------------------------------------------------------------------------------------


def of_a_job() -> Iterator[Door]:
    cancel, force, retry = "control.cancel", "control.cancel", "control.retry"
    yes = click("Cancel the job")
    yield Door("cancel", Right.CANCEL, cancel, "cancel", a_job, (click("Cancel"), yes), action=Action.CANCEL)
    steps: Steps = (click("Force stop"), click("answer-yes"))
    yield Door("force stop", Right.FORCE_STOP, force, "force stop", a_job_that_stops, steps, action=Action.FORCE_STOP)
    yield Door("retry all", Right.RETRY, retry, "retry", a_canceled_job, (click("Retry all"),), action=Action.RETRY)
    yield Door("retry unfinished", Right.RETRY, retry, "retry", a_canceled_job, (click("Retry unfinished"),))
    yield Door("retry a document", Right.RETRY, retry, "retry", a_failed_document, (click("Retry the document"),))
    steps = (click("Delete"), click("Delete the job"))
    yield Door("delete", Right.DELETE, "control.delete", "delete", a_canceled_job, steps, action=Action.DELETE)
    moved = (Step("selectbox", "priority", "high"),)
    calls = "control.reprioritise"
    yield Door("priority", Right.REPRIORITISE, calls, "reprioritise", a_job, moved, action=Action.REPRIORITISE)
    steps = (click("remedy-do"), click("answer-yes"))
    calls = "control.write_off_workers_of"
    yield Door("remedy", Right.WRITE_OFF, calls, "write off", a_job_of_a_silent_worker, steps, action=Action.WRITE_OFF)


def of_the_board() -> Iterator[Door]:
    arranged = {
        "Cancel": (Right.CANCEL, a_board),
        "Force stop": (Right.FORCE_STOP, a_board_of_what_stops),
        "Retry what failed": (Right.RETRY, a_board_of_what_ended),
        "Retry all documents": (Right.RETRY, a_board_of_what_ended),
        "Change the priority": (Right.REPRIORITISE, a_board),
        "Delete": (Right.DELETE, a_board_of_what_ended),
    }
    for label, (right, arrange) in arranged.items():
        steps: Steps = (Step("menu_button", "bulk", label), click("board-yes"))
        yield Door(f"bulk: {label}", right, "bulk.request", "bulk action", arrange, steps)
    name = typed(saved_views.NAME, "ours")
    yield Door("save a view", Right.SAVE_VIEWS, "saved.save", "save view", a_board, (name, click("Save")))
    name = typed(saved_views.NAME, "mine")
    steps = (name, click("Save"), click("board-yes"))
    yield Door("replace a view", Right.SAVE_VIEWS, "saved.save", "save view", a_board_with_a_view, steps)
    chosen = (Step("selectbox", saved_views.CHOSEN, "mine"),)
    steps = (click("Delete"), click("board-yes"))
    yield Door(
        "delete a view", Right.SAVE_VIEWS, "saved.forget", "delete view", a_board_with_a_view, steps, before=chosen
    )
    steps = (click("Retry the group"), click("board-yes"))
    yield Door("retry a cause", Right.RETRY, "bulk.request", "bulk action", a_cause, steps)
    steps = (click("Acknowledge"), click("board-yes"))
    yield Door("acknowledge", Right.ACKNOWLEDGE, "failures.acknowledge", "acknowledge", a_cause, steps)
    acted = "withdraw acknowledgement"
    yield Door("withdraw", Right.ACKNOWLEDGE, "failures.withdraw", acted, a_cause_that_is_known, (click("Withdraw"),))


def of_documents_and_collections() -> Iterator[Door]:
    files = Step("upload", "", [("a.txt", b"words", "text/plain")], run=False)
    steps: Steps = (files, Step("selectbox", "Collection", NAME), click("Submit"))
    yield Door("submit", Right.SUBMIT, "submit_files", "submit", the_documents, steps)
    steps = (click("Roll back…"), click("Roll back"))
    yield Door("roll back", Right.ROLL_BACK, "catalog.roll_back", "roll back", a_collection(), steps)
    keep = Step("number_input", "Keep the newest", 1)
    upkeep = a_collection("Upkeep")
    yield Door("export", Right.EXPORT, "control.request", "export", upkeep, (click("export"),))
    steps = (keep, click("Prune…"), click("Prune"))
    yield Door("prune", Right.PRUNE, "control.request", "prune", upkeep, steps)
    steps = (click("Rebuild…"), click("Rebuild"))
    yield Door("rebuild", Right.REBUILD, "catalog.rebuild", "submit", upkeep, steps)
    steps = (Step("number_input", "Documents at least", 40), click("gates"))
    yield Door("gates", Right.SET_GATES, "control.set_gates", "set gates", upkeep, steps)
    held = a_collection("Held back")
    steps = (click("Publish…"), click("Publish"))
    yield Door("publish held", Right.PUBLISH_HELD, "control.request", "publish held", held, steps)
    steps = (click("Discard…"), click("Discard"))
    yield Door("discard held", Right.DISCARD_HELD, "catalog.discard_held", "discard held", held, steps)


def of_workers_and_queues() -> Iterator[Door]:
    chosen = Step("selectbox", "worker", "w1")
    yield Door("drain", Right.DRAIN, "control.drain", "drain", a_worker, (chosen, click("Drain")))
    steps: Steps = (chosen, click("Let it take work"))
    yield Door("undrain", Right.DRAIN, "control.undrain", "undrain", a_drained_worker, steps)
    steps = (chosen, click("Write off…"), click("Write off"))
    yield Door("write off", Right.WRITE_OFF, "control.write_off", "write off", a_silent_worker, steps)
    steps = (Step("number_input", "size-alpha-2-0-0", 5), click("Scale"))
    yield Door("scale", Right.SCALE, "control.scale", "scale", a_host, steps)
    yield Door("pause", Right.PAUSE, "control.pause", "pause", the_queues, (click("Pause low"),))
    yield Door("resume", Right.PAUSE, "control.resume", "resume", a_paused_queue, (click("Resume low"),))
    yield Door(
        "requeue RQ job",
        Right.REQUEUE_FOREIGN,
        "control.requeue_foreign",
        "requeue RQ job",
        a_failed_rq_job,
        (click("Requeue"),),
    )
    steps = (click("Stop…"), click("Stop the job"))
    yield Door("stop RQ job", Right.STOP_FOREIGN, "control.stop_foreign", "stop RQ job", an_rq_job_that_runs, steps)
    steps = (click("Delete…"), click("Delete the job"))
    yield Door("delete RQ job", Right.DELETE_FOREIGN, "control.delete_foreign", "delete RQ job", a_failed_rq_job, steps)
    for move, right in (("requeue", Right.REQUEUE_FOREIGN), ("delete", Right.DELETE_FOREIGN)):
        steps = (click(f"{move.capitalize()} all…"), click(f"{move.capitalize()} them"))
        calls, acted = "control.move_foreign", f"{move} RQ jobs"
        yield Door(f"{move} all", right, calls, acted, a_queue_of_failed_rq_jobs, steps)


def of_access() -> Iterator[Door]:
    steps: Steps = (typed("What it is for", "ci"), click("Make a token"))
    yield Door("make a token", Right.MAKE_TOKENS, "tokens.make", "make token", the_access_page, steps)
    steps = (Step("selectbox", "Revoke a token", FIRST_OPTION), click("Revoke…"), click("Revoke"))
    yield Door("revoke mine", Right.MAKE_TOKENS, "tokens.revoke", "revoke token", a_token(EVE), steps)
    everybodys = Step("toggle", "Those of everybody", True)
    yield Door(
        "revoke another's", Right.REVOKE_TOKENS, "tokens.revoke", "revoke token", a_token("ana"), (everybodys, *steps)
    )
    steps = (Step("text_area", "The roles file", ROLES_AFTER), click("Save…"), click("Save"))
    yield Door("set roles", Right.SET_ROLES, "control.set_roles", "set roles", the_roles, steps, auth="proxy")


DOORS = (
    *of_a_job(),
    *of_the_board(),
    *of_documents_and_collections(),
    *of_workers_and_queues(),
    *of_access(),
)
# Rights that no page makes use of, and why.
WITHOUT_A_DOOR = {
    Right.SEE: "every page asks for it",
    Right.CLEAN: "for the command line and the API",
    Right.READ_RECORD: "for the API and the command line",
    Right.UPKEEP: "for the programs",
}
