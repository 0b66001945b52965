"""The table of states, held against the scripts, the README and itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tasks.ledger.connection import SCRIPTS, source
from tasks.ledger.states import ACTIONS, FINAL, LIVE, TRANSITIONS, Action, State, states_allowing

ROOT = Path(__file__).parents[2]


def test_every_state_has_its_transitions_and_actions() -> None:
    assert set(TRANSITIONS) == set(ACTIONS) == set(State)


def test_a_final_state_is_left_by_a_retry_alone() -> None:
    assert all(TRANSITIONS[state] == {State.QUEUED} and Action.RETRY in ACTIONS[state] for state in FINAL)


def test_every_live_state_can_reach_canceled() -> None:
    for state in LIVE:
        assert State.CANCELED in TRANSITIONS[state] or State.CANCELING in TRANSITIONS[state]


def test_the_scripts_move_jobs_to_states_of_the_table_only() -> None:
    moved = set()
    for name in SCRIPTS:
        moved |= set(re.findall(r"move\('([a-z]+)'\)", source(name)))
    assert moved <= {state.value for state in State}
    assert moved >= {"queued", "running", "retrying", "canceling", "canceled", "failed"}


def test_the_scripts_know_the_final_states() -> None:
    (table,) = re.findall(r"FINAL_STATES = \{(.*?)\}", source("claim"))
    assert set(re.findall(r"(\w+) = true", table)) == {state.value for state in FINAL}


def test_the_drawing_in_the_readme_equals_the_table() -> None:
    drawing = (ROOT / "README.md").read_text("utf-8")
    drawn = set(re.findall(r"^\s+(\w+) --> (\w+)", drawing, re.MULTILINE))
    expected = {(state.value, to.value) for state, targets in TRANSITIONS.items() for to in targets}
    assert drawn == expected


@pytest.mark.parametrize("action", list(Action))
def test_the_states_that_allow_an_action_are_said_in_words(action: Action) -> None:
    assert re.fullmatch(r"[a-z]+(, [a-z]+)*( or [a-z]+)?", states_allowing(action))


def test_no_key_of_ours_is_spelled_outside_of_keys() -> None:
    spelled = re.compile(r"""["']f?ib:[a-z]""")
    guilty = [
        str(path.relative_to(ROOT))
        for folder in ("dashboard", "tasks", "workers")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "keys.py" and spelled.search(path.read_text("utf-8"))
    ]
    assert guilty == []
