"""Who else looks at this job: said by each viewer's own page every 10 seconds, shown to the others."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import connection, outage
from dashboard.gate import who
from dashboard.markup import safe
from dashboard.pace import watched
from tasks.errors import JobNotFound
from tasks.ledger import presence

NAMED = 3
JOB = "job:id"


def company() -> None:
    """A fragment: say that this person looks at the job of the page, and who else does. Silent while Redis is away."""
    redis = connection.redis()
    me = redis.person.name
    try:
        names = presence.look(redis.ledger, st.session_state[JOB], me)
    except (JobNotFound, *outage.AWAY):
        return
    said = sentence(["someone" if name == who.NOBODY else name for name in names if name != me])
    if said:
        st.html(f'<p class="ib ib-company" role="status">{safe(said)}</p>')


def draw(*, live: bool) -> None:
    """Once, and again while there is something to watch: the page of a job that has ended asks for nothing."""
    st.fragment(watched(company), run_every=presence.SAY_EVERY_S if live else None)()


def sentence(others: Sequence[str]) -> str:
    """'ana and ben are looking at this job.'"""
    if not others:
        return ""
    if len(others) == 1:
        return f"{others[0]} is looking at this job."
    if len(others) <= NAMED:
        return f"{', '.join(others[:-1])} and {others[-1]} are looking at this job."
    return f"{', '.join(others[:NAMED])} and {len(others) - NAMED} more are looking at this job."
