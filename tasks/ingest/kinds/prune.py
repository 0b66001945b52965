"""Remove old snapshots of a collection: never the current one, nor one that is read or built upon."""

from __future__ import annotations

from tasks.ingest.kinds import Work
from tasks.kinds import Arguments, PruneArguments
from tasks.snapshots.prune import prune


def run(work: Work, arguments: Arguments) -> str:
    assert isinstance(arguments, PruneArguments)
    name = work.job.collection
    work.stage("remove", f"Removing old snapshots of {name}")
    done = prune(work.shelf, name, keep_last=arguments.keep_last, older_than_days=arguments.older_than_days)
    kept = f"; {len(done.leased)} more are being read and stay" if done.leased else ""
    return f"{len(done.versions)} snapshots of {name} were removed, {done.bytes_freed / 1e6:.1f} MB freed{kept}."
