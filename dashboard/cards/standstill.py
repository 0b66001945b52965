"""Why a job does not run, as a sentence for its page; read at most every 2 seconds for all who watch it."""

from __future__ import annotations

import time

from dashboard import connection, format, markup, outage
from tasks.errors import JobNotFound
from tasks.ledger import waiting
from tasks.ledger.records import JobRow
from tasks.ledger.states import State

LOOK_EVERY_S = 2.0


def note(row: JobRow) -> str:
    """The sentence as HTML with the estimated start; '' for a job that runs or has ended."""
    stands = row.state in (State.QUEUED, State.RETRYING)
    if not stands and not (row.state is State.RUNNING and row.step_description.startswith("Waiting for")):
        return ""
    turn = int(time.monotonic() / LOOK_EVERY_S)
    return connection.redis().feed.shared(("why", row.id, row.revision, turn), lambda: _note(row))


def _note(row: JobRow) -> str:
    try:
        why = waiting.why(connection.redis().common, row.id)
    except (JobNotFound, *outage.AWAY):
        return ""
    if why.cause in (waiting.Cause.RUNNING, waiting.Cause.ENDED, waiting.Cause.STOPPING):
        return ""
    starts = (
        f" It starts in about {format.coarse(why.starts_in_s)}."
        if why.starts_in_s and why.cause is waiting.Cause.QUEUE
        else ""
    )
    return f'<p class="ib ib-why"><b>Why it does not run:</b> {markup.safe(why.reason)}{starts}</p>'
