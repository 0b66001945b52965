"""A collection that is for some alone: its names are on no page, in no dialog and in no file of who does not see it.

A word is planted in everything of it. Somebody who sees everything looks first, at the same addresses, so that whatever
is kept for many viewers would give it away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import connection
from dashboard.cards import csv_export
from tasks import bulk
from tasks.access import Person, Role
from tasks.ledger import Ledger, control, failures, history, keys, presence, saved, store
from tasks.ledger.control import NewDocument
from tasks.ledger.records import Gates
from tasks.ledger.states import Action
from tasks.snapshots import Shelf
from tests.factories import claimed, submitted
from tests.pages.conftest import Open, Sits, words_of
from tests.pages.stub_worker import StubWorker
from tests.pages.test_failures import failed
from tests.pages.test_job import gone_quiet
from tests.pages.test_upkeep import write
from tests.pages.test_workers import appear
from tests.snapshot_factories import lay

WORD = "zanzibar"
PART = "anziba"  # what somebody types who guesses: it is on the page, and the word would be only if it were found
HIDDEN = f"{WORD}-letters"
OTHERS = "quagga-letters"  # a name that nothing has
ANA = Person("ana", Role.ADMIN)
EVES = [Person("eve", role, hidden=(f"{WORD}-*",)) for role in (Role.VIEWER, Role.OPERATOR)]
NOBODY = Person("eve")
Address = tuple[str, dict[str, str]]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], bytes]]:
    """The CSV files that the page offers, by name; each is made when it is asked for."""
    offered: dict[str, Callable[[], bytes]] = {}
    real = csv_export.button

    def button(name: str, heads: Any, rows: Any, **more: Any) -> None:
        offered[name] = lambda: csv_export.encode(heads, rows())
        real(name, heads, rows, **more)

    monkeypatch.setattr(csv_export, "button", button)
    return offered


def everything(page: AppTest) -> str:
    """All that is sent to the browser, options of fields and bodies of dialogs and popovers too."""
    found: list[str] = []

    def walk(block: Any) -> None:
        found.append(str(getattr(block, "proto", "")))
        for child in getattr(block, "children", {}).values():
            walk(child)

    walk(page._tree)
    return "\n".join(found)


def a_job(ledger: Ledger, **more: object) -> str:
    """A job of the hidden collection with the word in all that a person and a document can set."""
    documents = [NewDocument(f"{WORD}-report.txt", 10, sha256="0" * 64)]
    given: dict[str, Any] = {
        "collection": HIDDEN,
        "documents": documents,
        "owner": f"{WORD} owner",
        "title": f"{WORD} title",
    }
    return submitted(ledger, **(given | more))


@pytest.fixture
def planted(board_ledger: Ledger) -> dict[str, str]:
    """The hidden collection in every state, beside another one that everybody sees; ids by what they are."""
    ledger = board_ledger
    waiting = a_job(ledger)
    running = a_job(ledger)
    worker = StubWorker(ledger, running, name="w1")
    worker.start()
    worker.enter("load", f"Reading {WORD}-report.txt")
    appear(ledger, "w1", job=running, stage="load", document=f"{WORD}-report.txt")
    lost = a_job(ledger)
    claimed(ledger, lost, worker="w-gone")
    gone_quiet(ledger, lost, started_at=9_000, last_updated=9_000)
    documents = [NewDocument(f"{WORD}-report.txt", 10, sha256="0" * 64)]
    broken = failed(
        ledger, f"The {WORD} part is damaged.", collection=HIDDEN, documents=documents, title=f"{WORD} title"
    )
    shared = failed(ledger, "It is encrypted.", collection=HIDDEN, documents=documents, title=f"{WORD} title")
    failed(ledger, "It is encrypted.", collection="contracts")
    seen = submitted(ledger, collection="contracts", title="A lease")
    rq_id = store.delivery_of(ledger, waiting, "0")
    rq: dict[Any, Any] = {"exc_info": f"Traceback: {WORD}", "group_id": WORD}
    ledger.redis.hset(keys.rq_job(rq_id), mapping=rq)
    causes = {
        name: failures.key_of(failures.normalise(error), "", "txt")
        for name, error in (("own", f"The {WORD} part is damaged."), ("shared", "It is encrypted."))
    }
    causes |= {group.cause: group.key for group in connection.shared().feed.look().groups()}
    for key in set(causes.values()):
        failures.acknowledge(ledger, key, f"{HIDDEN} is known to us", by="ana", cause=f"The {WORD} part is damaged.")
    saved.save(ledger, f"{HIDDEN} of today", query="state:failed", by="ana")
    saved.save(ledger, "theirs", query=f"collection:{HIDDEN}", by="ana")
    many = bulk.request(ledger, Action.CANCEL, [waiting], by="ana", shown=f"collection:{HIDDEN} {WORD}").job
    ledger.redis.rpush(keys.bulk_refused(many), json.dumps([lost, f"Job {lost} of {HIDDEN} is running."]))
    ledger.redis.hset(keys.bulk_outcome(many), mapping={"done": 0, f"{bulk.REFUSED}had ended already": 1})
    control.set_gates(ledger, HIDDEN, Gates(50, 3), by="ana")
    deleted = a_job(ledger)
    control.cancel(ledger, deleted, by="ana")
    control.delete(ledger, deleted, by="ana")
    history.roll_up(ledger)
    shelf = Shelf(ledger.settings.data)
    for name in (HIDDEN, "contracts"):
        for version, names in (("000001", {f"{name}.txt": 1}), ("000002", {f"{name}-2.txt": 2})):
            write(lay(shelf, name, version, documents=1, chunks=1), names)
    presence.look(ledger, running, "ben")
    connection.shared().feed.hurry()
    return {
        **{"waiting": waiting, "running": running, "lost": lost, "broken": broken, "shared": shared, "seen": seen},
        **{"many": many, "deleted": deleted, "rq": rq_id},
    }


def addresses(ids: dict[str, str]) -> Iterator[Address]:
    """Every page in every view of it, and by direct links to what is hidden."""
    yield "board", {}
    for query in (PART, f"file:{PART}", f"error:{PART}", "collection:", "owner:", "mark:lost,stalled", "state:failed"):
        yield "board", {"q": query}
    yield "board", {"view": "failures"}
    yield "board", {"view": "failures", "q": "state:failed"}
    for group in connection.shared().feed.look().groups():
        yield "board", {"view": "failures", "cause": group.key}
        yield "board", {"view": "failures", "cause": group.key, "ask": "retry"}
        yield "board", {"view": "failures", "cause": group.key, "ask": "acknowledge"}
    for name in ("waiting", "running", "lost", "broken", "shared", "many", "deleted", "seen"):
        yield "job", {"job": ids[name]}
        yield "job", {"job": ids[name], "ask": "cancel"}
    yield "documents", {}
    for view in ("Snapshots", "Compare", "Upkeep"):
        yield "collections", {"view": view}
        yield "collections", {"view": view, "name": "contracts"}
    yield "workers", {}
    yield "workers", {"show": "Hosts"}
    yield "queues", {}
    for registry in ("queued", "started", "failed"):
        yield "queues", {"queue": "default", "registry": registry}
    yield "queues", {"queue": "default", "rq": ids["rq"]}
    yield "history", {}
    yield "history", {"as": "Tables", "range": "24 h"}
    yield "activity", {}
    for parameters in ({"q": PART}, {"on": ids["lost"]}, {"by": "ana"}, {"action": "acknowledge"}):
        yield "activity", parameters
    yield "access", {}


def told(open_page: Open, files: dict[str, Callable[[], bytes]], address: Address) -> str:
    """All that a page says, with its files."""
    files.clear()
    page, parameters = address
    said = everything(open_page(page, **parameters))
    return said + "".join(make().decode() for make in files.values())


@pytest.mark.parametrize("eve", [EVES[1], NOBODY], ids=lambda person: person.role or "nobody")
def test_the_word_is_told_to_nobody_who_does_not_see_the_collection(
    open_page: Open, planted: dict[str, str], files: dict[str, Callable[[], bytes]], sits: Sits, eve: Person
) -> None:
    places = list(addresses(planted))
    sits(ANA)
    known = [address for address in places if WORD in told(open_page, files, address)]
    assert {page for page, _ in known} >= {
        *("board", "job", "documents", "collections", "workers", "queues", "history", "activity")
    }, "it would be found where it is told"
    sits(eve)
    leaks = []
    for address in places:
        said = told(open_page, files, address)
        if WORD in said:
            at = said.index(WORD)
            leaks.append((address, said[max(0, at - 120) : at + 40]))
    assert leaks == []


@pytest.mark.parametrize(
    ("page", "parameter"),
    [("collections", "name"), ("history", "collection"), ("job", "job"), ("activity", "on"), ("board", "collection")],
)
def test_a_hidden_name_in_the_address_is_answered_like_one_that_nothing_has(
    open_page: Open, planted: dict[str, str], sits: Sits, page: str, parameter: str
) -> None:
    sits(ANA)
    open_page(page, **{parameter: HIDDEN})
    sits(EVES[0])
    more = {"as": "Tables"} if page == "history" else {}
    theirs = alike(open_page(page, **{parameter: HIDDEN, **more})).replace(HIDDEN, OTHERS)
    assert theirs == alike(open_page(page, **{parameter: OTHERS, **more}))


def alike(page: AppTest) -> str:
    """What the page says, without what differs between two runs: numbers, and AppTest's stand-in for cookies."""
    lines = [line for line in everything(page).splitlines() if "Mock" not in line and "id:" not in line]
    return re.sub(r"\d+(\.\d+)?", "0", "\n".join(lines)).replace(">now<", ">0 s ago<")


