"""What Redis forgot and the disk knows: submissions that were answered, and counters that went back.

A server that died lost its last second, a fail-over what had not reached the replica. A server that was emptied by
hand is the same server as before, and then nothing is brought back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice

from tasks.ledger import Ledger, journal, keys, queues, store
from tasks.ledger.journal import Entry, Seen
from tasks.ledger.records import text, whole
from tasks.repairs.finding import Check, Finding, first
from tasks.snapshots.manifest import is_name
from tasks.snapshots.shelf import Shelf

REVISIONS_AHEAD = 10_000  # how far a counter may have come since it was noted last
FENCES_AHEAD = 100
REMOVED_KEPT = 10_000  # ids that delete.lua remembers
PIECE = 500


def now_seen(ledger: Ledger) -> Seen:
    """How far the ledger is at this moment."""
    names = _collections(ledger)
    with ledger.redis.pipeline(transaction=False) as pipe:
        pipe.type(keys.REVISION)
        pipe.get(keys.REVISION)
        pipe.time()
        for name in names:
            pipe.get(keys.fence(name))
        kind, revision, (seconds, _), *fences = pipe.execute()
    held = {name: whole(fence) for name, fence in zip(names, fences, strict=True) if fence}
    if text(kind) != "none" and not is_counter(revision):
        # Damaged, which is not emptied; `ForgedKeys` mends it.
        revision = journal.seen(ledger.settings).revision
    return Seen(ledger.server_run(), whole(revision), float(seconds), held)


def is_counter(value: bytes | str | None) -> bool:
    """Whether that is a number that a counter can have come to; an index cannot tell larger ones apart."""
    told = text(value)
    return told.isascii() and told.isdigit() and len(told) <= 16 and int(told) < 2**53


def _collections(ledger: Ledger) -> list[str]:
    """Names of folders: whether they hold a snapshot does not matter here, and every turn asks."""
    try:
        return sorted(entry.name for entry in Shelf(ledger.settings.data).root.iterdir() if is_name(entry.name))
    except OSError:
        return []


def emptied(before: Seen, now: Seen) -> bool:
    """Whether a person emptied the server: it is the one that we knew, and further back."""
    return bool(before.run) and before.run == now.run and now.revision < before.revision


class ForgottenCounters(Check):
    """Revision and fencing tokens that are behind what was seen of them: both must never be given out twice."""

    name = "counters that went back"

    def find(self, ledger: Ledger) -> list[Finding]:
        before, now = journal.seen(ledger.settings), now_seen(ledger)
        if emptied(before, now):
            return []
        found = []
        if now.revision < before.revision:
            sentence = f"The revision is {now.revision} and was {before.revision}: Redis forgot its last changes."
            found.append(Finding(sentence, ("revision", str(before.revision + REVISIONS_AHEAD))))
        for name, fence in before.fences.items():
            if now.fences.get(name, 0) < fence:
                sentence = f"The publish lock of {name} counts {now.fences.get(name, 0)} and had come to {fence}."
                found.append(Finding(sentence, ("fence", name, str(fence + FENCES_AHEAD))))
        return found

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        what, *about = finding.about
        revision, name, fence = (about[0], "", "0") if what == "revision" else ("0", about[0], about[1])
        ledger.transition("advance", "", "0", revision, fence, extra=(keys.fence(name),))


class ForgottenSubmissions(Check):
    """Submissions that were answered and that the ledger does not know: made again under the same id.

    All that is in the journal is compared when this starts, and when the server is another one than before.
    """

    name = "submissions that Redis forgot"
    every_s = 1.0

    def __init__(self) -> None:
        self._compared = ""  # the run of the server that the whole journal was compared with
        self._missing: dict[str, Entry] = {}

    def find(self, ledger: Ledger) -> list[Finding]:
        run = ledger.server_run() or "untold"
        if run == self._compared:
            return []
        if emptied(journal.seen(ledger.settings), now_seen(ledger)):
            return []
        found = first(self._find(ledger))
        if not found:
            self._compared = run
        return found

    def _find(self, ledger: Ledger) -> Iterator[Finding]:
        self._missing = {}
        since = ledger.now() - journal.KEPT_S
        entries = journal.entries(ledger.settings, since=since)
        known_since = self._removals_known_since(ledger)
        while piece := list(islice(entries, PIECE)):
            with ledger.redis.pipeline(transaction=False) as pipe:
                for entry in piece:
                    pipe.exists(keys.job(entry.job))
                    pipe.zscore(keys.REMOVED, entry.job)
                answers = pipe.execute()
            for entry, there, removed in zip(piece, answers[::2], answers[1::2], strict=True):
                if there or removed is not None or entry.revision < known_since:
                    continue
                self._missing[entry.job] = entry
                title = entry.fields.get("title", "")
                yield Finding(f"Job {entry.job} ({title}) was accepted and Redis forgot it.", (entry.job,))

    def _removals_known_since(self, ledger: Ledger) -> int:
        """Of an older job it cannot be told whether it was deleted."""
        if ledger.redis.zcard(keys.REMOVED) < REMOVED_KEPT:
            return 0
        return whole(ledger.redis.zrange(keys.REMOVED, 0, 0, withscores=True)[0][1])

    def repair(self, ledger: Ledger, finding: Finding) -> None:
        entry = self._missing.pop(finding.about[0], None)
        if entry is None:
            return
        names = [str(at) for at in range(len(entry.shards))] or [store.PUBLISH]
        rq_ids = [store.new_rq_id() for _ in names[: max(1, entry.window)]]
        again = "Redis had forgotten this job; it was made again from the journal on disk."
        fields = {**entry.fields, "created_at": f"{entry.at:.6f}", "again": again}
        parts = [json.dumps(part) for part in (fields, entry.rows, entry.shards)]
        reply = ledger.transition(
            "submit", entry.job, *parts, entry.window, json.dumps(rq_ids), "", extra=(keys.submission("-"),)
        )
        if reply[0] == "created":
            deliveries = [store.Delivery(entry.job, name, rq_id) for name, rq_id in zip(names, rq_ids, strict=False)]
            queues.deliver(ledger, deliveries, entry.fields.get("priority", "default"))
