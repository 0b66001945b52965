"""Who looks at a job at this moment: a name that is said again every few seconds, and forgotten when it is not.

The one write that comes from looking. A viewer's own page causes it, at most every 10 seconds and in one round
trip; the feed that all viewers share never does.
"""

from __future__ import annotations

from tasks.errors import JobNotFound
from tasks.ledger import keys
from tasks.ledger.connection import Ledger
from tasks.ledger.records import text
from tasks.ledger.sight import hidden_jobs

SAY_EVERY_S = 10.0
# Twice and a half: a name stays over one that was lost on the way, and goes soon after its page was closed.
STAYS_S = 25.0
NAMES = 50


def look(ledger: Ledger, job_id: str, name: str) -> list[str]:
    """Say that `name` looks at the job; everybody who does, the latest first. Raises JobNotFound.

    One round trip, and another one for who does not see every collection.
    """
    if hidden_jobs(ledger, [job_id]):
        raise JobNotFound(job=job_id)
    found = ledger.run("presence", [keys.presence(job_id)], [name, STAYS_S, NAMES])
    return [text(one) for one in found]
