"""How often a live part looks again, and when it stops.

The pace is chosen in each full run of a page; the live part asks for one new full run when what the page
outside of it depends on has changed. A full run that a live part asked for is no sign of a person.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from functools import wraps
from typing import ParamSpec

import streamlit as st

from dashboard import connection
from dashboard.gate import who
from tasks.access import Person

MOVING_S = 1.0
STILL_S = 5.0
SEAT = "who:seated"

P = ParamSpec("P")


def of(moving: bool) -> float:
    """Seconds between two looks."""
    return MOVING_S if moving else STILL_S


def seated(someone: Person) -> None:
    """Note in a full run for whom the page is drawn."""
    st.session_state[SEAT] = someone


def watched(part: Callable[P, None]) -> Callable[P, None]:
    """A live part that looks first whether the page is still drawn for who looks: for their role and groups by now.

    A role that was taken away, a session that is over or a collection that became others' ends what is shown with
    this tick.
    """

    @wraps(part)
    def looked(*args: P.args, **kwargs: P.kwargs) -> None:
        settings = connection.using()
        if settings.auth != "local" and st.session_state.get(SEAT) != who.person(settings):
            st.rerun()
        part(*args, **kwargs)

    return looked


class Outline:
    """What the widgets around one live part were drawn for; kept in the session."""

    def __init__(self, page: str) -> None:
        self._drawn = f"{page}:drawn"
        self._own = f"{page}:own"
        self._seen = f"{page}:seen"

    def drawn(self, *parts: Hashable) -> None:
        """Note in a full run what it draws for."""
        st.session_state[self._drawn] = parts

    def redraw_unless(self, *parts: Hashable) -> None:
        """In the live part: one full run if the page was drawn for something else. Does not return then."""
        if st.session_state.get(self._drawn) != parts:
            # Noted before the run, so that a second tick on the way does not ask again.
            st.session_state[self._drawn] = parts
            st.session_state[self._own] = True
            st.rerun()

    def idle_s(self, clock: Callable[[], float] = time.monotonic) -> float:
        """Seconds since a person last did something here. Call it once in each full run, or in the live part."""
        return clock() - float(st.session_state.get(self._seen, clock()))

    def touched(self, clock: Callable[[], float] = time.monotonic) -> None:
        """In a full run: it counts as a person's doing unless the live part asked for it."""
        if not st.session_state.pop(self._own, False) or self._seen not in st.session_state:
            st.session_state[self._seen] = clock()
