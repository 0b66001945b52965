"""What a person may ask of a worker or a host, as widgets: drain, take work again, write off, scale.

The decision is made in tasks.ledger.control.
"""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard import connection, markup
from dashboard.acting import allowed, deciding
from dashboard.drawing.workers_markup import Host, Standing, standing
from tasks.access import Right
from tasks.ledger import control
from tasks.ledger.records import WorkerRow

LARGEST = 512
WRITE_OFF = "write off"


def said(row: WorkerRow) -> str:
    """What stands behind a worker's name where one is chosen."""
    state = standing(row)
    return "" if state in (Standing.BUSY, Standing.IDLE) else state.value


def worker_card(rows: list[WorkerRow]) -> None:
    """What may be asked of one worker; nothing for who may ask nothing."""
    if not (allowed.may(Right.DRAIN) or allowed.may(Right.WRITE_OFF)):
        return
    names = {row.name: row for row in rows}
    with st.container(horizontal=True, vertical_alignment="bottom", key="one-worker"):
        name = st.selectbox(
            "Act on a worker",
            list(names),
            format_func=lambda one: " · ".join(
                filter(None, (markup.seen(one), said(names[one]) if one in names else ""))
            ),
            key="worker",
            index=None,
            placeholder="Choose one",
            help="A drained worker ends what it has in hand and takes nothing more. One that does not respond can be "
            "written off: its work goes to others at once.",
            width=420,
        )
        worker_buttons(name or "", names)


def worker_buttons(name: str, names: dict[str, WorkerRow]) -> None:
    row = names.get(name)
    state = standing(row) if row is not None else None
    if not allowed.may(Right.DRAIN):
        pass
    elif state in (Standing.DRAINED, Standing.DRAINING):
        st.button("Let it take work", icon=":material/play_arrow:", on_click=undrain, args=(name,), key="undrain")
    else:
        st.button(
            "Drain",
            icon=":material/hourglass_bottom:",
            on_click=drain,
            args=(name,),
            key="drain",
            disabled=state not in (Standing.BUSY, Standing.IDLE),
        )
    if allowed.may(Right.WRITE_OFF):
        st.button(
            "Write off…",
            icon=":material/person_off:",
            on_click=deciding.ask,
            args=(WRITE_OFF, name),
            key="write-off",
            disabled=state is not Standing.SILENT,
        )


def host_card(hosts: list[Host]) -> None:
    """How many workers a host shall have."""
    st.markdown("**Scale a host.** Growing is immediate; shrinking waits for what is in hand.")
    scalable = {host.name: host for host in hosts if host.pools}
    if not scalable:
        st.caption("No pool reports, so there is nothing to scale: `ingestboard worker` starts one.")
        return
    asked = st.session_state.get("host") or ""
    names = list(scalable)
    name = st.selectbox(
        "Host to scale",
        names,
        names.index(asked) if asked in names else 0,
        format_func=markup.seen,
        key=f"scale-{asked}",
    )
    pools = scalable[name].pools
    wanted, low, high = sum(pool.wanted for pool in pools), max(p.low for p in pools), max(p.high for p in pools)
    # Who else scales the host meanwhile changes these fields too.
    of_this = f"{name}-{wanted}-{low}-{high}"
    by_itself = st.toggle("Between two bounds, by the age of the queue", low < high, key=f"auto-{of_this}")
    if by_itself:
        left, right = st.columns(2)
        least = left.number_input("At least", 1, LARGEST, max(1, low), key=f"low-{of_this}")
        most = right.number_input("At most", 1, LARGEST, max(high, wanted, least + 1), key=f"high-{of_this}")
        size = min(max(wanted, least), most)
        sensible = least < most
    else:
        size = st.number_input("Workers", 0, LARGEST, wanted, key=f"size-{of_this}")
        least = most = 0
        sensible = True
    same = (by_itself, least, most) == (low < high, low, high) if by_itself else low >= high and size == wanted
    if not sensible:
        st.caption("The first bound must be below the second.")
    st.button(
        "Scale",
        icon=":material/tune:",
        key="scale",
        disabled=same or not sensible,
        on_click=scale,
        args=(name, size, least, most),
    )


def drain(name: str) -> None:
    deciding.act(partial(control.drain, connection.redis().ledger, name))


def undrain(name: str) -> None:
    deciding.act(partial(control.undrain, connection.redis().ledger, name))


def scale(host: str, size: int, low: int, high: int) -> None:
    deciding.act(partial(control.scale, connection.redis().ledger, host, size, low=low, high=high))


def write_off(name: str) -> str:
    return control.write_off(connection.redis().ledger, name)
