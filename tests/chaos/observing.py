"""What is there when a run is over, read from Redis and disk by plain means and noted in the history.

Opens every snapshot with lancedb, after which this process may not fork: it is the last thing that a run does.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import redis

from tasks.ledger import keys, queues
from tasks.ledger.records import text
from tasks.snapshots import manifest
from tests.chaos.faults import tend
from tests.chaos.history import History
from tests.chaos.world import World

MOVING = (keys.LIVE, keys.WAITING, keys.LEASES, keys.ENQUEUED, keys.DELAYED)
FIGURES = (
    "attempt",
    "documents_total",
    "documents_done",
    "documents_failed",
    "running_shards",
    "shards_total",
    "shards_done",
    "published_attempt",
)


def wait_for_quiet(world: World, history: History, timeout_s: float) -> bool:
    """Wait until no job is live and nothing waits, is leased, or is on its way; whether that came in time."""
    since = time.monotonic()
    while time.monotonic() - since < timeout_s:
        with suppress(redis.RedisError):
            tend(world, history)
            if not leftovers(world):
                history.note("quiet", after_s=round(time.monotonic() - since, 2))
                return True
        time.sleep(0.1)
    history.note("never quiet", after_s=timeout_s)
    return False


def leftovers(world: World) -> dict[str, list[str]]:
    """What still moves, by the key that says so."""
    client = world.ledger.redis
    found = {key: [text(member) for member in client.zrange(key, 0, -1)] for key in MOVING}
    for name in queues.names(world.ledger):
        found[keys.rq_queue(name)] = [text(member) for member in client.lrange(keys.rq_queue(name), 0, -1)]
    return {key: members for key, members in found.items() if members}


def observe_ledger(world: World, history: History) -> None:
    """Every job as its hashes have it, and the ledger's own sums."""
    client = world.ledger.redis
    for key, members in leftovers(world).items():
        history.note("left", where=key, members=members)
    marker = keys.job("")
    for key in client.scan_iter(f"{marker}*", count=1000):
        job_id = text(key).removeprefix(marker)
        if ":" not in job_id:
            history.note("found", **job_as_found(world, job_id))
    indexed = {
        name: [text(member) for member in client.zrange(key, 0, -1)]
        for name, key in (("jobs", keys.JOBS), ("final", keys.FINAL))
    }
    counts = {text(name): int(value) for name, value in client.hgetall(keys.COUNTS).items()}
    history.note("sums", counts=counts, **indexed)


def job_as_found(world: World, job_id: str) -> dict[str, Any]:
    client = world.ledger.redis
    fields = {text(name): text(value) for name, value in client.hgetall(keys.job(job_id)).items()}
    documents = {text(name): json.loads(raw) for name, raw in client.hgetall(keys.documents(job_id)).items()}
    shards = [json.loads(raw).get("state") for raw in client.hvals(keys.shards(job_id))]
    return {
        "job": job_id,
        "state": fields.get("state", ""),
        "title": fields.get("title", ""),
        "collection": fields.get("collection", ""),
        "percent": float(fields.get("percent", 0)),
        "error": fields.get("error", ""),
        **{name: int(fields.get(name, 0)) for name in FIGURES},
        "shards": dict(Counter(shards)),
        "documents": [
            {key: row.get(key) for key in ("name", "state", "error", "sha256", "chunks")} for row in documents.values()
        ],
    }


def observe_processes(world: World, history: History) -> None:
    """What still runs of the hosts' programs, after their pools have ended."""
    left = []
    for process in psutil.process_iter(["pid"]):
        with suppress(psutil.Error):
            if process.environ().get("INGESTBOARD_DATA") == str(world.data) and process.status() != "zombie":
                left.append({"pid": process.pid, "title": " ".join(process.cmdline())[:100]})
    history.note("processes", left=left)


def observe_disk(world: World, history: History) -> None:
    """Every version on disk with what is wrong with it, what was staged, and what was embedded how often."""
    root = world.data / "collections"
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        pointer = folder / "CURRENT"
        current = pointer.read_text("ascii").strip() if pointer.exists() else ""
        history.note("staged", collection=folder.name, names=sorted(path.name for path in folder.glob("_*-*")))
        for version in sorted(path for path in folder.iterdir() if path.is_dir() and path.name.isdigit()):
            found = snapshot_as_found(version, folder.name)
            history.note(
                "snapshot", collection=folder.name, version=version.name, current=version.name == current, **found
            )
    calls = world.seen.read_text("utf-8").split() if world.seen.exists() else []
    counted = Counter(calls)
    again = sum(times - 1 for times in counted.values())
    history.note("embedded", chunks=len(counted), calls=len(calls), again=again, most=max(counted.values(), default=0))


def snapshot_as_found(folder: Path, collection: str) -> dict[str, Any]:
    """Who made a version, its documents with hash and chunks, and what is wrong with it ('' for nothing)."""
    found = manifest.read(folder)
    if found is None:
        return {"job": "", "attempt": 0, "documents": {}, "problem": "its manifest cannot be read"}
    documents: dict[str, list[Any]] = {}
    problem = ""
    try:
        entries = manifest.read_documents(folder, collection)
        documents = {entry.name: [entry.sha256, entry.chunks] for entry in entries}
        problem = wrong_with(folder, {entry.name: entry.chunks for entry in entries}, found)
    except Exception as error:  # noqa: BLE001 - a damaged snapshot raises what it likes, and that is the finding
        problem = f"it cannot be read: {type(error).__name__}: {error}"
    return {"job": found.job, "attempt": found.attempt, "documents": documents, "problem": problem}


def wrong_with(folder: Path, expected: dict[str, int], found: manifest.Manifest) -> str:
    """Hold the Lance table, opened as anyone would, against what the snapshot says it holds."""
    import lancedb
    import numpy as np

    table = lancedb.connect(folder).open_table(manifest.TABLE).to_arrow()
    if (found.documents, found.chunks) != (len(expected), table.num_rows):
        return f"its manifest notes {found.chunks} chunks of {found.documents} documents; it holds {table.num_rows}"
    held = dict(Counter(table.column("document").to_pylist()))
    if held != {name: chunks for name, chunks in expected.items() if chunks}:
        return "the chunks of its documents are not those that it notes"
    vectors = np.array(table.column("vector").to_pylist(), dtype=np.float32)
    if len(vectors) and not (np.isfinite(vectors).all() and np.abs(vectors).sum(axis=1).all()):
        return "it holds vectors that are empty or no numbers"
    return ""
