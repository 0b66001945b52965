"""The checks of what became of documents: published or not, whole, once, and embedded once.

Pure, as those of the ledger. What each holds against what stands at its head.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from tasks.ledger.states import State
from tests.chaos.history import Row, of
from tests.chaos.ledger_checks import PUBLISHED
from tests.chaos.world import BATCH

DISK_WORDS = ("full", "space", "could not be written", "could not read or write")


def failures_have_a_reason(rows: Sequence[Row]) -> Iterator[str]:
    """Only a document without text fails; with a full disk also one that says so. A job fails through its documents."""
    disk = any(row["kind"] == "fill disk" and "skipped" not in row for row in of(rows, "fault"))
    kinds = {one["name"]: one["kind"] for row in of(rows, "asked") for one in row.get("documents", ())}
    for row in of(rows, "found"):
        for document in row["documents"]:
            reason = document["error"] or ""
            excused = disk and any(word in reason for word in DISK_WORDS)
            if document["state"] == "failed" and kinds.get(document["name"]) != "bad" and not excused:
                yield f"{document['name']} of job {row['job']} failed: {reason}"
        excused = disk and any(word in row["error"] for word in DISK_WORDS)
        if row["state"] == State.FAILED and row["documents_done"] and not excused:
            yield f"job {row['job']} failed: {row['error']}"


def collections_hold_what_was_published(rows: Sequence[Row]) -> Iterator[str]:
    """What a completed job brought is in the current snapshot, whole; nothing of a job that never published is.

    Completed: the job was seen completed at any time, or its completed documents if it ended partial. Names of
    documents are used once in a run, so that a document tells its job. And nothing is there that nobody submitted.
    """
    current = {row["collection"]: row for row in of(rows, "snapshot") if row["current"]}
    asked = {row["serial"]: row for row in of(rows, "asked") if row["action"] == "submit"}
    ever: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["what"] in ("moved", "seen") and "state" in row:
            ever[row["job"]].add(row["state"])
    known: dict[str, set[str]] = defaultdict(set)
    for row in asked.values():
        known[row["collection"]] |= {one["name"] for one in row["documents"]}
    found = {row["job"]: row for row in of(rows, "found")}
    serials = {row["job"]: row["serial"] for row in of(rows, "answered") if row["action"] == "submit" and row["job"]}
    serials |= {row["job"]: int(row["title"].split()[-1]) for row in found.values() if row["title"].startswith("job ")}
    for job, serial in serials.items():
        request = asked[serial]
        there = current.get(request["collection"], {}).get("documents", {})
        mine = {one["name"]: [one["sha256"], one["chunks"]] for one in request["documents"]}
        if State.COMPLETED in ever[job]:
            due = set(mine)
        elif found.get(job, {}).get("state") == State.PARTIAL:
            due = {one["name"] for one in found[job]["documents"] if one["state"] == "completed"}
        else:
            due = set()
        for name in sorted(due):
            if there.get(name) != mine[name]:
                held = f"held as {there[name]}" if name in there else "not there"
                yield f"{name} of job {job}, which was published, is {held} in {request['collection']}"
        if not ever[job] & PUBLISHED:
            yield from (
                f"{name} of job {job} is in {request['collection']}, and the job never published"
                for name in sorted(set(mine) & set(there))
            )
    for collection, row in current.items():
        yield from (
            f"{collection} holds {name}, which nobody submitted to it"
            for name in sorted(set(row["documents"]) - known[collection])
        )


def snapshots_verify(rows: Sequence[Row]) -> Iterator[str]:
    """Every version on disk opens in LanceDB and holds what it says; each collection has one that is current."""
    for row in of(rows, "snapshot"):
        if row["problem"]:
            yield f"snapshot {row['version']} of {row['collection']}: {row['problem']}"
    versions = {row["collection"] for row in of(rows, "snapshot")}
    current = {row["collection"] for row in of(rows, "snapshot") if row["current"]}
    yield from (f"collection {name} has snapshots and none is current" for name in sorted(versions - current))


def each_run_publishes_once(rows: Sequence[Row]) -> Iterator[str]:
    """A job makes at most one snapshot for each time that it was seen to end published."""
    made = Counter(row["job"] for row in of(rows, "snapshot"))
    ended: Counter[str] = Counter()
    last: dict[str, str] = {}
    for row in rows:
        if row["what"] in ("moved", "seen") and "state" in row:
            if row["state"] in PUBLISHED and last.get(row["job"]) != row["state"]:
                ended[row["job"]] += 1
            last[row["job"]] = row["state"]
    for job, times in made.items():
        if times > ended[job]:
            yield f"job {job} ended published {ended[job]} times and made {times} snapshots"


def nothing_is_embedded_twice(rows: Sequence[Row]) -> Iterator[str]:
    """No chunk is embedded again, but the batch in flight of each work horse that a fault struck or a stop killed.

    A worker that was written off while it was well may do one batch beside the one that is done again for it.
    """
    allowed = BATCH * sum(row["struck"] for row in of(rows, "fault"))
    slow = {
        row["serial"]
        for row in of(rows, "asked")
        if row["action"] == "submit" and any(one["kind"] == "slow" for one in row["documents"])
    }
    serials = {row["job"]: row["serial"] for row in of(rows, "answered") if row["action"] == "submit"}
    for row in of(rows, "answered"):
        stops = row["action"] == "force stop" or (row["action"] == "cancel" and serials.get(row["job"]) in slow)
        if stops and row["outcome"] != "refused":
            allowed += BATCH * row["hands"]
        if row["action"] == "write off":
            allowed += 2 * BATCH * row["hands"]
    for row in of(rows, "embedded"):
        if row["again"] > allowed:
            yield f"{row['again']} chunks were embedded again and the faults account for {allowed}"


def a_cancel_stops_at_the_next_batch(rows: Sequence[Row]) -> Iterator[str]:
    """Work in hand that could pass a checkpoint embeds no more than the batch in flight after its cancel."""
    for row in of(rows, "stopped"):
        if row["batches"] > 1:
            yield f"job {row['job']} embedded {row['batches']} batches after it was canceled"
