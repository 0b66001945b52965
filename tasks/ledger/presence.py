"""Who looks at a job at this moment: a name that is said again every few seconds, and forgotten when it is not.

The one write that comes from looking. A viewer's own page causes it, at most every 10 seconds and in one round
trip; the feed that all viewers share never does.
"""

from __future__ import annotations

from tasks.ledger import keys
from tasks.ledger.connection import Ledger
from tasks.ledger.records import text

SAY_EVERY_S = 10.0
# Twice and a half: a name stays over one that was lost on the way, and goes soon after its page was closed.
STAYS_S = 25.0
NAMES = 50


def look(ledger: Ledger, job_id: str, name: str) -> list[str]:
    """Say that `name` looks at the job; everybody who does, the latest first. One round trip."""
    found = ledger.run("presence", [keys.presence(job_id)], [name, STAYS_S, NAMES])
    return [text(one) for one in found]
