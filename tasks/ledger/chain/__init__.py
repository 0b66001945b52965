"""The record on disk: what the audit stream holds, copied into files whose lines are chained by their hashes.

`lines` is what one line is, `files` where they are, `copying` adds to them (the janitor's), `verifying` looks whether
something is missing or changed, `reading` finds rows in them. Files are appended to and never rewritten.
"""

from tasks.ledger.chain.copying import Copier
from tasks.ledger.chain.files import folder
from tasks.ledger.chain.reading import newest_first, oldest_first
from tasks.ledger.chain.verifying import BEHIND_S, Report, standing, verify
from tasks.ledger.chain.walking import Fault

__all__ = ["BEHIND_S", "Copier", "Fault", "Report", "folder", "newest_first", "oldest_first", "standing", "verify"]
