"""All RQ queues of this Redis, live; and the pause of ours."""

from __future__ import annotations

from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import connection, outage
from dashboard.acting import allowed, deciding
from dashboard.cards import tables
from dashboard.drawing import queues_markup
from dashboard.memory.queue_rates import Flow, QueueRates
from dashboard.memory.readings import Seen
from dashboard.pace import Outline, of, watched
from tasks.access import Right
from tasks.ledger import Ledger, control, foreign
from tasks.ledger.foreign_rows import Queues
from tasks.settings import QUEUES

OUTLINE = Outline("queues")


def read(ledger: Ledger, rates: QueueRates) -> tuple[Queues, dict[str, Flow]]:
    found = foreign.overview(ledger)
    return found, rates.note(found.rows)


def look(*, fresh: bool = False) -> Seen[tuple[Queues, dict[str, Flow]]]:
    """All queues now, read once for all viewers."""
    redis = connection.redis()
    return redis.readings.look("queues", partial(read, redis.common, redis.readings.rates), fresh=fresh)


def moving(found: Queues) -> bool:
    return any(row.started or (row.depth and row.consumers) for row in found.rows)


def outline(found: Queues) -> tuple[object, ...]:
    return "all", of(moving(found)), found.suspended, tuple(row.name for row in found.rows if row.paused is not None)


def live(top: DeltaGenerator) -> None:
    """The live part: display only."""
    seen = look()
    found, flows = seen.value
    OUTLINE.redraw_unless(*outline(found))
    if seen.down:
        outage.inline(seen.age_s)
    drawn = connection.redis().readings.drawn
    top.html(drawn(("queues", "top", seen.read_at), lambda: queues_markup.figures(found)))
    st.html(drawn(("queues", seen.read_at), lambda: queues_markup.overview(found, flows)))


def pauses(found: Queues) -> None:
    """A button for each queue of ours: pause or resume."""
    st.markdown(
        "**Pause** one of Ingestboard's queues: what runs goes on, and nothing of it starts. "
        "RQ has no pause for the queues of other programs."
    )
    with st.container(horizontal=True):
        for row, priority in zip(found.rows, QUEUES, strict=False):
            if row.paused is None:
                st.button(
                    f"Pause {row.name}",
                    icon=":material/pause:",
                    key=f"pause-{priority}",
                    on_click=pause,
                    args=(priority,),
                )
            else:
                st.button(
                    f"Resume {row.name}",
                    icon=":material/play_arrow:",
                    type="primary",
                    key=f"resume-{priority}",
                    on_click=resume,
                    args=(priority,),
                )


def pause(priority: str) -> None:
    redis = connection.redis()
    deciding.act(partial(control.pause, redis.ledger, priority))


def resume(priority: str) -> None:
    redis = connection.redis()
    deciding.act(partial(control.resume, redis.ledger, priority))


def show() -> None:
    st.title("Queues")
    OUTLINE.touched()
    top = st.container()
    # A full run follows an action or a change: the person must see its effect at once.
    found, _ = look(fresh=True).value
    if found.suspended:
        st.warning(
            "RQ is suspended on this Redis: the workers of other programs rest until `rq resume`.",
            icon=":material/pause_circle:",
        )
    OUTLINE.drawn(*outline(found))
    st.fragment(watched(live), run_every=of(moving(found)))(top)
    tables.queues()
    if allowed.may(Right.PAUSE):
        with st.container(border=True):
            pauses(found)
