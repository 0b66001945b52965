"""One job (?job=ID): progress, stages, documents, events, and what may be done to it; live until it is final."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import connection, exports, format, markup, outage
from dashboard.acting import actions, allowed
from dashboard.cards import bulk_outcome, company, standstill, tables
from dashboard.drawing import job_markup
from dashboard.memory.detail import Detail
from dashboard.pace import Outline, of, watched
from tasks.errors import JobNotFound
from tasks.ledger import marks
from tasks.ledger.marks import Mark
from tasks.ledger.records import JobRow
from tasks.ledger.states import Action, State

OUTLINE = Outline("job")
DOCUMENTS_PAGE = 200


def pace_of(row: JobRow) -> float | None:
    """Seconds between two looks; None once nothing can change any more."""
    if row.final:
        return None
    mirror = connection.redis().board()
    return of(row.state is not State.QUEUED or mirror.figures.workers_alive > 0)


def job() -> None:
    """The live part: display only. It asks for one full run when the buttons or the pace must change."""
    job_id: str = st.session_state["job:id"]
    details = connection.redis().details
    try:
        detail = details.look(job_id, connection.redis().person)
    except JobNotFound:
        OUTLINE.redraw_unless("gone")
        return
    except outage.AWAY:
        known = details.last(job_id, connection.redis().person)
        if known is None:
            raise
        detail = known
        outage.inline(time.monotonic() - known.looked_at)
    else:
        OUTLINE.redraw_unless(*outline(detail))
    now = datetime.now(UTC)
    row = detail.row
    st.html(
        job_markup.head(row, now)
        + standstill.note(row)
        + job_markup.figures(row, now)
        + job_markup.stop_receipt(detail.receipt, row, now)
        + exports.offer(connection.redis().settings.data, row)
        + bulk_outcome.shown(connection.redis().ledger, row)
    )
    if row.documents_total or detail.stages or not row.final:
        st.html(section("Stages") + job_markup.timeline(detail.stages, row, now))
    if row.documents_total:
        st.html(section("Documents") + documents(detail, st.session_state["job:documents"]))
    st.html(section("Events") + job_markup.events(detail.events, now))
    st.html(section("About this job") + job_markup.facts(row, now))


def outline(detail: Detail) -> tuple[object, ...]:
    """What the full run draws by: buttons, pace and pager depend on nothing else."""
    row = detail.row
    failed = bool(row.documents_failed)
    return row.id, row.state, row.attempt, row.priority, failed, pace_of(row), len(detail.documents), mark_of(row)


def mark_of(row: JobRow) -> Mark | None:
    """What is wrong with the job at a glance, by what the mirror knows of workers and of its collection."""
    redis = connection.redis()
    mirror = redis.board()
    return marks.mark(
        row,
        datetime.fromtimestamp(mirror.now(), UTC),  # its times are the server's; this host's clock may be off
        workers=mirror.workers,
        grace_s=redis.settings.cancel_grace_s,
        stalled_s=redis.settings.stalled_minutes * 60,
        usual_s=mirror.usual.get(row.collection),
    )


def section(title: str) -> str:
    return f'<h3 class="ib-section">{title}</h3>'


def documents(detail: Detail, number: int) -> str:
    start = (number - 1) * DOCUMENTS_PAGE
    shown = detail.documents[start : start + DOCUMENTS_PAGE]
    if not shown:
        return '<div class="ib ib-soft">This job has no documents.</div>'
    return job_markup.documents(shown, detail.row, retry=allowed.does(Action.RETRY))


def documents_page(count: int) -> int:
    """The pager of a long document list, outside of the live part."""
    last = max(1, -(-count // DOCUMENTS_PAGE))
    if last == 1:
        return 1
    return int(st.number_input(f"Documents, page of {format.number(last)}", 1, last, key="documents_page", width=200))


def back() -> DeltaGenerator:
    """The row at the top: the way back, and room for the actions."""
    row = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
    row.page_link("views/board.py", label="Board", icon=":material/arrow_back:")
    return row


def asked_document(text: str) -> int | None:
    """The number of a document of the address, from 0; None when it names none."""
    return int(text) - 1 if text.isascii() and text.isdigit() and len(text) < 8 else None


def nothing_here(title: str, advice: str) -> None:
    back()
    st.html(markup.empty(title, advice, "./", "Show the board"))


def show(job_id: str) -> None:
    """The page of one job."""
    if st.session_state.get("job:id") != job_id:
        st.session_state.pop(actions.ASKING, None)
    st.session_state["job:id"] = job_id
    actions.told()
    try:
        # A full run follows an action or a change: the person must see its effect at once.
        detail = connection.redis().details.look(job_id, connection.redis().person, fresh=True)
    except JobNotFound as error:
        OUTLINE.drawn("gone")
        nothing_here("No such job", str(error))
        return
    asked = st.query_params.pop("ask", "")
    if asked in set(Action):
        actions.ask(Action(asked), asked_document(st.query_params.pop("document", "")))
    with back():
        actions.buttons(detail.row)
    st.session_state["job:documents"] = documents_page(len(detail.documents))
    drawn = outline(detail)
    OUTLINE.drawn(*drawn)
    company.draw(live=pace_of(detail.row) is not None)
    actions.remedy(detail.row, mark_of(detail.row))
    st.fragment(watched(job), run_every=pace_of(detail.row))()
    if detail.documents:
        tables.documents(job_id)
    actions.open_question(detail.row, detail.documents)


if wanted := st.query_params.get("job", "").strip():
    show(wanted)
else:
    nothing_here("No job chosen", "Open one from the board, or add ?job=ID to the address.")
