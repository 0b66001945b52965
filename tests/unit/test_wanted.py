"""What the address of the board says, and back."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.cards.company import sentence
from dashboard.cards.searching import begun
from dashboard.wanted import Cause, Wanted, states_of
from tasks.ledger.states import State


@given(st.text(max_size=80), st.sets(st.sampled_from(State)), st.sampled_from(["", "title", "-took"]))
def test_an_address_always_says_what_was_wanted(text: str, states: set[State], sort: str) -> None:
    wanted = Wanted(text, states_of(state.value for state in states), sort)
    said = parse_qs(urlsplit(wanted.address()).query)
    again = Wanted(said.get("q", [""])[0], states_of(said.get("state", [])), said.get("sort", [""])[0])
    assert again == wanted


def test_chosen_states_join_the_typed_ones() -> None:
    wanted = Wanted("state:failed spring", (State.PARTIAL,))
    assert str(wanted.query) == "state:failed state:partial spring"


def test_the_problems_of_a_text_stay_with_its_query() -> None:
    assert Wanted("sate:failed", (State.PARTIAL,)).query.problems


def test_a_cause_keeps_the_search_that_it_was_found_in() -> None:
    said = parse_qs(urlsplit(Cause("k1", "owner:ana").address(ask="retry")).query)
    assert said == {"view": ["failures"], "cause": ["k1"], "within": ["owner:ana"], "ask": ["retry"]}


@pytest.mark.parametrize(
    ("typed", "head"),
    [("", ""), ("own", ""), ("spring own", "spring "), ('owner:"ana of s', ""), ('a owner:"ana b', "a "), ("a ", "a ")],
)
def test_a_blank_in_quotes_ends_no_word(typed: str, head: str) -> None:
    assert begun(typed) == head


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([], ""),
        (["ana"], "ana is looking at this job."),
        (["ana", "ben"], "ana and ben are looking at this job."),
        (["ana", "ben", "chidi"], "ana, ben and chidi are looking at this job."),
        (["ana", "ben", "chidi", "dewi", "eve"], "ana, ben, chidi and 2 more are looking at this job."),
    ],
)
def test_who_else_looks_is_a_sentence(others: list[str], said: str) -> None:
    assert sentence(others) == said
