"""The task as a plain RQ worker runs it: what one writes first, with progress in a Redis hash and nothing preloaded.

It imports what our task imports and does the same to the document: load, split, embed.
"""

from __future__ import annotations

from pathlib import Path

from rq import get_current_job

from tasks import settings as settings_of
from tasks.ingest import embed, load, run, split
from tasks.recipe import Recipe

__all__ = ["ingest", "run"]  # `run` is imported for what it imports: our task's module


def ingest(key: str, path: str) -> int:
    """Load, split and embed one file, reporting to the hash `key`; how many chunks it has."""
    job = get_current_job()
    if job is None:
        raise RuntimeError("this function is a task of RQ")
    report = job.connection
    report.hset(key, "state", "running")
    settings = settings_of.read()
    model = embed.load_embedder(settings)
    done = 0
    for portion in load.read(Path(path), Path(path).name):
        nodes = split.split(portion.documents, Recipe())
        for first in range(0, len(nodes), settings.embed_batch):
            batch = nodes[first : first + settings.embed_batch]
            embed.embed(model, [node.text for node in batch])
            done += len(batch)
            report.hset(key, mapping={"stage": "embed", "chunks": done})
    report.hset(key, "state", "completed")
    return done
