"""The search of the board: its box with suggestions, what is wrong with a query, the states, and the order.

Each lives in the address. The query itself is `dashboard.memory.query`; this module only draws and reads widgets.
"""

from __future__ import annotations

import streamlit as st

from dashboard import markup
from dashboard.memory.matching import NEWEST, Sort
from dashboard.memory.mirror import Mirror
from dashboard.memory.query import parse, quoted
from dashboard.memory.suggestions import suggest
from dashboard.wanted import FAILURES, Wanted, states_of
from tasks.ledger.states import State

SUGGESTIONS = 8
ADOPTED = "board:adopted"
EXAMPLE = 'Words, or state:failed owner:ana file:invoice error:"encrypted" older:1h'
ORDERS = {
    "-created": "Newest first",
    "created": "Oldest first",
    "-updated": "Changed last",
    "-took": "Longest run",
    "left": "Done soonest",
    "-failed": "Most failures",
    "-documents": "Most documents",
    "title": "By name",
}


def first_page() -> None:
    """Another question begins at its first page."""
    st.session_state["page"] = 1


def adopt_older_address(typed: str) -> None:
    """`?collection=x` and `?owner=y` of addresses that were shared before the search knew qualifiers.

    The box takes its first text from the address alone, so that they join it in a second run.
    """
    asked = {name: st.query_params.get(name, "").strip() for name in ("collection", "owner")}
    added = [f"{name}:{quoted(value)}" for name, value in asked.items() if value]
    if added:
        for name in asked:
            st.query_params.pop(name, None)
        st.session_state[ADOPTED] = " ".join([typed, *added]).strip()
        st.rerun()


def box() -> str:
    """The field; what is typed in it."""
    if ADOPTED in st.session_state:
        st.session_state["q"] = st.session_state.pop(ADOPTED)
    typed = st.text_input(
        "Search the jobs",
        type="search",
        key="q",
        bind="query-params",
        placeholder=EXAMPLE,
        label_visibility="collapsed",
        on_change=first_page,
        icon=":material/search:",
        live=True,
        width="stretch",
    )
    adopt_older_address(typed or "")
    return typed or ""


def suggestions(mirror: Mirror, typed: str) -> None:
    """What could be typed next, or what cannot be used of what was typed."""
    offered, done = suggest(mirror, typed)[:SUGGESTIONS], begun(typed)
    if offered:
        head = len(done)
        st.pills(
            "Suggestions",
            offered,
            key="suggestions",
            format_func=lambda text: text[head:],
            label_visibility="collapsed",
            on_change=take,
            wrap=False,
        )
    # What is still being typed is no mistake yet; what stands before it is one at once.
    if problems := parse(done if offered else typed).problems:
        st.html(f'<p class="ib ib-problem" role="status">{" ".join(map(markup.safe, problems))}</p>')


def begun(typed: str) -> str:
    """What stands before the last word of a query; a blank in quotes ends no word."""
    ends = [at for at, sign in enumerate(typed) if sign == " " and typed.count('"', 0, at) % 2 == 0]
    return typed[: ends[-1] + 1] if ends else ""


def take() -> None:
    """Put the chosen suggestion into the box, ready for the next word: a qualifier waits for its value."""
    chosen = st.session_state.pop("suggestions", None)
    if chosen:
        st.session_state["q"] = chosen if chosen.endswith(":") else f"{chosen} "
        first_page()


def states() -> tuple[State, ...]:
    """The chosen states."""
    chosen = st.pills(
        "State",
        [state.value for state in State],
        selection_mode="multi",
        key="state",
        bind="query-params",
        label_visibility="collapsed",
        on_change=first_page,
    )
    return states_of(chosen)


def order() -> Sort:
    """The order, also as a choice for those who see no head of the table to click on."""
    asked = Sort.read(st.query_params.get("sort", ""))
    spelled = str(asked)
    st.session_state["board:order"] = spelled
    st.selectbox(
        "Order",
        list(dict.fromkeys([*ORDERS, spelled])),
        key="board:order",
        format_func=lambda sort: ORDERS.get(sort, f"By {sort.removeprefix('-')}"),
        label_visibility="collapsed",
        on_change=lambda: sort_url(str(st.session_state["board:order"])),
        width=170,
    )
    return asked


def sort_url(spelled: str) -> None:
    """Put an order into the address; the one that needs no word leaves it."""
    if Sort.read(spelled) == NEWEST:
        st.query_params.pop("sort", None)
    else:
        st.query_params["sort"] = spelled
    first_page()


def view() -> str:
    """Jobs (''), or the failures among them by cause."""
    return FAILURES if st.query_params.get("view") == FAILURES else ""


def wanted(states: tuple[State, ...], sort: Sort) -> Wanted:
    """What the address asks for, once its widgets were read."""
    spelled = "" if sort == NEWEST else str(sort)
    return Wanted(text=str(st.session_state.get("q") or ""), states=states, sort=spelled, view=view())
