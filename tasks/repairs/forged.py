"""What lies under our names in Redis and was not written by our programs: set aside for a day, then forgotten.

Readers pass over it (`tasks.ledger.client`), but a write to a key of another type fails, and an index that holds
what is no job is walked for nothing. Nothing of it is decoded here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tasks.ledger import Ledger, fleet, foreign, journal, keys, queues
from tasks.ledger.records import text
from tasks.repairs.finding import Check, Finding, Round, first
from tasks.repairs.forgotten import REVISIONS_AHEAD, is_counter

JOBS_AT_ONCE = 200
MEMBERS_AT_ONCE = 2_000
PROCESSES_AT_ONCE = 500
SHOWN = 120
KEPT_S = 86_400

_JOB = re.compile(rb"[!-~]{1,200}")
_SHARD = re.compile(rb"[!-~]{1,200}:[!-~]{1,40}")
_INDEXES = (keys.LIVE, keys.WAITING, keys.JOBS, keys.FINAL, keys.CHANGES, keys.LIMITED)
_LISTS_OF_SHARDS = (keys.LEASES, keys.ENQUEUED, keys.DELAYED)


class ForgedKeys(Check):
    """Keys of ours with another type, or with far more in them than we ever put there; and a revision that is none."""

    name = "keys that hold something else"
    every_s = 2.0

    def __init__(self) -> None:
        self._rounds = [Round(key) for key in (keys.LIVE, keys.JOBS)]

    def find(self, ledger: Ledger) -> list[Finding]:
        return first(self._find(ledger))

    def _find(self, ledger: Ledger) -> Iterator[Finding]:
        shapes = dict(keys.SHAPES)
        shapes |= _of_rq(ledger) | _of_processes(ledger)
        for job_id in {one for each in self._rounds for one in each.next(ledger, JOBS_AT_ONCE)}:
            shapes.update(zip(keys.of_job(job_id), keys.SHAPES_OF_JOB, strict=True))
        for key, wrong in self._wrong(ledger, shapes).items():
            yield Finding(f"The key {key[:SHOWN]} {wrong}: our programs did not write that.", ("key", key))
        kind, revision = ledger.redis.type(keys.REVISION), ledger.redis.get(keys.REVISION)
        if text(kind) == "string" and not is_counter(revision):
            yield Finding("The revision is no number.", ("revision",))

    def _wrong(self, ledger: Ledger, shapes: dict[str, tuple[str, int | None]]) -> dict[str, str]:
        arguments: list[str | int | float] = []
        for key, (kind, most) in shapes.items():
            arguments += [key, kind, "" if most is None else most]
        replies = ledger.run("shapes", [], arguments)
        return {key: text(wrong) for key, wrong in zip(shapes, replies, strict=True) if wrong}

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        what, *about = finding.about
        if what == "key" and about[0] != keys.REVISION:
            aside = keys.damaged(about[0], int(ledger.now()))
            with ledger.redis.pipeline(transaction=True) as pipe:
                pipe.rename(about[0], aside)
                pipe.expire(aside, KEPT_S)
                pipe.execute(raise_on_error=False)  # it may be gone by now
            return
        least = journal.seen(ledger.settings).revision + REVISIONS_AHEAD
        ledger.transition("advance", "", "0", least, "0", extra=(keys.fence(""),))


def _of_rq(ledger: Ledger) -> dict[str, tuple[str, int | None]]:
    """What RQ keeps of our queues: of another type it is of no use to RQ either, and no worker gets past it."""
    shapes: dict[str, tuple[str, int | None]] = {keys.RQ_QUEUES: ("set", None), keys.RQ_WORKERS: ("set", None)}
    for name in queues.names(ledger):
        shapes[keys.rq_queue(name)] = shapes[keys.rq_intermediate(name)] = ("list", None)
        shapes[keys.rq_listeners(name)] = ("set", None)
        shapes |= {keys.rq_lock(kind, name): ("string", None) for kind in ("scheduler-lock", "clean_registries")}
        shapes |= {keys.rq_registry(registry, name): ("zset", None) for registry in foreign.REGISTRIES[1:]}
    return shapes


def _of_processes(ledger: Ledger) -> dict[str, tuple[str, int | None]]:
    """What workers and pools that live say of themselves, and what they share."""
    names = fleet.worker_names(ledger)[:PROCESSES_AT_ONCE]
    pools = fleet.pool_names(ledger)[:PROCESSES_AT_ONCE]
    own = [key(name) for name in names for key in (keys.worker, keys.rq_worker)]
    shared = keys.embedder_limit(ledger.settings.embedder_fingerprint)
    return dict.fromkeys((*own, *map(keys.pool, pools), shared), ("hash", 1000))


class ForgedMembers(Check):
    """What stands in an index of jobs or shards, or in a registry of our queues, and can be the id of none."""

    name = "entries that are no jobs"
    every_s = 5.0

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._found: dict[tuple[str, str], bytes] = {}

    def find(self, ledger: Ledger) -> list[Finding]:
        self._found = {}
        return first(self._find(ledger))

    def _find(self, ledger: Ledger) -> Iterator[Finding]:
        shapes = dict.fromkeys(_INDEXES, _JOB) | dict.fromkeys(_LISTS_OF_SHARDS, _SHARD)
        for name in queues.names(ledger):
            # RQ's own cleaning decodes what stands there, and ends at what it cannot.
            shapes |= {keys.rq_registry(registry, name): _JOB for registry in foreign.REGISTRIES[1:]}
            shapes[keys.rq_registry("started", name)] = _SHARD
        for index, shape in shapes.items():
            at = self._at.get(index, 0)
            members = ledger.redis.zrange(index, at, at + MEMBERS_AT_ONCE - 1)
            self._at[index] = at + MEMBERS_AT_ONCE if len(members) == MEMBERS_AT_ONCE else 0
            for member in members:
                if isinstance(member, bytes) and not shape.fullmatch(member):
                    shown = f"{member[:SHOWN]!r}"[2:-1]
                    self._found[index, shown] = member
                    yield Finding(f"{index} lists {shown}, which is no job of ours.", (index, shown))

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        index, shown = finding.about
        member = self._found.get((index, shown))
        if member is not None:
            ledger.redis.zrem(index, member)
