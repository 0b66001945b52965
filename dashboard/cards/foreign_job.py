"""One RQ job of any program: what RQ holds of it, and requeue, stop and delete."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial

import streamlit as st

from dashboard import connection, format, markup, outage
from dashboard.acting import allowed, deciding
from dashboard.acting.actions import Question
from dashboard.drawing import foreign_markup, queues_markup
from dashboard.memory.readings import Seen
from dashboard.pace import MOVING_S, STILL_S, Outline, watched
from tasks.access import Right
from tasks.errors import ForeignJobNotFound
from tasks.ledger import control, foreign
from tasks.ledger.foreign_rows import ForeignJob

OUTLINE = Outline("foreign-job")
STOPPING = "foreign:stopping"  # id of the job, monotonic seconds when its stop was asked, the worker that was asked
PATIENCE_S = 15.0
RUNS = "started"


def look(rq_id: str, *, fresh: bool = False) -> Seen[ForeignJob]:
    redis = connection.redis()
    ledger = redis.ledger
    return redis.readings.look(("rq", rq_id, ledger.person.sight), partial(foreign.job, ledger, rq_id), fresh=fresh)


def pace_of(job: ForeignJob) -> float:
    return MOVING_S if job.status in (RUNS, "queued") else STILL_S


def outline(job: ForeignJob) -> tuple[object, ...]:
    return job.id, job.status, pace_of(job), job.worker_alive, job.registries


def live() -> None:
    """The live part: display only."""
    rq_id: str = st.session_state["foreign:id"]
    try:
        seen = look(rq_id)
    except ForeignJobNotFound:
        OUTLINE.redraw_unless("gone")
        return
    job, now = seen.value, datetime.now(UTC)
    OUTLINE.redraw_unless(*outline(job))
    if seen.down:
        outage.inline(seen.age_s)
    became_of_the_stop(job)
    parts = [foreign_markup.facts(job, now)]
    if job.traceback:
        parts += [section("Traceback"), foreign_markup.traceback(job.traceback)]
    if job.attempts:
        parts += [section("Runs"), foreign_markup.attempts(job.attempts, now)]
    if job.dependencies:
        parts += [section("Waits for"), foreign_markup.links(job.dependencies, len(job.dependencies), job.queue)]
    if job.dependents_total:
        parts += [section("Waited for by"), foreign_markup.links(job.dependents, job.dependents_total, job.queue)]
    st.html("".join(parts))


def section(title: str) -> str:
    return f'<h3 class="ib-section">{title}</h3>'


def became_of_the_stop(job: ForeignJob) -> None:
    """A stop is asked over a channel and never acknowledged: say what is seen of it."""
    asked_for, asked_at, worker = st.session_state.get(STOPPING, ("", 0.0, ""))
    if asked_for != job.id:
        return
    waited = time.monotonic() - asked_at
    worker = markup.literal(worker)
    if job.status != RUNS:
        st.success(f"Its worker stopped it: the job is {markup.literal(job.status)} now.", icon=":material/check:")
    elif waited < PATIENCE_S:
        st.info(f"Worker {worker} was asked to stop it {format.coarse(waited)} ago.", icon=":material/hourglass_top:")
    else:
        st.warning(
            f"Worker {worker} was asked to stop it {format.coarse(waited)} ago and has not. RQ's SimpleWorker cannot "
            "stop a job; any other worker does so unless it hangs.",
            icon=":material/warning:",
        )


def buttons(job: ForeignJob) -> None:
    """What RQ lets be done to a job in its state, as far as the person may."""
    may = allowed.may
    with st.container(horizontal=True, horizontal_alignment="right", key="rq-actions"):
        if may(Right.REQUEUE_FOREIGN) and ("failed" in job.registries or "canceled" in job.registries):
            st.button("Requeue", type="primary", icon=":material/replay:", key="requeue", on_click=requeue, args=(job,))
        if may(Right.STOP_FOREIGN) and job.status == RUNS:
            st.button("Stop…", icon=":material/dangerous:", key="stop", on_click=deciding.ask, args=("stop", job.id))
        if may(Right.DELETE_FOREIGN) and not (job.status == RUNS and job.worker_alive):
            st.button("Delete…", icon=":material/delete:", key="delete", on_click=deciding.ask, args=("delete", job.id))


def requeue(job: ForeignJob) -> None:
    st.session_state.pop(STOPPING, None)
    redis = connection.redis()
    deciding.act(lambda: control.requeue_foreign(redis.ledger, job.queue, job.id).sentence)


def delete(job: ForeignJob) -> str:
    return control.delete_foreign(connection.redis().ledger, job.queue, job.id).sentence


def stop(job: ForeignJob) -> str:
    sentence = control.stop_foreign(connection.redis().ledger, job.id).sentence
    st.session_state[STOPPING] = (job.id, time.monotonic(), job.worker)
    return sentence


def to_the_queue() -> None:
    st.query_params.pop("rq", None)


def open_question(job: ForeignJob) -> None:
    title = (job.description or job.id)[:120]
    if deciding.asked("stop") == job.id:
        body = f"{title} is killed by its worker {job.worker} and counts as failed. It can be requeued afterwards."
        question = Question("Stop this job?", body, "Stop the job", "Let it go on")
        deciding.put(question, partial(stop, job), right=Right.STOP_FOREIGN)
    if deciding.asked("delete") == job.id:
        waiting = sum(1 for link in job.dependents if link.status == "deferred")
        waits = "waits" if waiting == 1 else "wait"
        stuck = f" {format.counted(waiting, 'job')} that {waits} for it would wait for ever." if waiting else ""
        body = f"{title} goes from {job.queue} with its results.{stuck}"
        question = Question("Delete this job?", body, "Delete the job", "Keep it")
        deciding.put(question, partial(delete, job), right=Right.DELETE_FOREIGN, then=to_the_queue)


def show(rq_id: str, queue: str) -> None:
    """The page of one RQ job."""
    OUTLINE.touched()
    st.session_state["foreign:id"] = rq_id
    try:
        job = look(rq_id, fresh=True).value
    except ForeignJobNotFound as error:
        OUTLINE.drawn("gone")
        st.html(queues_markup.back(queue))
        st.html(markup.empty("No such job", str(error)))
        return
    st.html(queues_markup.back(job.queue))
    st.html(foreign_markup.head(job))
    if job.ours:
        st.html(foreign_markup.part_of(job))
    else:
        buttons(job)
    OUTLINE.drawn(*outline(job))
    st.fragment(watched(live), run_every=pace_of(job))()
    open_question(job)
