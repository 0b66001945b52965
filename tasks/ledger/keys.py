"""Every Redis key that we own: its name, type, life time and writer. No key is spelled anywhere else.

All of them start with `ib:`; keys that start with `rq:` are RQ's and only read here, by the names that RQ
2 gives them. Per-job keys live until the job is deleted or its retention is over.
"""

from __future__ import annotations

PREFIX = "ib:"

# --- one job -----------------------------------------------------------------------------------------


def job(job_id: str) -> str:
    """Hash: the fields of a job. Written by the Lua scripts only."""
    return f"{PREFIX}job:{job_id}"


def cancel(job_id: str) -> str:
    """String, JSON {by, at, force}: the cancel mark. Written by cancel.lua, lives as long as the job."""
    return f"{PREFIX}job:{job_id}:cancel"


def events(job_id: str) -> str:
    """List of JSON {at, text}, oldest first, the last 500. Written by the Lua scripts."""
    return f"{PREFIX}job:{job_id}:events"


def documents(job_id: str) -> str:
    """Hash: document number -> JSON row. Written by submit, report, settle and retry."""
    return f"{PREFIX}job:{job_id}:documents"


def shards(job_id: str) -> str:
    """Hash: shard number or 'publish' -> JSON row with its owner. Written by the Lua scripts."""
    return f"{PREFIX}job:{job_id}:shards"


def stages(job_id: str) -> str:
    """Hash: '<stage>:first', '<stage>:last' (epoch seconds), '<stage>:work' (seconds). Written by report."""
    return f"{PREFIX}job:{job_id}:stages"


# --- all jobs ----------------------------------------------------------------------------------------

REVISION = f"{PREFIX}revision"  # string: counter of changes. Every script that changes a job.
CHANGES = f"{PREFIX}changes"  # zset: job id -> revision of its last change. Every script.
REMOVED = f"{PREFIX}removed"  # zset: id of a deleted job -> revision, the last 10,000. delete.lua
JOBS = f"{PREFIX}jobs"  # zset: job id -> created_at. submit.lua, delete.lua
LIVE = f"{PREFIX}live"  # zset: id of a job that is not final -> created_at. Transitions.
WAITING = f"{PREFIX}waiting"  # zset: id of a queued job -> queued at. Transitions.
FINAL = f"{PREFIX}final"  # zset: id of a final job -> ended_at. Transitions; read by retention.
COUNTS = f"{PREFIX}counts"  # hash: state -> number of jobs. Transitions.
DAYS = f"{PREFIX}days"  # hash: '<days since 1970>:<final state>' -> jobs that ended so, 60 days. Transitions; janitor.
ENQUEUED = f"{PREFIX}enqueued"  # zset: '<job>:<shard>' handed to RQ and not yet claimed -> at. Scripts; janitor.
LEASES = f"{PREFIX}leases"  # zset: '<job>:<shard>' being worked on -> time its lease ends. claim, report, worker.
DELAYED = f"{PREFIX}delayed"  # zset: '<job>:<shard>' to be handed to RQ -> due at. settle.lua; janitor.

FACTS = f"{PREFIX}facts"  # stream: what happened to jobs and documents, until the janitor has rolled it up. Transitions.
FAILURES = f"{PREFIX}failures"  # stream: each document or job that failed, the last 20,000. Transitions.

RATES = f"{PREFIX}rates"  # hash: '<file ending>:documents|bytes|chunks|seconds' of what was embedded here. report.lua

# --- collections, people, processes ------------------------------------------------------------------


def publish_lock(collection: str) -> str:
    """String: token of the publish that holds the collection; expires by itself. tasks.ledger.locks"""
    return f"{PREFIX}collection:{collection}:lock"


def fence(collection: str) -> str:
    """String: counter of publish locks given out, the fencing token. tasks.ledger.locks"""
    return f"{PREFIX}collection:{collection}:fence"


def embedder_limit(fingerprint: str) -> str:
    """Hash: 'requests' and 'tokens' -> epoch seconds up to which the embedder's minute is used. limit.lua; expires."""
    return f"{PREFIX}embedder:{fingerprint}:limit"


def gates(collection: str) -> str:
    """Hash {max_failed_percent, min_documents}: what a publish to the collection must pass. control"""
    return f"{PREFIX}collection:{collection}:gates"


def submission(token: str) -> str:
    """String: id of the job that this form submission made; one day. submit.lua"""
    return f"{PREFIX}submission:{token}"


AUDIT = f"{PREFIX}audit"  # stream: who did what to what with which result, the last 100,000. control
WORKERS = f"{PREFIX}workers"  # zset: worker name -> last heartbeat. workers.worker
POOLS = f"{PREFIX}pools"  # zset: pool name -> last heartbeat. workers.pool
JANITOR = f"{PREFIX}janitor"  # string: name of the janitor whose turn it is; expires. workers.janitor

# --- RQ's, read only ---------------------------------------------------------------------------------


def rq_worker(name: str) -> str:
    """Hash of one RQ worker."""
    return f"rq:worker:{name}"


def rq_queue(name: str) -> str:
    """List of the ids that wait in one RQ queue."""
    return f"rq:queue:{name}"


def rq_job(rq_id: str) -> str:
    """Hash of one RQ job."""
    return f"rq:job:{rq_id}"


def of_job(job_id: str) -> list[str]:
    """The keys that go when a job goes."""
    return [key(job_id) for key in (job, cancel, events, documents, shards, stages)]


def for_scripts(job_id: str) -> list[str]:
    """KEYS of every transition script, in the order that scripts/prelude.lua names them."""
    return [
        *of_job(job_id),
        REVISION,
        CHANGES,
        REMOVED,
        JOBS,
        LIVE,
        WAITING,
        FINAL,
        COUNTS,
        DAYS,
        ENQUEUED,
        LEASES,
        DELAYED,
        RATES,
        FACTS,
        FAILURES,
    ]
