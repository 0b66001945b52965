"""Small scenes on a ledger, the same each time: a zombie wakes, shards count down, a cancel, a part handed back.

Workers are played step by step through tasks.ledger.store, as a work horse calls it, so that each scene takes
milliseconds. What is seen and found goes into a history as in a long run, and the same checks judge it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tasks.errors import Canceled, Fenced
from tasks.ledger import control, keys, queues, store
from tasks.ledger.records import text
from tasks.ledger.states import DocumentState
from tests.chaos.history import History
from tests.chaos.world import World
from tests.dumping import dumped
from tests.factories import new_documents, rq_id_of, submitted
from tests.waiting import wait_until

BATCHES = 5


class Scene:
    """A ledger, its history, and hands that do what workers do."""

    def __init__(self, world: World, history: History) -> None:
        self.ledger = world.ledger
        self.history = history

    def submit(self, count: int) -> str:
        kinds = [{"name": document.name, "kind": "good"} for document in new_documents(count)]
        serial = sum(row["what"] == "asked" for row in self.history.rows) + 1
        self.history.note("asked", action="submit", serial=serial, collection="contracts", documents=kinds)
        job = submitted(self.ledger, count, title=f"job {serial}")
        self.history.note("answered", action="submit", serial=serial, job=job, hands=0, outcome="ok")
        return job

    def claim(self, job: str, shard: str) -> store.Claim:
        claim = store.claim(self.ledger, job, shard, rq_id_of(self.ledger, job, shard), "w1")
        assert claim is not None, f"shard {shard} of job {job} cannot be claimed"
        return claim

    def work(self, claim: store.Claim) -> None:
        """All documents of a claim, and its settling."""
        reporter = store.Reporter(self.ledger, claim)
        for row in claim.documents:
            reporter.document(row.number, DocumentState.COMPLETED, chunks=1)
        reporter.check(now=True)
        store.settle(self.ledger, claim.job, claim.shard, claim.fence, "done")

    def work_on(self, job: str) -> None:
        """Everything of a job that is on its way, to its end; the publish too."""
        while waiting := sorted(name for name, row in self.shards(job).items() if row["state"] == "queued"):
            claim = self.claim(job, waiting[0])
            if claim.shard == store.PUBLISH:
                store.close(self.ledger, job, claim.fence, snapshot="000001")
                return
            self.work(claim)

    def shards(self, job: str) -> dict[str, dict[str, Any]]:
        found = self.ledger.redis.hgetall(keys.shards(job))
        return {text(name): json.loads(raw) for name, raw in found.items()}

    def lose(self, claim: store.Claim) -> None:
        """What the janitor does once the lease has ended."""
        store.settle(self.ledger, claim.job, claim.shard, claim.attempt, "lost", how="it stopped reporting")

    def wake(self, zombie: store.Claim, does: str, act: Callable[[], object]) -> None:
        """A worker goes on that was given up meanwhile."""
        before, fenced = dumped(self.ledger.redis), False
        try:
            act()
        except Fenced:
            fenced = True
        after = dumped(self.ledger.redis)
        changed = sorted(key for key in before | after if before.get(key) != after.get(key))
        self.history.note("zombie", job=zombie.job, does=does, fenced=fenced, changed=changed)

    def withdraw(self) -> None:
        """The deliveries that no RQ worker is there to take."""
        for name in queues.names(self.ledger):
            self.ledger.redis.delete(keys.rq_queue(name))


def a_zombie_reports(scene: Scene) -> None:
    job = scene.submit(1)
    zombie = scene.claim(job, "0")
    scene.lose(zombie)
    reporter = store.Reporter(scene.ledger, zombie)
    reporter.progress(0.5)
    scene.wake(zombie, "report", lambda: reporter.check(now=True))
    scene.work_on(job)


def a_zombie_settles(scene: Scene) -> None:
    job = scene.submit(2)
    zombie = scene.claim(job, "0")
    scene.lose(zombie)
    scene.work(scene.claim(job, "0"))
    scene.wake(zombie, "settle", lambda: store.settle(scene.ledger, job, "0", zombie.fence, "done"))
    scene.work_on(job)


def a_zombie_closes(scene: Scene) -> None:
    job = scene.submit(1)
    scene.work(scene.claim(job, "0"))
    zombie = scene.claim(job, store.PUBLISH)
    scene.lose(zombie)
    scene.wake(zombie, "close", lambda: store.close(scene.ledger, job, zombie.fence, snapshot="000007"))
    scene.work_on(job)


def a_zombie_meets_its_successor(scene: Scene) -> None:
    job = scene.submit(1)
    zombie = scene.claim(job, "0")
    scene.lose(zombie)
    successor = scene.claim(job, "0")
    reporter = store.Reporter(scene.ledger, zombie)
    reporter.progress(0.5)
    scene.wake(zombie, "report", lambda: reporter.check(now=True))
    scene.wake(zombie, "settle", lambda: store.settle(scene.ledger, job, "0", zombie.fence, "done"))
    scene.work(successor)
    scene.work_on(job)


def shards_count_down(scene: Scene) -> None:
    scene.work_on(scene.submit(9))


def a_cancel_while_it_runs(scene: Scene) -> None:
    job = scene.submit(1)
    claim = scene.claim(job, "0")
    reporter = store.Reporter(scene.ledger, claim)
    control.cancel(scene.ledger, job, by="bo")
    batches = 0
    try:
        while batches < BATCHES:
            batches += 1
            reporter.check(now=True)
        store.settle(scene.ledger, job, "0", claim.fence, "done")
    except Canceled:
        store.settle(scene.ledger, job, "0", claim.fence, "canceled", how="at a checkpoint")
    scene.history.note("stopped", job=job, batches=batches)


def a_part_is_handed_back(scene: Scene) -> None:
    job = scene.submit(1)
    claim = scene.claim(job, "0")
    reporter = store.Reporter(scene.ledger, claim)
    reporter.progress(0.8)
    reporter.check(now=True)
    store.settle(scene.ledger, job, "0", claim.fence, "released")
    again = scene.claim(job, "0")
    reporter = store.Reporter(scene.ledger, again)
    reporter.progress(0.1)
    reporter.check(now=True)
    store.settle(scene.ledger, job, "0", again.fence, "released")
    scene.work_on(job)


SCENES: tuple[Callable[[Scene], None], ...] = (
    a_zombie_reports,
    a_zombie_settles,
    a_zombie_closes,
    a_zombie_meets_its_successor,
    shards_count_down,
    a_cancel_while_it_runs,
    a_part_is_handed_back,
)


def seen(history: History, scene: Scene) -> None:
    """Wait until the witness has told of everything that was written."""
    mark = scene.submit(1)
    control.cancel(scene.ledger, mark, by="bo")

    def told() -> bool:
        return any(row.get("job") == mark and row.get("state") == "canceled" for row in history.rows[-20:])

    wait_until(told, what="the witness")
    scene.withdraw()
