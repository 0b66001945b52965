"""`ingestboard doctor`: what works here and what does not, each with what was found."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import redis

from tasks import settings as settings_of
from tasks.cli.app import ledger
from tasks.cli.show import size
from tasks.errors import IngestboardError
from tasks.ledger import keys, monitor, queues
from tasks.settings import Settings, masked

if TYPE_CHECKING:
    from tasks.ledger import Ledger

Verdict = Literal["works", "warns", "fails"]
LITTLE_BYTES = 1_000_000_000
TOO_LITTLE_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, whether it works, and what was found, in a sentence."""

    check: str
    verdict: Verdict
    found: str


def examine() -> list[Finding]:
    """Every check, in the order in which one depends on the other."""
    findings = [_python()]
    try:
        using = settings_of.current()
    except IngestboardError as error:
        return [*findings, Finding("settings", "fails", str(error))]
    findings += [Finding("settings", "works", f"DATA is {using.data}."), *_data(using)]
    try:
        with ledger() as connected:
            findings += _redis(connected)
            findings += _work(connected)
    except IngestboardError as error:
        findings.append(Finding("redis", "fails", str(error)))
    except redis.RedisError as error:
        findings.append(Finding("redis", "fails", f"It stopped answering ({type(error).__name__})."))
    findings.append(_embedder(using))
    return findings


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    return Finding("python", "works" if good else "fails", f"Python {platform.python_version()}; 3.11 is the least.")


def _data(using: Settings) -> Iterator[Finding]:
    folder = using.data
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\n")
            probe.flush()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Finding("data", "fails", f"{using.data} cannot be written ({error.strerror}).")
        return
    yield Finding("data", "works", f"{using.data} can be written.")
    verdict: Verdict = "fails" if free < TOO_LITTLE_BYTES else "warns" if free < LITTLE_BYTES else "works"
    yield Finding("disk", verdict, f"{size(free)} are free.")


def _redis(connected: Ledger) -> Iterator[Finding]:
    version = connected.redis.info("server").get("redis_version", "unknown")
    address = masked(connected.settings.redis_address())
    yield Finding("redis", "works", f"Version {version} answers at {address}.")
    try:
        # One name a call: several in one are new in Redis 7.
        found = {
            name: value
            for asked in ("appendonly", "maxmemory-policy", "maxmemory")
            for name, value in connected.redis.config_get(asked).items()
        }
    except redis.RedisError:
        yield Finding("redis persistence", "warns", "The server does not tell; make sure that appendonly is on.")
        return
    told = {_text(name): _text(value) for name, value in found.items()}
    if told.get("appendonly") == "yes":
        yield Finding("redis persistence", "works", "appendonly is on.")
    else:
        yield Finding("redis persistence", "warns", "appendonly is off: a restart of the server forgets the jobs.")
    policy = told.get("maxmemory-policy", "noeviction")
    if policy != "noeviction" and told.get("maxmemory", "0") != "0":
        yield Finding("redis memory", "fails", f"The policy {policy} throws jobs away; set it to noeviction.")


def _work(connected: Ledger) -> Iterator[Finding]:
    workers = monitor.workers(connected)
    pools = monitor.pools(connected)
    count = f"{len(workers)} alive" + (f", in {len(pools)} pools." if len(pools) != 1 else ", in 1 pool.")
    none = "None is alive; `ingestboard worker` starts some."
    yield Finding("workers", "works" if workers else "fails", count if workers else none)
    heard = {queue for worker in workers for queue in worker.queues}
    for name in queues.names(connected):
        waiting = int(connected.redis.llen(keys.rq_queue(name)))
        if waiting and name not in heard:
            yield Finding(f"queue {name}", "fails", f"{waiting} wait and no worker takes from it.")
        else:
            yield Finding(f"queue {name}", "works", f"{waiting} wait.")


def _embedder(using: Settings) -> Finding:
    from tasks.ingest.embed import load_embedder  # heavy, and the only check that needs it

    try:
        load_embedder(using)
    except IngestboardError as error:
        return Finding("embedder", "fails", str(error))
    return Finding("embedder", "works", f"{using.embedder} loads.")


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
