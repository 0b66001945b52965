"""Remove cached artifacts and uploads by age and size, never what a snapshot or a live job needs.

An artifact can be made again from the uploaded bytes; it is kept while a job is about to publish it. Uploaded bytes
cannot be made again: they are kept while a published snapshot or a live job names them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.ingest.kinds import Work
from tasks.kinds import Arguments, CleanArguments
from tasks.ledger import keys, monitor
from tasks.ledger.records import text

LEAST_AGE_S = 3600.0  # whatever the arguments say: a submission under way has saved its bytes and is no job yet
EACH = 200  # files between two checkpoints


@dataclass(frozen=True, slots=True, order=True)
class Cached:
    """A file of a cache, ordered by its last use (epoch seconds)."""

    used_at: float
    size_bytes: int
    path: Path


def run(work: Work, arguments: Arguments) -> str:
    assert isinstance(arguments, CleanArguments)
    work.stage("look", "Looking what snapshots and live jobs need")
    needed = _needed(work)
    work.stage("remove", "Removing what is old")
    found = sorted(_cached(work.ledger.settings.data))
    now = time.time()
    total = sum(one.size_bytes for one in found)
    removed = freed = 0
    for at, one in enumerate(found):
        if at % EACH == 0:
            work.checkpoint(at / len(found))
        age = now - one.used_at
        old = age > arguments.older_than_days * 86_400
        too_much = bool(arguments.most_bytes) and total - freed > arguments.most_bytes
        if age < LEAST_AGE_S or not (old or too_much) or one.path.name.partition(".")[0] in needed[one.path.suffix]:
            continue
        with suppress(FileNotFoundError):
            one.path.unlink()
            removed += 1
            freed += one.size_bytes
    return f"{removed} cached files were removed, {freed / 1e6:.1f} MB freed of {total / 1e6:.1f} MB."


def _needed(work: Work) -> dict[str, set[str]]:
    """The content hashes that must stay, by the suffix of their cache: '' uploads, '.arrow' artifacts."""
    of_jobs: set[str] = set()
    for job_id in map(text, work.ledger.redis.zrange(keys.LIVE, 0, -1)):
        of_jobs |= {row.sha256 for row in monitor.documents(work.ledger, job_id)}
        work.checkpoint()
    published: set[str] = set()
    for collection in work.shelf.collections():
        for row in work.shelf.snapshots(collection.name):
            published |= {entry.sha256 for entry in work.shelf.documents(collection.name, row.version)}
            work.checkpoint()
    return {"": of_jobs | published, ".arrow": of_jobs}


def _cached(data: Path) -> Iterator[Cached]:
    for pattern in ("uploads/*", "artifacts/*/*.arrow"):
        for path in data.glob(pattern):
            if path.suffix in ("", ".arrow"):
                with suppress(FileNotFoundError):
                    status = path.stat()
                    yield Cached(status.st_mtime, status.st_size, path)
