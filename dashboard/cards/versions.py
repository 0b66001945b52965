"""The snapshots of a collection on its page: the list, rolling back to one, and what changed between two."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path

import streamlit as st
from redis.exceptions import RedisError

from dashboard import connection, format, markup
from dashboard.acting import asking
from dashboard.acting.actions import Question
from dashboard.drawing import shelf_markup
from tasks import catalog, kinds
from tasks.access import Right
from tasks.errors import IngestboardError
from tasks.ledger import Ledger, monitor
from tasks.ledger.records import Receipt
from tasks.ledger.states import State
from tasks.snapshots import SnapshotRow
from tasks.snapshots.diff import Diff, diff
from tasks.snapshots.shelf import Shelf

ROLL_BACK = "roll back"
LATELY = 20  # jobs among which the one that just ran is looked for


def snapshots(name: str, rows: Sequence[SnapshotRow], now: datetime) -> None:
    """All snapshots, newest first, and the way back to an older one."""
    st.html(shelf_markup.snapshots(rows, now))
    others = {row.version: row for row in rows if not row.current}
    if not asking.offered(name, ROLL_BACK, Right.ROLL_BACK) or not others:
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="rollback"):
        version = st.selectbox("Roll back to", list(others), key=f"version-{name}", width=240)
        if st.button("Roll back…", icon=":material/history:") and version:
            asking.ask(name, ROLL_BACK, version)
    row = others.get(asking.asked(name, ROLL_BACK))
    if row is not None:
        asking.put(name, question(row), partial(roll_back, name, row.version))


def question(row: SnapshotRow) -> Question:
    return Question(
        f"Make snapshot {row.version} current?",
        f"Searches of {row.collection} will read snapshot {row.version} with "
        f"{format.counted(row.documents, 'document')}. No snapshot is removed; you can move back at any time.",
        "Roll back",
        "Stay",
    )


def roll_back(name: str, version: str) -> Receipt:
    redis = connection.redis()
    row = catalog.roll_back(redis.ledger, name, version)
    sentence = f"{name} is at snapshot {row.version} now; searches read it from here on."
    return Receipt(job_of(redis.ledger, name), ROLL_BACK, State.COMPLETED, sentence)


def job_of(ledger: Ledger, name: str) -> str:
    """The job that rolled the collection back last, if it is among the newest; else ''."""
    try:
        newest, _ = monitor.page(ledger, limit=LATELY)
    except RedisError:  # it was rolled back all the same
        return ""
    return next((row.id for row in newest if (row.kind, row.collection) == (kinds.ROLL_BACK.name, name)), "")


def compare(name: str, rows: Sequence[SnapshotRow]) -> None:
    """Two snapshots side by side: the current one and the one it was made from, unless others are chosen."""
    versions = [row.version for row in rows]
    if len(versions) < 2:
        st.caption("There is one snapshot so far; the next publish gives something to compare it with.")
        return
    at = next((at for at, row in enumerate(rows) if row.current), 0)
    current, base = versions[at], rows[at].base
    beside = at + 1 if at + 1 < len(versions) else at - 1
    before = versions.index(base) if base in versions else beside
    left, right = st.columns(2)

    def named(version: str) -> str:
        return f"{version} (current)" if version == current else version

    a = left.selectbox("From", versions, before, format_func=named, key=f"from-{name}-{current}")
    b = right.selectbox("To", versions, at, format_func=named, key=f"to-{name}-{current}")
    if a == b:
        st.caption("Choose two different snapshots.")
        return
    try:
        found = between(connection.redis().settings.data, name, a, b)
    except IngestboardError as error:
        st.error(markup.literal(error), icon=":material/error:")
        return
    st.html(shelf_markup.changes(found))


@lru_cache(maxsize=16)
def between(data: Path, name: str, a: str, b: str) -> Diff:
    """What changed. Kept: a version never changes, and its number is never given again."""
    return diff(Shelf(data), name, a, b)
