"""`ingestboard doctor`: what works here and what does not, each with what was found."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import redis

from tasks import confinement, repairs
from tasks import settings as settings_of
from tasks.access import sign_in
from tasks.cli.app import ledger
from tasks.cli.show import size
from tasks.errors import IngestboardError, NoSignIn
from tasks.ledger import activity, chain, fleet, keys, monitor, queues, trouble
from tasks.settings import Settings, masked

if TYPE_CHECKING:
    from tasks.ledger import Ledger

Verdict = Literal["works", "warns", "fails"]
SHOWN = 5  # findings of one check
REPAIRS_READ = 1_000
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
    findings += [Finding("settings", "works", f"DATA is {using.data}."), _sign_in(using), *_data(using)]
    try:
        with ledger() as connected, connected.hurried():
            findings += _redis(connected)
            findings += _work(connected)
            if connected.person.limited:
                findings.append(Finding("repairs", "warns", "They are looked for by who sees every collection."))
            else:
                findings += _repairs(connected)
                findings += _record(connected)
    except IngestboardError as error:
        findings.append(Finding("redis", "fails", str(error)))
    except redis.RedisError as error:
        findings.append(Finding("redis", "fails", f"It stopped answering ({trouble.reason(error)})."))
    findings += [_readers(using), _embedder(using)]
    return findings


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    return Finding("python", "works" if good else "fails", f"Python {platform.python_version()}; 3.11 is the least.")


def _sign_in(using: Settings) -> Finding:
    """Whether the board would start as it is set here, and who signs people in then."""
    try:
        sign_in.ready(using)
    except NoSignIn as error:
        return Finding("sign-in", "warns", str(error))  # of no account on a host that only works
    except IngestboardError as error:
        return Finding("sign-in", "fails", str(error))
    told = {
        "local": "Nobody signs in; the board listens on this machine alone.",
        "oidc": "An OpenID provider signs people in.",
        "proxy": f"A proxy signs people in, believed from {', '.join(using.proxies)}.",
    }
    return Finding("sign-in", "works", told[using.auth])


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
    pools = fleet.pool_names(connected)
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


def _repairs(connected: Ledger) -> Iterator[Finding]:
    """What the janitor would repair in its next turn; here it is only looked for."""
    well = True
    for check in repairs.checks(thorough=True):
        try:
            found = check.find(connected)
        except OSError as error:
            found = []
            yield Finding(check.name, "fails", f"This cannot be looked at ({error.strerror or type(error).__name__}).")
        if not found or check.quiet:
            continue
        well = False
        for one in found[:SHOWN]:
            yield Finding(check.name, "warns", f"{one.sentence} The janitor would repair it.")
        if len(found) > SHOWN:
            yield Finding(check.name, "warns", f"So it is with {len(found) - SHOWN} more.")
    if well:
        yield Finding("repairs", "works", "There is nothing to repair.")
    since = datetime.fromtimestamp(connected.now(), UTC) - timedelta(days=1)
    done = activity.page(connected, activity.Wanted(action="repair", since=since), limit=REPAIRS_READ).rows
    if done:
        many = "1 repair" if len(done) == 1 else f"{len(done)} repairs"
        yield Finding("repaired", "works", f"{many} in the last day, the last one: {done[0].result}")


def _record(connected: Ledger) -> Iterator[Finding]:
    """The record on disk: its last file, and whether the copy keeps up."""
    try:
        found = chain.standing(connected)
    except OSError as error:
        yield Finding("record", "fails", f"Its files cannot be read ({error.strerror or type(error).__name__}).")
        return
    for fault in found.faults[:SHOWN]:
        yield Finding("record", "fails", f"{fault} `ingestboard audit verify` looks at all of it.")
    if found.behind_s > chain.BEHIND_S:
        why = f" ({found.trouble})" if found.trouble else "; a worker pool makes it, so see that one runs"
        yield Finding("record", "fails", f"The copy in DATA/audit is {found.behind_s:.0f} s behind{why}.")
    elif found.trouble:
        yield Finding("record", "warns", f"It cannot be copied to DATA/audit ({found.trouble}).")
    elif not found.faults:
        rows = f"{found.rows:,} rows" if found.rows != 1 else "1 row"
        yield Finding("record", "works", f"The chain of its last file is whole: {rows}.")


def _readers(using: Settings) -> Finding:
    """Whether what reads a stranger's document is kept from all else: it is tried, in a process that then ends."""
    if not using.confine_readers:
        return Finding("readers", "warns", "They are kept from nothing: INGESTBOARD_CONFINE_READERS is off.")
    if lacking := confinement.missing(confinement.standing()):
        return Finding("readers", "warns", lacking)
    return Finding("readers", "works", "They are kept from other files, programs and the network.")


def _embedder(using: Settings) -> Finding:
    from tasks.ingest.embed import load_embedder  # heavy, and the only check that needs it

    try:
        load_embedder(using)
    except IngestboardError as error:
        return Finding("embedder", "fails", str(error))
    return Finding("embedder", "works", f"{using.embedder} loads.")


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
