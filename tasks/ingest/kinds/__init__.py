"""What the jobs beside ingestion do: a module each, with a function `run(work, arguments)` that says what it did.

The names, stages and arguments of the kinds are in `tasks.kinds`; docs/adding-a-task.md walks through one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from tasks.errors import IngestboardError
from tasks.kinds import KINDS, Arguments
from tasks.ledger import Ledger, store
from tasks.ledger.records import JobRow
from tasks.snapshots.shelf import Shelf


class KindUnknown(IngestboardError):
    """A job of a kind that this worker does not have. Data: kind."""

    sentence = "This worker does not know the task {kind}; update it, then retry the job."


@dataclass(frozen=True, slots=True)
class Work:
    """What a kind works with: the ledger, its job, the reporter with its stages and checkpoints, and the shelf."""

    ledger: Ledger
    reporter: store.Reporter
    job: JobRow
    shelf: Shelf

    def stage(self, name: str, description: str) -> None:
        """Enter a stage, seen at once; raises Canceled, Fenced or HandedBack like every checkpoint."""
        self.reporter.stage(name, description)
        self.reporter.check(now=True)

    def checkpoint(self, fraction: float | None = None) -> None:
        """Report how much is done, 0 to 1, and learn whether to go on."""
        if fraction is not None:
            self.reporter.progress(fraction)
        self.reporter.check()


Run = Callable[[Work, Arguments], str]


def run(work: Work) -> str:
    """Do what the job's kind does; what was done, in a sentence."""
    kind = KINDS.get(work.job.kind)
    if kind is None:
        raise KindUnknown(kind=work.job.kind)
    arguments = kind.check(work.job.arguments)
    module, _, function = kind.runs.rpartition(".")
    body: Run = getattr(import_module(f"{__name__}.{module}"), function)
    return body(work, arguments)
