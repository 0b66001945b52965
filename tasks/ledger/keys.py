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

FACTS = f"{PREFIX}facts"  # stream: what happened to jobs and documents, until it is rolled up. Transitions.
FAILURES = f"{PREFIX}failures"  # stream: each document or job that failed, the last 20,000. Transitions.
ACKNOWLEDGED = f"{PREFIX}acknowledged"  # hash: cause -> JSON {by, at, note}, 2,000. tasks.ledger.failures

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


def presence(job_id: str) -> str:
    """Zset: name of a person who looks at the job -> when it was last said; expires by itself. presence.lua"""
    return f"{PREFIX}job:{job_id}:presence"


def submission(token: str) -> str:
    """String: id of the job that this form submission made; one day. submit.lua"""
    return f"{PREFIX}submission:{token}"


def allowance(person: str) -> str:
    """Hash: '<jobs|bytes>:<piece of time>' -> what one person submitted in it; expires. allowance.lua"""
    return f"{PREFIX}allowance:used:{person}"


def allowance_live(person: str) -> str:
    """Zset: id of a job that one person submitted -> when; those that ended are dropped; expires. allowance.lua"""
    return f"{PREFIX}allowance:live:{person}"


def allowance_token(person: str, token: str) -> str:
    """String: this form submission of theirs was counted already; one day. allowance.lua"""
    return f"{PREFIX}allowance:token:{person}:{token}"


def wanted(host: str) -> str:
    """Hash {size, low, high}: how many workers a host shall have; low < high sizes itself between them. control"""
    return f"{PREFIX}wanted:{host}"


SAVED_VIEWS = f"{PREFIX}saved_views"  # hash: name of a saved view -> JSON {query, sort, by, at}. tasks.ledger.saved
BELL = f"{PREFIX}bell"  # list: a mark for each delivery handed to RQ, which idle workers wait on. queues; take.lua


def worker(name: str) -> str:
    """Hash: what a worker process does and uses, a minute. workers.worker"""
    return f"{PREFIX}worker:{name}"


def pool(name: str) -> str:
    """Hash {host, size, wanted, low, high}: one pool, a minute. workers.pool"""
    return f"{PREFIX}pool:{name}"


def bulk(job_id: str) -> str:
    """List: the ids that a bulk action is for, in their order; as long as jobs are kept. tasks.bulk"""
    return f"{PREFIX}job:{job_id}:bulk"


def bulk_outcome(job_id: str) -> str:
    """Hash {cursor, done, intent, 'refused:<reason>'}: how far a bulk action is. tasks.bulk"""
    return f"{PREFIX}job:{job_id}:bulk:outcome"


def bulk_refused(job_id: str) -> str:
    """List of JSON [job id, sentence]: the first 200 that refused a bulk action. tasks.bulk"""
    return f"{PREFIX}job:{job_id}:bulk:refused"


# What happened, rolled up. The buckets of one hash lie in one span of time and go together.
HISTORY = f"{PREFIX}history"  # hash {cursor, sampled, usual}: how far the roll-up is. tasks.ledger.history
HISTORY_COLLECTIONS = f"{PREFIX}history:collections"  # zset: collection with buckets of its own -> last fact. history
USUAL = f"{PREFIX}usual"  # hash: collection -> p95 of its run seconds over the last days. tasks.ledger.history


def history(resolution: str, span: int, collection: str) -> str:
    """Hash: number of a bucket -> JSON of its figures; expires past its resolution's time. tasks.ledger.history"""
    return f"{PREFIX}history:{resolution}:{span}:{collection}"


TOKENS = f"{PREFIX}tokens"  # hash: id of a personal token -> JSON, its secret hashed. tasks.ledger.tokens
TOKENS_USED = f"{PREFIX}tokens:used"  # hash: id of a token -> epoch seconds of its last use. tasks.ledger.tokens
AUDIT = f"{PREFIX}audit"  # stream: who did what to what with which result, the last 100,000. record.lua
AUDIT_NUMBER = f"{PREFIX}audit:number"  # string: number of the newest audit row. record.lua
AUDIT_HEAD = f"{PREFIX}audit:head"  # hash {n, hash, id, number, file, size, at, trouble}: last line on disk. chain
LIMITED = f"{PREFIX}limited"  # zset: id of a job with a time limit -> when that is over. claim.lua; expire.lua
PAUSED = f"{PREFIX}paused"  # hash: our queue ('high', 'default', 'low') -> JSON {by, at, why}. control
DRAINED = f"{PREFIX}drained"  # hash: worker name -> JSON {by, at}. control; workers.pool; janitor
WRITTEN_OFF = f"{PREFIX}written_off"  # hash: worker name -> JSON {by, at}. control; workers.pool; janitor
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


