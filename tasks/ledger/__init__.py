"""The truth about jobs, in Redis: keys, states, transitions, and the doors to write and read them.

Knows nothing of pages, documents' contents or snapshots on disk. `store` is for workers, `control` for
people, `monitor` for readers.
"""

from tasks.ledger.connection import Ledger, connect
from tasks.ledger.states import FINAL, LIVE, Action, DocumentState, State

__all__ = ["FINAL", "LIVE", "Action", "DocumentState", "Ledger", "State", "connect"]
