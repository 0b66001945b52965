"""Every action of every page as every role: offered and done, or not offered and refused on the record."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st

from dashboard import connection
from tasks.access import NEEDS, Person, Right, Role, at_least
from tasks.ledger import Ledger, activity, keys
from tasks.ledger.states import Action
from tests.pages.conftest import Open, Sits, html_of, words_of
from tests.pages.doors import DOORS, EVE, WITHOUT_A_DOOR, Door

ROOT = Path(__file__).parents[2] / "dashboard"
# What the dashboard calls to change something, wherever it stands in a line of code.
WRITES = re.compile(r"\b(?:(control|catalog|saved|failures|tokens|bulk)\.([a-z_]+)|(submit_files|submit_folder))\b\(?")
READS = {
    *("control.permit", "control.RIGHTS", "catalog.collections", "catalog.snapshots", "catalog.held", "saved.views"),
    *("tokens.tokens", "bulk.outcome", "failures.group_of", "failures.buttons", "failures.put", "control.foreign"),
    "bulk.waits_for",
}


def eve(role: Role | None) -> Person:
    return Person(EVE, role, email=EVE)


@pytest.fixture(autouse=True)
def nobody_else_looks(board_ledger: Ledger) -> Iterator[None]:
    yield
    st.cache_resource.clear()


def kept(ledger: Ledger) -> dict[Any, Any]:
    """All that Redis holds but the record, and who looks at a job."""
    redis = ledger.redis
    read: dict[Any, Callable[[Any], Any]] = {
        b"hash": redis.hgetall,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"set": lambda key: set(redis.smembers(key)),
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        b"stream": redis.xrange,
        b"string": redis.get,
    }
    left = (keys.AUDIT.encode(), keys.AUDIT_NUMBER.encode())
    names = [key for key in redis.keys("*") if key not in left and b"presence" not in key]
    return {key: read[redis.type(key)](key) for key in names}


@pytest.fixture
def signing_in(door: Door, board_ledger: Ledger) -> Ledger:
    """The ledger of the door's page, where people sign in if it needs that."""
    if door.auth == "local":
        return board_ledger
    settings = board_ledger.settings.model_copy(update={"auth": door.auth})
    ledger = Ledger(board_ledger.redis, settings, board_ledger.person)
    connection.use(ledger, tick_s=0.0)
    return ledger


by_role = pytest.mark.parametrize("role", list(Role))
by_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)


@by_door
@by_role
def test_a_door_is_there_and_opens_for_its_role_and_is_refused_to_those_below(
    open_page: Open, signing_in: Ledger, sits: Sits, door: Door, role: Role
) -> None:
    ledger = signing_in
    may = at_least(role, NEEDS[door.right])
    sits(eve(role if may else Role.ADMIN))
    page = door.open(open_page, ledger)
    for step in (*door.before, *door.steps[:-1]):
        page = step.take(page)
    before = kept(ledger)
    sits(eve(role))  # whoever lost the role while the page was open
    page = door.steps[-1].take(page)
    row = activity.page(ledger).rows[0]
    if may:
        assert (row.by, row.action) == (EVE, door.acted)
        assert "may not" not in row.result
        return
    assert (row.by, row.outcome) == (EVE, "refused")
    assert f"{EVE} may not {door.right.value}" in row.result
    assert kept(ledger) == before
    said = [one.value.replace("\u2060", "").replace("\\", "") for one in page.warning]
    assert row.result in said


@pytest.mark.parametrize(
    ("door", "role"),
    [(door, role) for door in DOORS for role in Role if not at_least(role, NEEDS[door.right])],
    ids=lambda one: getattr(one, "name", ""),
)
def test_a_door_is_not_shown_to_who_may_not_open_it(
    open_page: Open, signing_in: Ledger, sits: Sits, door: Door, role: Role
) -> None:
    sits(eve(role))
    page = door.open(open_page, signing_in)
    for step in door.before:
        page = step.take(page)
    assert not door.steps[0].find(page), f"{door.steps[0].name} is offered to a {role}"


@pytest.mark.parametrize("action", list(Action))
@by_role
def test_an_action_in_the_address_is_asked_about_or_refused_on_the_record(
    open_page: Open, board_ledger: Ledger, sits: Sits, action: Action, role: Role
) -> None:
    door = next(one for one in DOORS if one.action is action)
    sits(eve(role))
    page, parameters = door.arrange(board_ledger)
    opened = open_page(page, **{**parameters, "ask": action.value})
    row = activity.page(board_ledger).rows[0]
    if at_least(role, NEEDS[door.right]):
        assert [one for one in opened.button if one.key == "answer-yes"]
        assert row.by != EVE
        return
    assert not [one for one in opened.button if one.key == "answer-yes"]
    assert (row.by, row.action, row.outcome) == (EVE, action.value, "refused")
    assert row.subject == parameters["job"]
    assert "may not" in opened.warning[0].value
    opened.run()
    assert activity.page(board_ledger).rows[0].id == row.id, "said once"


def test_every_right_has_a_door_or_a_reason() -> None:
    assert {door.right for door in DOORS} | set(WITHOUT_A_DOOR) == set(Right)
    assert not {door.right for door in DOORS} & set(WITHOUT_A_DOOR)


def test_every_action_on_a_job_has_a_door_on_its_page() -> None:
    assert {door.action for door in DOORS} - {None} == set(Action)


def test_whatever_the_dashboard_calls_to_change_something_has_a_door() -> None:
    called = set()
    pages = (path for path in ROOT.rglob("*.py") if path.parent.name != "api")  # whose doors are a table of their own
    for path in pages:
        for module, name, plain in WRITES.findall(path.read_text("utf-8")):
            if plain or name:
                called.add(plain or f"{module}.{name}")
    called -= READS | {"submit_folder"}  # its button is that of submit_files
    assert {one for one in called if one.islower()} == {door.calls for door in DOORS}


def test_links_that_ask_are_not_drawn_for_who_may_not(open_page: Open, board_ledger: Ledger, sits: Sits) -> None:
    for door in DOORS:
        if door.name in ("retry a cause", "remedy", "retry a document", "bulk: Cancel"):
            door.arrange(board_ledger)
    connection.shared().feed.hurry()
    sits(eve(Role.ADMIN))
    assert "ask=" in html_of(open_page("board"))
    assert "ask=" in html_of(open_page("board", view="failures"))
    sits(eve(Role.VIEWER))
    assert "ask=" not in html_of(open_page("board")), "what was drawn for an administrator is not shown to a viewer"
    assert "ask=" not in html_of(open_page("board", view="failures"))
    sits(eve(Role.OPERATOR))
    assert "ask=" in html_of(open_page("board"))


def test_a_viewer_finds_a_calm_page_where_others_submit(open_page: Open, sits: Sits) -> None:
    sits(eve(Role.VIEWER))
    page = open_page("documents")
    assert "You look, others submit" in words_of(page)
    assert not page.file_uploader
    assert not page.button
    assert "Submit documents" not in words_of(open_page("board"))


def test_who_has_another_role_by_now_has_another_page(open_page: Open, board_ledger: Ledger, sits: Sits) -> None:
    sits(eve(Role.OPERATOR))
    page, parameters = DOORS[0].arrange(board_ledger)
    opened = open_page(page, **parameters)
    assert opened.button
    sits(eve(Role.VIEWER))
    opened.run()
    assert not opened.button