RQ_QUEUES = "rq:queues"  # set: 'rq:queue:<name>' of every queue that something was ever put in
RQ_WORKERS = "rq:workers"  # set: 'rq:worker:<name>' of every worker of every program
RQ_SUSPENDED = "rq:suspended"  # string: while it is there every RQ worker of this Redis rests
# What the names of one RQ job, execution, worker and group start with; scripts join them to ids that they read.
RQ_PREFIXES = ("rq:job:", "rq:results:", "rq:executions:", "rq:execution:", "rq:worker:", "rq:group:")


def rq_dependents(rq_id: str) -> str:
    """Set of the ids of the RQ jobs that wait for one."""
    return f"rq:job:{rq_id}:dependents"


def rq_dependencies(rq_id: str) -> str:
    """Set of the ids that one RQ job waits for. The two colons are RQ's."""
    return f"rq:job::{rq_id}:dependencies"


def rq_registry(registry: str, queue: str) -> str:
    """Sorted set of one RQ registry of a queue; what runs is called 'wip' there and lists '<job>:<execution>'."""
    return f"rq:{'wip' if registry == 'started' else registry}:{queue}"


def rq_intermediate(queue: str) -> str:
    """List of what a worker has taken from a queue and not yet started."""
    return f"rq:queue:{queue}:intermediate"


def rq_listeners(queue: str) -> str:
    """Set of 'rq:worker:<name>': who takes from a queue; the dead stay in it until RQ cleans up."""
    return f"rq:workers:{queue}"


def rq_lock(kind: str, queue: str) -> str:
    """String: who schedules a queue ('scheduler-lock') or cleans its registries ('clean_registries')."""
    return f"rq:{kind}:{queue}"


def rq_commands(worker: str) -> str:
    """Channel on which an RQ worker listens for commands."""
    return f"rq:pubsub:{worker}"


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


def damaged(key: str, at: int) -> str:
    """What lay under a name of ours and was not ours, of any type; a day. tasks.repairs.forged"""
    return f"{PREFIX}damaged:{at}:{key}"


# The type of each key that there is once, and how many entries it holds at most; None where jobs or time decide.
# What is otherwise was not written by our programs, and is set aside by tasks.repairs.forged.
SHAPES: dict[str, tuple[str, int | None]] = {
    REVISION: ("string", None),
    CHANGES: ("zset", None),
    REMOVED: ("zset", 20_000),
    JOBS: ("zset", None),
    LIVE: ("zset", None),
    WAITING: ("zset", None),
    FINAL: ("zset", None),
    COUNTS: ("hash", 100),
    DAYS: ("hash", 10_000),
    ENQUEUED: ("zset", None),
    LEASES: ("zset", None),
    DELAYED: ("zset", None),
    FACTS: ("stream", None),
    FAILURES: ("stream", 100_000),
    ACKNOWLEDGED: ("hash", 10_000),
    RATES: ("hash", 2_000),
    SAVED_VIEWS: ("hash", 2_000),
    BELL: ("list", 10_000),
    HISTORY: ("hash", 100),
    HISTORY_COLLECTIONS: ("zset", 1_000),
    USUAL: ("hash", 1_000),
    TOKENS: ("hash", 10_000),
    TOKENS_USED: ("hash", 10_000),
    AUDIT: ("stream", None),
    AUDIT_NUMBER: ("string", None),
    AUDIT_HEAD: ("hash", 100),
    LIMITED: ("zset", None),
    PAUSED: ("hash", 100),
    DRAINED: ("hash", 10_000),
    WRITTEN_OFF: ("hash", 10_000),
    WORKERS: ("zset", 20_000),
    POOLS: ("zset", 20_000),
    JANITOR: ("string", None),
}
# The same of each job's keys, as of_job gives them: hash, mark, events, documents, shards, stages.
SHAPES_OF_JOB: tuple[tuple[str, int | None], ...] = (
    ("hash", 1_000),
    ("string", None),
    ("list", 2_000),
    ("hash", None),
    ("hash", None),
    ("hash", 1_000),
)
