"""What a gate held back of a collection: search it, compare it, and then publish or discard it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path

import streamlit as st

from dashboard import connection, format, markup
from dashboard.acting import asking
from dashboard.acting.actions import Question
from dashboard.cards import passages
from dashboard.drawing import shelf_markup
from tasks import catalog
from tasks.access import Right
from tasks.errors import IngestboardError
from tasks.kinds import PUBLISH_HELD, HeldArguments
from tasks.ledger.records import Receipt
from tasks.ledger.states import State
from tasks.snapshots.diff import Diff, diff_held
from tasks.snapshots.held import HeldRow
from tasks.snapshots.shelf import Shelf

DISCARD = "discard held"


def cards(name: str, current: str, rows: Sequence[HeldRow], now: datetime) -> None:
    """Every held snapshot, newest first."""
    may_publish = asking.offered(name, PUBLISH_HELD.name, Right.PUBLISH_HELD)
    may_discard = asking.offered(name, DISCARD, Right.DISCARD_HELD)
    for row in rows:
        with st.container(border=True, key=f"held-{row.job}"):
            st.html(shelf_markup.held(row, now))
            with st.expander("What publishing it would change", icon=":material/difference:"):
                changes(name, current, row)
            query = st.text_input(
                "Search it",
                type="search",
                key=f"held-query-{row.job}",
                placeholder="Search what is held back",
                icon=":material/search:",
                label_visibility="collapsed",
                max_chars=500,
            )
            if query := (query or "").strip():
                passages.show(name, query, f"{row.attempt}", held=row.job)
            with st.container(horizontal=True):
                if may_publish and st.button("Publish…", icon=":material/publish:", key=f"publish-{row.job}"):
                    asking.ask(name, PUBLISH_HELD.name, row.job)
                if may_discard and st.button("Discard…", icon=":material/delete:", key=f"discard-{row.job}"):
                    asking.ask(name, DISCARD, row.job)
    by_job = {row.job: row for row in rows}
    if row_asked := by_job.get(asking.asked(name, PUBLISH_HELD.name)):
        asking.put(name, publish_question(row_asked), partial(publish, name, row_asked.job))
    if row_asked := by_job.get(asking.asked(name, DISCARD)):
        asking.put(name, discard_question(row_asked), partial(discard, name, row_asked.job))


def changes(name: str, current: str, row: HeldRow) -> None:
    try:
        found = difference(connection.redis().settings.data, name, row.job, row.attempt, current)
    except IngestboardError as error:
        st.error(markup.literal(error), icon=":material/error:")
        return
    st.html(shelf_markup.changes(found))


@lru_cache(maxsize=16)
def difference(data: Path, name: str, job: str, attempt: int, current: str) -> Diff:
    """What publishing it would change. Kept as long as neither it nor the current version is another one."""
    return diff_held(Shelf(data), name, job)


def publish_question(row: HeldRow) -> Question:
    return Question(
        "Publish it all the same?",
        f"{format.sentence(row.reason)} What job {row.job} made becomes the current snapshot of {row.collection}, "
        f"with {format.counted(row.documents, 'document')}. You can roll back at any time.",
        "Publish",
        "Not now",
    )


def publish(name: str, job: str) -> Receipt:
    return asking.request(name, PUBLISH_HELD, HeldArguments(job=job), f"Publish what {job} made")


def discard_question(row: HeldRow) -> Question:
    return Question(
        "Discard it?",
        f"What job {row.job} made for {row.collection} is removed. The current snapshot stays as it is, and a retry "
        "of the job embeds nothing again.",
        "Discard",
        "Keep it",
    )


def discard(name: str, job: str) -> Receipt:
    redis = connection.redis()
    catalog.discard_held(redis.ledger, name, job)
    return Receipt("", DISCARD, State.COMPLETED, f"What job {job} made for {name} was removed.")
