"""Steering what does the work: queues paused, workers drained or written off, hosts sized, collections gated."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tasks.access import PROGRAM, Right
from tasks.errors import (
    ActionRefused,
    CollectionNameRefused,
    Fenced,
    JobNotFound,
    SteeringRefused,
    SubmissionRefused,
    WorkerNotFound,
)
from tasks.ledger import fleet, keys, locks, monitor, queues, store
from tasks.ledger.connection import Ledger
from tasks.ledger.control import audit
from tasks.ledger.control.permission import permit
from tasks.ledger.control.submission import COLLECTION_NAME, INGEST, REBUILD, counted
from tasks.ledger.records import Gates, Receipt, fields_of, number, text, whole
from tasks.ledger.states import Action, State, allows, states_allowing
from tasks.settings import QUEUES

HOST_MOST = 512  # workers of one host
WRITTEN_OFF_HOW = "by writing off its worker"
REMEMBERED_S = 7 * 86_400  # how long a worker that was written off may sleep and is still told when it wakes


def pause(ledger: Ledger, queue: str, *, by: str = "", why: str = "") -> str:
    """Let workers start nothing more from one of our queues; the sentence of its audit row. Raises SteeringRefused."""
    by = permit(ledger, Right.PAUSE, queue, by=by, action="pause")
    _queue(queue)
    note = json.dumps({"by": by or "someone", "at": ledger.now(), "why": why})
    new = bool(ledger.redis.hsetnx(keys.PAUSED, queue, note))
    if not new:
        raise SteeringRefused(reason=f"the queue {queue} is paused already; resume it to let its jobs start")
    sentence = f"The queue {queue} is paused: what runs goes on, and nothing of it starts until it is resumed."
    audit.record(ledger, "pause", queue, by=by, result=sentence)
    return sentence


def resume(ledger: Ledger, queue: str, *, by: str = "") -> str:
    """Let workers take from the queue again. Raises SteeringRefused."""
    by = permit(ledger, Right.PAUSE, queue, by=by, action="resume")
    _queue(queue)
    if not ledger.redis.hdel(keys.PAUSED, queue):
        raise SteeringRefused(reason=f"the queue {queue} is not paused")
    queues.ring(ledger.redis, whole(ledger.redis.llen(keys.rq_queue(queues.queue_name(ledger, queue)))))
    sentence = f"The queue {queue} goes on."
    audit.record(ledger, "resume", queue, by=by, result=sentence)
    return sentence


def drain(ledger: Ledger, worker: str, *, by: str = "") -> str:
    """Let a worker end what it has in hand and take nothing more. Raises WorkerNotFound or SteeringRefused."""
    by = permit(ledger, Right.DRAIN, worker, by=by, action="drain")
    _worker(ledger, worker)
    if not ledger.redis.hsetnx(keys.DRAINED, worker, _note(ledger, by)):
        raise SteeringRefused(reason=f"the worker {worker} is drained already")
    sentence = f"Worker {worker} ends what it has in hand and takes nothing more."
    audit.record(ledger, "drain", worker, by=by, result=sentence)
    return sentence


def undrain(ledger: Ledger, worker: str, *, by: str = "") -> str:
    """Let a drained worker take work again. Raises SteeringRefused."""
    by = permit(ledger, Right.DRAIN, worker, by=by, action="undrain")
    if not ledger.redis.hdel(keys.DRAINED, worker):
        raise SteeringRefused(reason=f"the worker {worker} is not drained")
    sentence = f"Worker {worker} takes work again."
    audit.record(ledger, "undrain", worker, by=by, result=sentence)
    return sentence


def scale(ledger: Ledger, host: str, size: int, *, by: str = "", low: int = 0, high: int = 0) -> str:
    """How many workers the pools of a host shall have; with low < high they size themselves between the two.

    Raises SteeringRefused.
    """
    by = permit(ledger, Right.SCALE, host, by=by, action="scale")
    alive = {pool.host for pool in fleet.pools(ledger) if pool.alive}
    if host not in alive:
        known = f"pools are on {', '.join(sorted(alive))}" if alive else "no pool is alive; start `python -m workers`"
        raise SteeringRefused(reason=f"no worker pool is on the host {host}; {known}")
    bounded = low or high
    if not 0 <= size <= HOST_MOST or (bounded and not 0 <= low < high <= HOST_MOST):
        raise SteeringRefused(
            reason=f"a pool has 0 to {HOST_MOST} workers, and bounds are two of these, the lower one first"
        )
    if bounded:
        size = min(high, max(low, size))
    ledger.redis.hset(keys.wanted(host), mapping={"size": size, "low": low, "high": high})
    itself = f", and sizes itself between {low} and {high}" if bounded else ""
    sentence = f"The pool on {host} goes to {counted(size, 'worker')}{itself}; one that works ends its part first."
    audit.record(ledger, "scale", host, by=by, result=sentence)
    return sentence


def write_off(ledger: Ledger, worker: str, *, by: str = "") -> str:
    """Give up a worker that does not answer: what it has in hand goes on elsewhere, and it can write nothing more.

    Raises WorkerNotFound.
    """
    by = permit(ledger, Right.WRITE_OFF, worker, by=by, action=Action.WRITE_OFF.value)
    held = _in_hand(ledger, worker)
    if not held:
        _worker(ledger, worker)
    sentence = _given_up(ledger, worker, held, by=by)
    audit.record(ledger, Action.WRITE_OFF.value, worker, by=by, result=sentence)
    return sentence


def write_off_workers_of(ledger: Ledger, job_id: str, *, by: str = "") -> Receipt:
    """Give up the workers that have a job in hand and do not answer: all of one that should have stopped, else those
    that are gone. Raises JobNotFound or ActionRefused.
    """
    by = permit(ledger, Right.WRITE_OFF, job_id, by=by, action=Action.WRITE_OFF.value)
    row = monitor.job(ledger, job_id)
    if not allows(row.state, Action.WRITE_OFF):
        raise ActionRefused(
            job=job_id,
            state=row.state.value,
            action="taken from its worker",
            allowed=states_allowing(Action.WRITE_OFF),
        )
    alive = set() if row.state is State.CANCELING else set(fleet.worker_names(ledger))
    holders = sorted({text(shard.get("worker")) for shard in _shards(ledger, job_id) if _runs(shard)} - alive)
    if not holders:
        raise SteeringRefused(reason=f"the workers of job {job_id} are alive; force the job to stop instead")
    for worker in holders:
        result = _given_up(ledger, worker, _in_hand(ledger, worker), by=by)
        audit.record(ledger, Action.WRITE_OFF.value, worker, by=by, result=result)
    sentence = f"{counted(len(holders), 'worker')} of job {job_id} written off; the job goes on without."
    after = monitor.job(ledger, job_id)
    if after.state is State.CANCELED:
        sentence = f"Job {job_id} is canceled; {counted(len(holders), 'worker')} that did not answer was written off."
    audit.record(ledger, Action.WRITE_OFF.value, job_id, by=by, result=sentence)
    return Receipt(job_id, Action.WRITE_OFF.value, after.state, sentence)


def forget_workers(ledger: Ledger) -> None:
    """Notes about workers that are long gone go. For the janitor."""
    permit(ledger, Right.UPKEEP, "workers")
    with ledger.redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.DRAINED)
        pipe.hgetall(keys.WRITTEN_OFF)
        pipe.zrange(keys.WORKERS, 0, -1)
        drained, written_off, known = pipe.execute()
    there = set(known)
    if gone := [name for name in drained if name not in there]:
        ledger.redis.hdel(keys.DRAINED, *gone)
    oldest = ledger.now() - REMEMBERED_S
    if old := [name for name, raw in written_off.items() if name not in there and _at(raw) < oldest]:
        ledger.redis.hdel(keys.WRITTEN_OFF, *old)


def set_gates(ledger: Ledger, collection: str, gates: Gates, *, by: str = "") -> str:
    """Set what a publish to the collection must pass; the sentence of its audit row. Raises CollectionNameRefused."""
    by = permit(ledger, Right.SET_GATES, collection, by=by, action="set gates")
    if not COLLECTION_NAME.fullmatch(collection):
        raise CollectionNameRefused(name=collection)
    monitor.must_see(ledger, collection)
    if not (0 <= gates.max_failed_percent <= 100 and gates.min_documents >= 0):
        raise SubmissionRefused(reason="a gate takes a share of 0 to 100 percent and a number of documents")
    if gates.open:
        ledger.redis.delete(keys.gates(collection))
        sentence = f"{collection} has no gates now: every publish goes through."
    else:
        ledger.redis.hset(
            keys.gates(collection),
            mapping={"max_failed_percent": gates.max_failed_percent, "min_documents": gates.min_documents},
        )
        reasons = [f"more than {gates.max_failed_percent:g} percent of a job failed"]
        if gates.min_documents:
            reasons.append(f"not at least {counted(gates.min_documents, 'document')} would be there")
        sentence = f"Publishes to {collection} are held back when {' or '.join(reasons)}."
    audit.record(ledger, "set gates", collection, by=by, result=sentence)
    return sentence


def _given_up(ledger: Ledger, worker: str, held: Sequence[tuple[str, str]], *, by: str) -> str:
    # First the mark, so that it takes nothing new; then what it has.
    ledger.redis.hset(keys.WRITTEN_OFF, worker, _note(ledger, by))
    taken = sum(_take_back(ledger, worker, job_id, shard) for job_id, shard in held)
    parts = f"{counted(taken, 'part')} of jobs that it had in hand" if taken else "It had nothing in hand"
    rest = f"{parts} {'goes' if taken == 1 else 'go'} on elsewhere." if taken else f"{parts}."
    return f"Worker {worker} is written off and can write nothing more. {rest}"


def _take_back(ledger: Ledger, worker: str, job_id: str, shard: str) -> bool:
    """Fence one shard off and hand it to another worker; whether the worker still had it.

    A publish is left to the janitor, who sees on disk whether it had committed.
    """
    reply = ledger.transition("write_off", job_id, shard, worker, store.new_rq_id())
    if reply[0] != "ok":
        return False
    attempt, before = whole(reply[1]), whole(reply[2])
    try:
        # Whoever wrote the worker off: what it had in hand of jobs that they do not see goes on as well.
        row = monitor.job(ledger.held_by(PROGRAM), job_id)
        if shard == store.PUBLISH and row.kind in (INGEST, REBUILD):
            locks.free(ledger, row.collection, locks.holder(job_id, before))
            return True
        canceled = bool(ledger.redis.exists(keys.cancel(job_id)))
        how = WRITTEN_OFF_HOW if canceled else "it was written off"
        delivery = store.settle(ledger, job_id, shard, attempt, "canceled" if canceled else "lost", how=how)
        if delivery is not None:
            queues.deliver(ledger, [delivery], row.priority)
    except (Fenced, JobNotFound):
        pass  # the janitor was faster
    return True


def _in_hand(ledger: Ledger, worker: str) -> list[tuple[str, str]]:
    """Job and shard of what a worker has in hand."""
    pairs = [text(member).rpartition(":") for member in ledger.redis.zrange(keys.LEASES, 0, -1)]
    with ledger.redis.pipeline(transaction=False) as pipe:
        for job_id, _, shard in pairs:
            pipe.hget(keys.shards(job_id), shard)
        rows = [_decoded(raw) for raw in pipe.execute()] if pairs else []
    return [
        (job_id, shard)
        for (job_id, _, shard), row in zip(pairs, rows, strict=True)
        if _runs(row) and row.get("worker") == worker
    ]


def _shards(ledger: Ledger, job_id: str) -> list[dict[str, object]]:
    return [_decoded(raw) for raw in ledger.redis.hvals(keys.shards(job_id))]


def _runs(row: dict[str, object]) -> bool:
    return row.get("state") == "running" and bool(row.get("worker"))


def _decoded(raw: bytes | str | None) -> dict[str, object]:
    return fields_of(raw)


def _at(raw: bytes) -> float:
    return number(_decoded(raw).get("at"))


def _note(ledger: Ledger, by: str) -> str:
    return json.dumps({"by": by or "someone", "at": ledger.now()})


def _queue(queue: str) -> None:
    if queue not in QUEUES:
        raise SteeringRefused(reason=f"there is no queue {queue}; there are {', '.join(QUEUES)}")


def _worker(ledger: Ledger, worker: str) -> None:
    if ledger.redis.zscore(keys.WORKERS, worker) is None:
        raise WorkerNotFound(worker=worker)