def test_figures_and_counts_are_of_what_is_seen(open_page: Open, planted: dict[str, str], sits: Sits) -> None:
    sits(ANA)
    assert "of 8 jobs" in words_of(open_page("board"))
    sits(EVES[1])
    words = words_of(open_page("board"))
    assert "1 to 3 of 3 jobs" in words, "two of contracts, and the bulk action of no collection"
    assert "needs you" not in words
    assert "need you" not in words
    page = open_page("board")
    page.menu_button(key="bulk").click("Cancel").run()
    assert "of 3 can be canceled" in words_of(page)
    words = words_of(open_page("board", view="failures"))
    assert "1 cause in 1 job." in words
    assert "acknowledged by ana" in words
    words = words_of(open_page("workers"))
    assert "Busy w1" in words, "that it works is no secret"


def test_a_typed_name_of_a_hidden_collection_takes_no_documents(
    open_page: Open, planted: dict[str, str], sits: Sits, board_ledger: Ledger
) -> None:
    sits(EVES[1])
    page = open_page("documents")
    field = next(one for one in page.selectbox if one.label == "Collection")
    field.options.append(HIDDEN)
    field.set_value(HIDDEN).run()
    assert "is for others; choose another name" in page.error[0].value
    assert next(one for one in page.button if one.label == "Submit").disabled


def test_who_sees_less_by_now_sees_it_gone_from_an_open_page(
    open_page: Open, planted: dict[str, str], sits: Sits
) -> None:
    sits(Person("eve", Role.OPERATOR))
    page = open_page("job", job=planted["running"])
    assert WORD in everything(page)
    sits(EVES[1])
    page.run()
    assert WORD not in everything(page)
    assert "No such job" in words_of(page)


def test_two_who_see_differently_share_nothing_that_was_drawn(
    open_page: Open, planted: dict[str, str], sits: Sits
) -> None:
    """The one may see what no job on the board is of, and the other not: what they share must not depend on that."""
    other = Person("bo", Role.VIEWER, hidden=(f"{WORD}-*", "elsewhere"))
    key = next(group.key for group in connection.shared().feed.look().groups() if "encrypted" in group.cause)
    sits(Person("ana", Role.ADMIN))
    ledger = connection.shared().ledger
    failures.acknowledge(ledger, key, "see elsewhere", by="ana")
    connection.shared().feed.hurry()
    sits(EVES[0])
    assert "see elsewhere" in words_of(open_page("board", view="failures"))
    sits(other)
    assert "elsewhere" not in words_of(open_page("board", view="failures"))
