"""Workers: the machines and their processes as they are now, and what may be asked of one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import connection, format, markup, outage
from dashboard.acting import actions, allowed, deciding, worker_actions
from dashboard.acting.actions import Question
from dashboard.cards import tables
from dashboard.drawing import workers_markup
from dashboard.drawing.workers_markup import Host, Standing, standing
from dashboard.memory.mirror import Mirror
from dashboard.memory.readings import Seen
from dashboard.pace import Outline, of, watched
from tasks.access import Right
from tasks.ledger import Ledger, fleet
from tasks.ledger.records import PoolRow, WorkerRow

OUTLINE = Outline("workers")
PAGE_SIZE = 50
SHOWN_FOR_S = 3600.0  # one that fell silent is shown for an hour
PROCESSES, HOSTS = "Processes", "Hosts"
START = "Start some on any machine that sees this Redis and DATA: ingestboard worker -n 4"


@dataclass(frozen=True)
class Staff:
    """All workers, pools and the titles of the jobs in hand, read at one moment."""

    workers: tuple[WorkerRow, ...]
    pools: tuple[PoolRow, ...]
    titles: dict[str, str]

    def seen_on(self, board: Mirror) -> Staff:
        """The same without what they have in hand of jobs that the board does not show."""
        hidden = {row.job for row in self.workers if row.job and board.get(row.job) is None}
        told = fleet.untold(self.workers, hidden)
        return replace(
            self, workers=tuple(told), titles={job: title for job, title in self.titles.items() if job not in hidden}
        )

    @property
    def moving(self) -> bool:
        return any(row.job for row in self.workers)

    def hosts(self) -> list[Host]:
        return workers_markup.hosts_of(self.workers, self.pools)

    def chosen(self, host: str, states: tuple[str, ...]) -> list[WorkerRow]:
        """The workers to show: those that need somebody first, then by name."""
        order = {one: at for at, one in enumerate(Standing)}
        rows = [
            row
            for row in self.workers
            if (not host or row.host == host) and (not states or standing(row).value in states)
        ]
        return sorted(rows, key=lambda row: (order[standing(row)], row.host, row.name))


def read(ledger: Ledger) -> Staff:
    rows = fleet.workers(ledger, within_s=SHOWN_FOR_S)
    return Staff(tuple(rows), tuple(fleet.pools(ledger)), fleet.job_titles(ledger, rows))


def look(*, fresh: bool = False) -> Seen[Staff]:
    redis = connection.redis()
    seen = redis.readings.look("workers", partial(read, redis.common), fresh=fresh)
    return replace(seen, value=seen.value.seen_on(redis.board())) if redis.person.limited else seen


def outline(staff: Staff, shown: int) -> tuple[object, ...]:
    """What the widgets around the live part are drawn by: not by who is busy, which changes all the time."""
    known = tuple(sorted((row.name, worker_actions.said(row)) for row in staff.workers))
    return of(staff.moving), tuple(host.name for host in staff.hosts()), hash(known), pages(shown)


def pages(shown: int) -> int:
    return max(1, -(-shown // PAGE_SIZE))


def live(top: DeltaGenerator) -> None:
    """The live part: display only."""
    view, host, states, number = st.session_state["workers:shown"]
    seen = look()
    staff = seen.value
    rows = staff.chosen(host, states)
    OUTLINE.redraw_unless(*outline(staff, len(rows)))
    hidden = connection.redis().person.sight
    if seen.down:
        outage.inline(seen.age_s)
    hosts = staff.hosts()
    drawn_once = connection.redis().readings.drawn
    key: tuple[object, ...] = ("workers", "top", seen.read_at, hidden)
    top.html(drawn_once(key, lambda: workers_markup.figures(staff.workers, len(hosts))))
    if view == HOSTS:
        st.html(drawn_once(("workers", HOSTS, seen.read_at, hidden), lambda: host_table(hosts)))
    else:
        key = ("workers", seen.read_at, hidden, host, states, number)
        st.html(drawn_once(key, lambda: drawn(staff, rows, number)))


def host_table(hosts: list[Host]) -> str:
    if not hosts:
        return markup.empty("No host is there", START)
    return workers_markup.hosts(hosts)


def drawn(staff: Staff, rows: list[WorkerRow], number: int) -> str:
    """One page of the processes as one piece of HTML."""
    if not staff.workers:
        return markup.empty("No worker is alive", START)
    if not rows:
        return markup.empty("No worker is in these states", "Remove a filter to see the others.")
    start = (min(number, pages(len(rows))) - 1) * PAGE_SIZE
    shown = rows[start : start + PAGE_SIZE]
    noun = "process" if len(rows) == 1 else "processes"
    count = f"{format.number(start + 1)} to {format.number(start + len(shown))} of {format.number(len(rows))} {noun}"
    return f'{workers_markup.processes(shown, staff.titles)}<p class="ib ib-soft ib-count">{count}</p>'


def filters(staff: Staff) -> tuple[str, tuple[str, ...]]:
    """Which processes to show, in the address."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    states = left.pills(
        "Processes by state",
        [one.value for one in Standing],
        selection_mode="multi",
        key="standing",
        bind="query-params",
        label_visibility="collapsed",
    )
    known = [host.name for host in staff.hosts()]
    asked = st.query_params.get("host", "")
    host = right.selectbox(
        "Host",
        known if not asked or asked in known else sorted([*known, asked]),
        index=None,
        key="host",
        bind="query-params",
        placeholder="Any host",
        label_visibility="collapsed",
    )
    return host or "", tuple(states)


