"""Publish the snapshot that a gate of its collection held back; a person has looked at it and says yes."""

from __future__ import annotations

import time

from tasks.errors import CollectionBusy
from tasks.ingest.kinds import Work
from tasks.kinds import Arguments, HeldArguments
from tasks.ledger import locks
from tasks.snapshots import holding

WAIT_S = 60.0


def run(work: Work, arguments: Arguments) -> str:
    assert isinstance(arguments, HeldArguments)
    name = work.job.collection
    work.stage("publish", f"Publishing what job {arguments.job} made")
    token = locks.holder(work.job.id, work.reporter.claim.attempt)
    until = time.monotonic() + WAIT_S
    while (lock := locks.acquire(work.ledger, name, token)) is None:
        if time.monotonic() > until:
            raise CollectionBusy(name=name)
        work.checkpoint()
        time.sleep(0.2)
    try:
        row = holding.publish_held(
            work.shelf, name, arguments.job, still_owner=lock.renew, checkpoint=lambda: work.checkpoint()
        )
    finally:
        lock.release()
    return f"What job {arguments.job} made was published as snapshot {row.version} of {name}."
