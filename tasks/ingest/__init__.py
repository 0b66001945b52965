"""What a worker does to documents: load, split, embed, keep. Heavy imports live here and only here.

The package itself is light: `preload` is for a worker's parent, whose children then start in milliseconds.
"""

from __future__ import annotations

from importlib import import_module

# lancedb is imported through the snapshots and by its name, and used by nobody before a fork.
_HEAVY = (
    "tasks.ingest.load",
    "tasks.ingest.split",
    "tasks.ingest.embed",
    "tasks.ingest.artifacts",
    "tasks.snapshots.staging",
    "pyarrow.compute",
    "lancedb",
)


def preload() -> None:
    """Import everything that a work horse needs. Opens nothing, runs no model."""
    for name in _HEAVY:
        import_module(name)
