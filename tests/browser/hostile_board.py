"""A dashboard over a ledger and a shelf in which every field that comes from outside tries to be more than text.

The values are written past the doors that would refuse some of them: whoever can write to Redis or to DATA can do so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rq import Queue, SimpleWorker

from tasks.ledger import Ledger, keys, rolling
from tasks.ledger.records import text
from tasks.snapshots import Shelf
from tests.browser.scratch_board import ScratchBoard
from tests.own_process import call
from tests.redis.foreign_functions import fail
from tests.snapshot_factories import document, publish

# Each way by which a text could become more than itself. What it would do is looked for in the page: a flag, an
# element of that class, a request for that path, a link or a picture of that host, words drawn bold or coloured.
HOSTILE = (
    "hostile <script>window.ibHacked=1</script><img src=ib-asked onerror=window.ibHacked=1>"
    "<svg onload=window.ibHacked=1></svg></a></td></tr></table></div></section></style></textarea></title>"
    "\"'><b class=ib-got-in onmouseover=window.ibHacked=1>ib-bold</b> **ib-strong** _ib-soft_ `ib-code` "
    "[ib-link](javascript:window.ibHacked=1) ![ib-picture](http://ib-elsewhere.example/x.png) :red[ib-red] "
    "http://ib-elsewhere.example/ www.ib-elsewhere.example :material/home: $\\frac{ib}{latex}$ "
    "&lt;b class=ib-got-in&gt; "
    "\N{RIGHT-TO-LEFT OVERRIDE}desrever\N{POP DIRECTIONAL FORMATTING}\x07\x1b[31m\x00"
) + "W" * 160
NAMED = "hostile-library"
FOLDER = "<img src=ib-asked onerror=window.ibHacked=1>'\"`**ib-strong**`"
TEXTS = (
    *("title", "collection", "owner", "error", "step_description", "stage", "worker", "priority", "snapshot"),
    *("stop_asked_by", "stop_how", "recipe", "arguments", "sync"),
)


def shelve(data: Path, embedder: str) -> None:
    """A snapshot whose documents have such names and texts."""
    texts = document(HOSTILE.replace("\0", "")[:200], 3, text=HOSTILE.replace("\0", ""), dimension=256)
    for _ in range(2):
        publish(Shelf(data), NAMED, [texts], owner=HOSTILE, job="job1", dimension=256, embedder=embedder)


class HostileBoard(ScratchBoard):
    """A board whose every text is hostile."""

    def settings_for(self, folder: Path) -> dict[str, str]:
        (folder / FOLDER).mkdir()
        (folder / FOLDER / "a <b class=ib-got-in>.txt").write_text(HOSTILE)
        return {"INGESTBOARD_FOLDERS": str(folder / FOLDER)}

    def fill(self) -> None:
        super().fill()
        ledger = self.ledger
        assert call(shelve, ledger.settings.data, ledger.settings.embedder_fingerprint) == 0
        (ledger.settings.data / "collections" / FOLDER).mkdir()
        (ledger.settings.data / "collections" / FOLDER / "CURRENT").write_text("000001\n")
        facts: list[Any] = ledger.redis.xrange(keys.FACTS) or []
        for _, fact in facts:
            ledger.redis.xadd(keys.FACTS, fact | {b"collection": HOSTILE, b"kind": HOSTILE})
        rolling.roll_up(ledger)
        self.jobs = [text(job) for job in ledger.redis.zrange(keys.JOBS, 0, -1)]
        for job in self.jobs:
            spoil_job(ledger, job)
        strange = "<b class=ib-got-in>"
        ledger.redis.copy(keys.job(self.failed), keys.job(strange))
        ledger.redis.hset(keys.job(strange), mapping={"kind": HOSTILE, "state": HOSTILE})
        self.jobs.append(strange)
        for index in (keys.JOBS, keys.CHANGES):
            ledger.redis.zadd(index, {strange: ledger.redis.zscore(index, self.failed) or 0})
        spoil_streams(ledger)
        spoil_people(ledger)
        self.queue = f"letters {HOSTILE}"
        self.foreign = spoil_rq(ledger, self.queue)


def spoil_job(ledger: Ledger, job: str) -> None:
    """All that the ledger holds of a job, its figures, times, state and kind apart."""
    ledger.redis.hset(keys.job(job), mapping=dict.fromkeys(TEXTS, HOSTILE))
    for number, raw in ledger.redis.hgetall(keys.documents(job)).items():
        row = json.loads(raw) | {"name": HOSTILE + "\ud800", "error": HOSTILE, "path": HOSTILE}
        ledger.redis.hset(keys.documents(job), number, json.dumps(row))
    now = ledger.now()
    ledger.redis.hset(keys.stages(job), mapping={f"{HOSTILE}:first": now, f"{HOSTILE}:last": now, f"{HOSTILE}:work": 1})
    ledger.redis.rpush(keys.events(job), json.dumps({"at": now, "text": HOSTILE}))
    ledger.redis.zadd(keys.presence(job), {HOSTILE: now + 10_000})


def spoil_streams(ledger: Ledger) -> None:
    """Failures and the audit: rows as they are, every text in them replaced, and what was said of each cause."""
    for stream in (keys.FAILURES, keys.AUDIT):
        found: list[Any] = ledger.redis.xrange(stream) or []
        ledger.redis.delete(stream)
        for _, fields in found:
            kept = (b"job", b"attempt", b"document", b"at")
            ledger.redis.xadd(stream, {name: value if name in kept else HOSTILE for name, value in fields.items()})
    for cause in ledger.redis.hkeys(keys.ACKNOWLEDGED):
        ledger.redis.hset(keys.ACKNOWLEDGED, cause, json.dumps({"by": HOSTILE, "at": ledger.now(), "note": HOSTILE}))


def spoil_people(ledger: Ledger) -> None:
    """Saved views, workers, pools and pauses."""
    now = ledger.now()
    view = {"query": HOSTILE, "sort": HOSTILE, "by": HOSTILE, "at": now}
    ledger.redis.hset(keys.SAVED_VIEWS, HOSTILE, json.dumps(view))
    ledger.redis.hset(keys.PAUSED, "default", json.dumps({"by": HOSTILE, "at": now, "why": HOSTILE}))
    for index, kept in ((keys.WORKERS, keys.worker), (keys.POOLS, keys.pool)):
        ledger.redis.zadd(index, {HOSTILE: now + 10_000})
        texts: dict[Any, Any] = dict.fromkeys(("pool", "document", "stage", "delivery", "host"), HOSTILE)
        ledger.redis.hset(kept(HOSTILE), mapping=texts | {"size": 1, "wanted": 2})
    rq: dict[Any, Any] = dict.fromkeys(("hostname", "state", "queues", "ingestboard_job", "version"), HOSTILE)
    ledger.redis.hset(keys.rq_worker(HOSTILE), mapping=rq)
    ledger.redis.hset(keys.DRAINED, HOSTILE, json.dumps({"by": HOSTILE, "at": now}))


def spoil_rq(ledger: Ledger, name: str) -> str:
    """A failed job of another program in a queue of such a name; its id."""
    queue = Queue(name, connection=ledger.redis)
    job = queue.enqueue(fail, HOSTILE, description=HOSTILE, meta={HOSTILE: HOSTILE})
    SimpleWorker([queue], connection=ledger.redis).work(burst=True, logging_level="CRITICAL")
    texts: dict[Any, Any] = dict.fromkeys(("origin", "worker_name", "group_id"), HOSTILE)
    ledger.redis.hset(keys.rq_job(job.id), mapping={**texts, "description": HOSTILE, "exc_info": HOSTILE})
    return str(job.id)
