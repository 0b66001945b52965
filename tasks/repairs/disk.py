"""What is on disk and not on the record: committed publishes, staging of jobs that are over, half-written files."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tasks.ledger import Ledger, keys, queues, store
from tasks.ledger.records import text, whole
from tasks.ledger.states import FINAL, State
from tasks.repairs.finding import Check, Finding, first
from tasks.snapshots import history
from tasks.snapshots.shelf import STAGING, Shelf

COLLECTIONS = 50  # looked at in one turn
MOVES = 50  # of a collection's history
HALF_WRITTEN_S = 3600.0


class UnrecordedPublishes(Check):
    """Snapshots whose job does not know of them: nothing was published, it says, or it counts fewer attempts."""

    name = "publishes that are not on the record"

    def __init__(self) -> None:
        self._at = 0

    def find(self, ledger: Ledger) -> list[Finding]:
        return first(self._find(ledger))

    def _find(self, ledger: Ledger) -> Iterator[Finding]:
        shelf = Shelf(ledger.settings.data)
        names = [row.name for row in shelf.collections()]
        piece = names[self._at : self._at + COLLECTIONS]
        self._at = self._at + COLLECTIONS if self._at + COLLECTIONS < len(names) else 0
        for name in piece:
            made: dict[str, history.Move] = {}
            for move in history.moves(shelf.folder(name))[-MOVES:]:
                if move.how in ("published", "recovered") and move.job:
                    made[move.job] = max(move, made.get(move.job, move), key=lambda one: one.attempt)
            with ledger.redis.pipeline(transaction=False) as pipe:
                for job_id in made:
                    pipe.hmget(keys.job(job_id), "state", "attempt", "published_attempt")
                answers = pipe.execute() if made else []
            for move, (state, attempt, published) in zip(made.values(), answers, strict=True):
                if state is not None and whole(attempt) < move.attempt:
                    told = f"counts {whole(attempt)} attempts, and snapshot {move.version} of {name} is of its attempt"
                    yield Finding(f"Job {move.job} {told} {move.attempt}.", ("attempt", move.job, str(move.attempt)))
                elif text(state) in (State.FAILED, State.CANCELED) and whole(published) < move.attempt:
                    told = f"is {text(state)}, and has published snapshot {move.version} of {name}"
                    yield Finding(f"Job {move.job} {told}.", ("record", move.job))

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        what, job_id, *rest = finding.about
        if what == "attempt":
            ledger.transition("advance", job_id, rest[0], "0", "0", extra=(keys.fence(""),))
            return
        # Its last step once more, which finds the snapshot and records it.
        attempt, priority = ledger.redis.hmget(keys.job(job_id), "attempt", "priority")
        rq_id = store.new_rq_id()
        reply = ledger.transition("retry", job_id, "the janitor", whole(attempt), "[]", "[]", 1, json.dumps([rq_id]))
        if reply[0] == "ok":
            queues.deliver(ledger, [store.Delivery(job_id, store.PUBLISH, rq_id)], text(priority) or "default")


class DeadStaging(Check):
    """Staging folders of jobs that are over or gone."""

    name = "staging of dead jobs"
    every_s = 60.0

    def find(self, ledger: Ledger) -> list[Finding]:
        return first(self._find(ledger))

    def _find(self, ledger: Ledger) -> Iterator[Finding]:
        for folder in Shelf(ledger.settings.data).root.glob(f"*/{STAGING}*"):
            job_id = folder.name.removeprefix(STAGING)
            if self._dead(ledger, job_id):
                told = f"The collection {folder.parent.name} holds what job {job_id} had half made"
                yield Finding(f"{told}, and that job is over.", (folder.parent.name, job_id))

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        name, job_id = finding.about
        if self._dead(ledger, job_id):
            Shelf(ledger.settings.data).discard(name, job_id)

    def _dead(self, ledger: Ledger, job_id: str) -> bool:
        state = text(ledger.redis.hget(keys.job(job_id), "state"))
        return not state or state in FINAL


class HalfWritten(Check):
    """Files that a program was writing when it died, untouched for an hour."""

    name = "half-written files"
    every_s = 600.0
    quiet = True
    PATTERNS = ("uploads/_tmp-*", "artifacts/*/.tmp-*", "journal/_new-*")

    def find(self, ledger: Ledger) -> list[Finding]:
        return first(self._find(ledger.settings.data))

    def _find(self, data: Path) -> Iterator[Finding]:
        before = time.time() - HALF_WRITTEN_S
        for pattern in self.PATTERNS:
            for path in data.glob(pattern):
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime < before:
                        told = path.relative_to(data).as_posix()
                        yield Finding(f"{told} was left by a program that died.", (told,))

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        (ledger.settings.data / finding.about[0]).unlink(missing_ok=True)
