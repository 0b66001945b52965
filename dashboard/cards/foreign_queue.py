"""The jobs of one RQ queue, a registry and a page at a time, and what may be done to all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import streamlit as st

from dashboard import connection, format, markup, outage
from dashboard.acting import allowed, deciding
from dashboard.acting.actions import Question
from dashboard.cards import queue_list, tables
from dashboard.drawing import queues_markup
from dashboard.memory.readings import Seen
from dashboard.pace import MOVING_S, STILL_S, Outline, watched
from tasks.ledger import control, foreign
from tasks.ledger.control.foreign import MANY, RIGHTS, Move
from tasks.ledger.foreign import PAGE_SIZE, REGISTRIES
from tasks.ledger.foreign_rows import QueueRow, RegistryPage

OUTLINE = Outline("queue")
REQUEUED = ("failed", "canceled")
EMPTY = {
    "queued": ("Nothing waits in this queue", "What its programs enqueue shows up here at once."),
    "started": ("Nothing of this queue runs", "What a worker takes shows up here."),
    "failed": ("Nothing failed", "Failed jobs stand here with their traceback until RQ forgets them."),
    "finished": (
        "No finished job is kept",
        "RQ keeps a finished job for 500 seconds unless its program says otherwise.",
    ),
    "deferred": ("No job waits for another", "A job that depends on another stands here until that one has ended."),
    "scheduled": ("Nothing is scheduled", "Jobs for later, retries and repeats stand here until they are due."),
    "canceled": ("Nothing was canceled", "Canceled jobs can be requeued from here."),
}


def look(name: str, registry: str, number: int, *, fresh: bool = False) -> Seen[RegistryPage]:
    redis = connection.redis()
    ledger = redis.ledger
    key = ("queue", name, registry, number, ledger.person.sight)
    return redis.readings.look(key, partial(foreign.page, ledger, name, registry, number), fresh=fresh)


def pages(total: int) -> int:
    return max(1, -(-total // PAGE_SIZE))


def live() -> None:
    """The live part: display only."""
    name, registry, number = st.session_state["queue:shown"]
    seen = look(name, registry, number)
    OUTLINE.redraw_unless(*outline(name, seen.value))
    if seen.down:
        outage.inline(seen.age_s)
    now = datetime.now(UTC)
    key = ("queue", name, registry, number, connection.redis().person.sight, seen.read_at, int(now.timestamp()))
    st.html(connection.redis().readings.drawn(key, lambda: drawn(row_of(name), seen.value, now)))


def drawn(row: QueueRow | None, page: RegistryPage, now: datetime) -> str:
    tabs = queues_markup.tabs(page.queue, page.registry, row)
    if page.rows:
        return tabs + queues_markup.jobs(page, now)
    title, advice = EMPTY[page.registry]
    return tabs + markup.empty(title, advice)


def outline(name: str, page: RegistryPage) -> tuple[object, ...]:
    """What the buttons and the pager are drawn by: whether there are jobs, and how many pages of them."""
    return name, page.registry, pages(page.total), min(page.total, 1)


def row_of(name: str) -> QueueRow | None:
    """The queue as the list of all shows it: its counts stand beside its registries."""
    found, _ = queue_list.look().value
    return next((one for one in found.rows if one.name == name), None)


def turn(to: int) -> None:
    st.query_params["page"] = str(to)


def asked_page(last: int) -> int:
    asked = st.query_params.get("page", "1")
    return min(max(1, int(asked)), last) if asked.isdecimal() and len(asked) < 9 else 1


def pager(number: int, last: int) -> None:
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        st.caption(f"Page {format.number(number)} of {format.number(last)}", width="content")
        st.button("Back", icon=":material/chevron_left:", disabled=number <= 1, on_click=turn, args=(number - 1,))
        st.button(
            "Next",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=number >= last,
            on_click=turn,
            args=(number + 1,),
        )


def buttons(name: str, page: RegistryPage, ours: bool) -> None:
    """What may be done to all jobs of the registry."""
    if ours or not page.total or page.registry == "started":
        return
    with st.container(horizontal=True, horizontal_alignment="right", key="queue-actions"):
        if page.registry in REQUEUED and allowed.may(RIGHTS["requeue"]):
            ask_all("requeue", name, page.registry, ":material/replay:", "Requeue all…")
        if allowed.may(RIGHTS["delete"]):
            ask_all("delete", name, page.registry, ":material/delete:", "Delete all…")


def ask_all(action: Move, name: str, registry: str, icon: str, label: str) -> None:
    subject = f"{name}\0{registry}"
    st.button(label, icon=icon, key=f"all-{action}", on_click=deciding.ask, args=(f"{action} all", subject))


def open_question(name: str, page: RegistryPage) -> None:
    subject = f"{name}\0{page.registry}"
    count = min(page.total, MANY)
    jobs = format.counted(count, f"{page.registry} job")
    more = (
        f" There are {format.number(page.total)}; at most {format.number(MANY)} are moved at once."
        if page.total > MANY
        else ""
    )
    redis = connection.redis()
    moves: tuple[Move, ...] = ("requeue", "delete")
    for action in moves:
        if deciding.asked(f"{action} all") != subject:
            continue
        body = (
            f"{jobs} of {name} would wait in the queue again and run anew, each as its program wrote it.{more}"
            if action == "requeue"
            else f"{jobs} of {name} would go for good, with their results.{more}"
        )
        deciding.put(
            Question(f"{action.capitalize()} {jobs}?", body, f"{action.capitalize()} them", "Leave them"),
            lambda action=action: (
                control.move_foreign(  # type: ignore[misc]
                    redis.ledger, action, name, page.registry, most=count
                ).sentence
            ),
            right=RIGHTS[action],
            count=count,
        )


def show(name: str) -> None:
    """The page of one queue."""
    OUTLINE.touched()
    st.html(queues_markup.back())
    row = row_of(name)
    head = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom")
    head.title(markup.literal(name[:200]))
    if row is None:
        st.caption("This Redis holds no queue of that name.")
    asked = st.query_params.get("registry", "")
    registry = asked if asked in REGISTRIES else REGISTRIES[0]
    total = look(name, registry, 1, fresh=True).value.total
    number = asked_page(pages(total))
    page = look(name, registry, number, fresh=number > 1).value
    ours = row is not None and row.ours and registry in ("queued", "started", "failed")
    if ours:
        st.caption("These are parts of jobs on the board: act on those jobs, which move their parts.")
    with head:
        buttons(name, page, ours)
    st.session_state["queue:shown"] = (name, registry, number)
    OUTLINE.drawn(*outline(name, page))
    st.fragment(watched(live), run_every=MOVING_S if row is not None and row.started else STILL_S)()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        if total:
            tables.foreign_jobs(name, registry)
        if pages(total) > 1:
            pager(number, pages(total))
    open_question(name, page)
