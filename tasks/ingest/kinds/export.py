"""Write a snapshot to a file below DATA/exports, for a person to take away."""

from __future__ import annotations

from tasks.ingest.kinds import Work
from tasks.kinds import Arguments, ExportArguments, export_path
from tasks.snapshots.export import export


def run(work: Work, arguments: Arguments) -> str:
    assert isinstance(arguments, ExportArguments)
    name = work.job.collection
    work.stage("write", f"Writing {name} as {arguments.format}")
    target = export_path(work.ledger.settings.data, work.job.id, name, arguments.format)
    target.parent.mkdir(parents=True, exist_ok=True)
    made = export(
        work.shelf,
        name,
        target,
        format=arguments.format,
        version=arguments.version or None,
        vectors=arguments.vectors,
        checkpoint=lambda done, total: work.checkpoint(done / total if total else 1.0),
    )
    return f"{made.chunks} chunks of {name} {made.version} are in {target.name}, {made.size_bytes / 1e6:.1f} MB."
