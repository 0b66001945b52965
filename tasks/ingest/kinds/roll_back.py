"""Make another snapshot the current one. A page does it itself; a worker ends what a page could not."""

from __future__ import annotations

from tasks import catalog
from tasks.ingest.kinds import Work
from tasks.kinds import Arguments, RollBackArguments


def run(work: Work, arguments: Arguments) -> str:
    assert isinstance(arguments, RollBackArguments)
    work.stage("move", f"Moving {work.job.collection} to {arguments.version}")
    return catalog.move(work.ledger, work.shelf, work.job.collection, arguments.version)
