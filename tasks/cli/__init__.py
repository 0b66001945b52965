"""`ingestboard ...`: everything the pages can do, for scripts.

It asks through `tasks.ledger.control` and reads through `tasks.ledger.monitor`, like the pages. `--json`
prints stable field names on stdout; errors are one sentence on stderr. What is heavy is imported by the
command that needs it.
"""

from tasks.cli.main import main

__all__ = ["main"]