def pager(shown: int) -> int:
    last = pages(shown)
    if last == 1:
        return 1
    return int(st.number_input(f"Processes, page of {format.number(last)}", 1, last, key="workers-page", width=200))


def open_question(staff: Staff) -> None:
    """The question before a worker is written off, while it does not respond."""
    name = deciding.asked(worker_actions.WRITE_OFF)
    row = next((one for one in staff.workers if one.name == name), None)
    if row is None:
        return
    if standing(row) is not Standing.SILENT:
        deciding.never_mind()
        st.warning(
            f"{markup.literal(name)} is {standing(row).value} again, so it is not written off.", icon=":material/info:"
        )
        return
    body = (
        f"{name} on {row.host or 'an unknown host'} has not reported for {format.duration(row.heartbeat_age_s)}. "
        "What it has in hand goes to another worker at once, as a new attempt. Should it wake, it can write nothing "
        "and ends itself."
    )
    question = Question("Write this worker off?", body, "Write off", "Wait for it")
    deciding.put(question, partial(worker_actions.write_off, name), right=Right.WRITE_OFF)


def processes(staff: Staff) -> tuple[str, tuple[str, ...], int]:
    """The widgets around the table of processes: filters and actions; what they choose."""
    if not staff.workers:
        return "", (), 1
    host, states = filters(staff)
    worker_actions.worker_card(staff.chosen(host, ()))
    number = int(st.session_state.get("workers-page", 1))
    return host, states, min(number, pages(len(staff.chosen(host, states))))


st.title("Workers")
OUTLINE.touched()
actions.told()
top = st.container()
# A full run follows an action or a change: the person must see its effect at once.
staff = look(fresh=True).value
views = dict(zip((PROCESSES, HOSTS), st.tabs((PROCESSES, HOSTS), key="show", bind="query-params"), strict=True))
view = HOSTS if views[HOSTS].open else PROCESSES
host, number = "", 1
states: tuple[str, ...] = ()
with views[view]:
    if view == HOSTS:
        if allowed.may(Right.SCALE):
            with st.container(border=True):
                worker_actions.host_card(staff.hosts())
    else:
        host, states, number = processes(staff)
    st.session_state["workers:shown"] = (view, host, states, number)
    shown = len(staff.chosen(host, states))
    OUTLINE.drawn(*outline(staff, shown))
    st.fragment(watched(live), run_every=of(staff.moving))(top)
    if view == PROCESSES:
        pager(shown)
        if shown:
            tables.workers([row.name for row in staff.chosen(host, states)], SHOWN_FOR_S)
open_question(staff)
