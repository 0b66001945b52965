"""The checker itself: a history in which all is well, and the same with one fault planted in it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.ledger.states import State
from tests.chaos.checking import CHECKS, check
from tests.chaos.fencing import names
from tests.chaos.history import History, Row, of, read
from tests.chaos.ledger_checks import reachable
from tests.chaos.watching import Witness

DOCUMENT = {"name": "j1-d0.txt", "sha256": "aa", "chunks": 3, "kind": "good"}
OTHER = {"name": "j2-d0.txt", "sha256": "bb", "chunks": 2, "kind": "good"}


def found(job: str, title: str, state: str, document: dict[str, Any], **changes: Any) -> Row:
    done = state == "completed"
    row: Row = {
        "what": "found",
        "job": job,
        "title": title,
        "collection": "c0",
        "state": state,
        "percent": 100.0 if done else 0.0,
        "error": "",
        "attempt": 1,
        "documents_total": 1,
        "documents_done": int(done),
        "documents_failed": 0,
        "running_shards": 0,
        "shards_total": 1,
        "shards_done": int(done),
        "published_attempt": int(done),
        "shards": {"done": 2} if done else {"canceled": 1},
        "documents": [{"name": document["name"], "state": "completed" if done else "queued", "error": ""}],
    }
    return row | changes


def history() -> list[Row]:
    """Job a completed and published; job b canceled while it ran; a work horse killed in between."""
    return [
        {"what": "asked", "action": "submit", "serial": 1, "collection": "c0", "documents": [DOCUMENT]},
        {"what": "moved", "job": "a", "attempt": "1", "percent": "0"},
        {"what": "moved", "job": "a", "state": "queued"},
        {"what": "answered", "action": "submit", "serial": 1, "job": "a", "outcome": "ok", "hands": 0},
        {"what": "asked", "action": "submit", "serial": 2, "collection": "c0", "documents": [OTHER]},
        {"what": "moved", "job": "b", "state": "queued", "attempt": "1"},
        {"what": "answered", "action": "submit", "serial": 2, "job": "b", "outcome": "ok", "hands": 0},
        {"what": "moved", "job": "a", "state": "running"},
        {"what": "moved", "job": "a", "percent": "40"},
        {"what": "fault", "kind": "kill horse", "who": "host1", "struck": 1, "for_s": 0},
        {"what": "moved", "job": "a", "attempt": "next"},
        {"what": "moved", "job": "a", "state": "retrying"},
        {"what": "moved", "job": "b", "state": "running"},
        {"what": "moved", "job": "a", "state": "running"},
        {"what": "moved", "job": "a", "percent": "30"},
        {"what": "asked", "action": "cancel", "job": "b", "hands": 1},
        {"what": "answered", "action": "cancel", "serial": None, "job": "b", "outcome": "ok", "hands": 1},
        {"what": "moved", "job": "b", "state": "canceling"},
        {"what": "moved", "job": "b", "state": "canceled"},
        {"what": "moved", "job": "a", "percent": "100"},
        {"what": "moved", "job": "a", "state": "completed"},
        {"what": "ended", "who": "host1", "code": 0},
        {"what": "processes", "left": []},
        found("a", "job 1", "completed", DOCUMENT, attempt=2),
        found("b", "job 2", "canceled", OTHER),
        {"what": "sums", "counts": {"completed": 1, "canceled": 1}, "jobs": ["a", "b"], "final": ["a", "b"]},
        {"what": "staged", "collection": "c0", "names": []},
        {
            "what": "snapshot",
            "collection": "c0",
            "version": "000001",
            "current": True,
            "job": "a",
            "attempt": 2,
            "documents": {"j1-d0.txt": ["aa", 3]},
            "problem": "",
        },
        {"what": "embedded", "chunks": 3, "calls": 5, "again": 2, "most": 2},
        {"what": "stopped", "job": "b", "batches": 1},
        {"what": "zombie", "job": "a", "does": "report", "fenced": True, "changed": []},
    ]


def the(rows: list[Row], what: str, job: str = "") -> Row:
    """The first fact of a kind."""
    return next(row for row in rows if row["what"] == what and (not job or row.get("job") == job))


def without(rows: list[Row], what: str, job: str) -> None:
    rows.remove(the(rows, what, job))


def before_the_end(*planted: Row) -> Callable[[list[Row]], None]:
    def plant(rows: list[Row]) -> None:
        rows[rows.index(the(rows, "ended")) : rows.index(the(rows, "ended"))] = list(planted)

    return plant


def change(what: str, job: str = "", **facts: Any) -> Callable[[list[Row]], None]:
    return lambda rows: the(rows, what, job).update(facts)


# What is planted, and the check that must find it.
PLANTED: dict[str, tuple[Callable[[list[Row]], None], str]] = {
    "an accepted job is gone": (lambda rows: without(rows, "found", "b"), "every_accepted_job_is_final"),
    "a job runs for good": (change("found", "b", state="running"), "every_accepted_job_is_final"),
    "a submit made two jobs": (
        lambda rows: rows.append(found("z", "job 1", "canceled", OTHER)),
        "every_accepted_job_is_final",
    ),
    "a canceled job runs again": (
        before_the_end({"what": "moved", "job": "b", "state": "running"}),
        "states_move_along_the_table",
    ),
    "a job begins in the middle": (
        before_the_end({"what": "moved", "job": "q", "state": "running"}),
        "states_move_along_the_table",
    ),
    "a final job moved while nobody looked": (
        before_the_end({"what": "seen", "job": "a", "state": "running", "attempt": 2, "percent": 100.0}),
        "states_move_along_the_table",
    ),
    "an attempt went back": (
        before_the_end({"what": "seen", "job": "a", "state": "completed", "attempt": 1, "percent": 100.0}),
        "states_move_along_the_table",
    ),
    "percent fell": (
        before_the_end({"what": "moved", "job": "a", "percent": "99"}),
        "percent_never_falls_in_an_attempt",
    ),
    "percent is above 100": (
        before_the_end({"what": "moved", "job": "b", "percent": "101"}),
        "percent_never_falls_in_an_attempt",
    ),
    "a lease is left": (
        lambda rows: rows.append({"what": "left", "where": "ib:leases", "members": ["a:0"]}),
        "nothing_is_left_over",
    ),
    "a shard counts as running": (change("found", "b", running_shards=1), "nothing_is_left_over"),
    "a shard was counted twice": (change("found", "a", shards_done=2), "nothing_is_left_over"),
    "staging is left": (change("staged", names=["_tmp-b"]), "nothing_is_left_over"),
    "a process is left": (change("processes", left=[{"pid": 7, "title": "rq"}]), "nothing_is_left_over"),
    "a pool ended badly": (change("ended", code=1), "nothing_is_left_over"),
    "a pool fell by itself": (
        lambda rows: rows.append({"what": "fell", "who": "host2", "code": 1}),
        "nothing_is_left_over",
    ),
    "a count is wrong": (change("sums", counts={"completed": 2, "canceled": 1}), "counts_equal_the_rows"),
    "an index is wrong": (change("sums", final=["a"]), "counts_equal_the_rows"),
    "documents are counted wrongly": (change("found", "a", documents_done=2), "counts_equal_the_rows"),
    "a good document failed": (
        change("found", "b", documents=[{"name": "j2-d0.txt", "state": "failed", "error": "It broke."}]),
        "failures_have_a_reason",
    ),
    "a job failed with documents ready": (
        change("found", "b", state="failed", documents_done=1),
        "failures_have_a_reason",
    ),
    "a published document is not there": (change("snapshot", documents={}), "collections_hold_what_was_published"),
    "a published document is another": (
        change("snapshot", documents={"j1-d0.txt": ["cc", 3]}),
        "collections_hold_what_was_published",
    ),
    "a canceled job's document is there": (
        change("snapshot", documents={"j1-d0.txt": ["aa", 3], "j2-d0.txt": ["bb", 2]}),
        "collections_hold_what_was_published",
    ),
    "a document of nobody is there": (
        change("snapshot", documents={"j1-d0.txt": ["aa", 3], "who.txt": ["dd", 1]}),
        "collections_hold_what_was_published",
    ),
    "a snapshot does not verify": (change("snapshot", problem="it cannot be read"), "snapshots_verify"),
    "no snapshot is current": (change("snapshot", current=False), "snapshots_verify"),
    "a job published twice": (
        lambda rows: rows.append(copy.deepcopy(the(rows, "snapshot")) | {"version": "000000", "current": False}),
        "each_run_publishes_once",
    ),
    "chunks were embedded again": (change("embedded", again=3), "nothing_is_embedded_twice"),
    "a zombie was not told": (change("zombie", fenced=False), "zombies_write_nothing"),
    "a zombie wrote": (change("zombie", changed=["ib:job:a"]), "zombies_write_nothing"),
    "a cancel was not seen": (change("stopped", batches=5), "a_cancel_stops_at_the_next_batch"),
}


def test_a_history_in_order_has_nothing_wrong_with_it() -> None:
    assert check(history()) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    plant, expected = PLANTED[name]
    rows = history()
    plant(rows)
    assert expected in {sentence.partition(":")[0] for sentence in check(rows)}


def test_every_check_has_a_fault_that_it_must_find() -> None:
    assert {expected for _, expected in PLANTED.values()} == {one.__name__ for one in CHECKS}


def test_a_job_that_a_person_deleted_is_not_missed() -> None:
    rows = history()
    without(rows, "found", "b")
    rows += [{"what": "asked", "action": "delete", "job": "b", "hands": 0}, {"what": "gone", "job": "b"}]
    the(rows, "sums").update(counts={"completed": 1}, jobs=["a"], final=["a"])
    assert check(rows) == []


def test_a_gap_allows_what_the_table_leads_to_and_nothing_else() -> None:
    assert State.COMPLETED in reachable(State.QUEUED, again=False)
    assert State.RUNNING not in reachable(State.CANCELING, again=False)
    assert reachable(State.FAILED, again=False) == {State.FAILED}
    assert reachable(State.FAILED, again=True) == set(State)


def test_a_full_disk_excuses_what_says_so_and_nothing_else() -> None:
    rows = history()
    change("found", "b", documents=[{"name": "j2-d0.txt", "state": "failed", "error": "The disk is full."}])(rows)
    the(rows, "found", "b")["documents_failed"] = 1
    assert len(check(rows)) == 1
    rows.append({"what": "fault", "kind": "fill disk", "who": "disk", "struck": 0, "for_s": 1})
    assert check(rows) == []


def as_told(*words: str) -> bytes:
    escaped = [word.replace("\\", "\\\\").replace('"', '\\"') for word in words]
    return " ".join(f'"{word}"' for word in escaped).encode()


@pytest.mark.parametrize(("fence", "owns"), [("1:aa", False), ("2:aa", False), ("2:bb", True), ("2", True)])
@pytest.mark.parametrize("writes", [True, False])
def test_the_witness_tells_who_writes_without_owning_what(fence: str, owns: bool, writes: bool) -> None:
    seen = History()
    witness = Witness(Path("nowhere"), seen)
    row = json.dumps({"state": "running", "attempt": 2, "token": "bb"})
    sha1 = next(found for found, name in names().items() if name == "report")
    witness.told(b"+1 [0 lua] " + as_told("HSET", "ib:job:77:shards", "0", row))
    witness.told(b"+1 [0 127.0.0.1:1] " + as_told("EVALSHA", sha1, "1", "ib:job:77", "77", "0", fence, "15", "{}", "0"))
    witness.told(b"+1 [0 lua] " + as_told("HGET", "ib:job:77:shards", "0"))
    if writes:
        witness.told(b"+1 [0 lua] " + as_told("HSET", "ib:job:77", "stage", "embed"))
    witness.told(b"+1 [0 127.0.0.1:1] " + as_told("PING"))
    told = [(row["does"], row["fenced"], row["changed"]) for row in of(seen.rows, "zombie")]
    assert told == ([] if owns else [("report", not writes, ["ib:job:77"] if writes else [])])


def test_the_witness_reads_what_the_server_tells(tmp_path: Path) -> None:
    seen = History(tmp_path / "history.jsonl")
    witness = Witness(tmp_path, seen)
    for line in (
        rb'+1.5 [0 lua] "HSET" "ib:job:77" "stage" "embed" "percent" "12.5"',
        rb'+1.5 [0 lua] "HSET" "ib:job:77" "state" "running"',
        rb'+1.5 [0 lua] "HSET" "ib:job:77:documents" "0" "{\"state\":\"running\"}"',
        rb'+1.5 [0 lua] "HINCRBY" "ib:job:77" "attempt" "1"',
        rb'+1.5 [0 lua] "HINCRBY" "ib:job:77" "work" "10"',
        rb'+1.5 [0 lua] "DEL" "ib:job:77" "ib:job:77:cancel"',
    ):
        witness.told(line)
    seen.close()
    told = [{key: value for key, value in row.items() if key != "at"} for row in read(tmp_path / "history.jsonl")]
    assert told == [
        {"what": "moved", "job": "77", "percent": "12.5"},
        {"what": "moved", "job": "77", "state": "running"},
        {"what": "moved", "job": "77", "attempt": "next"},
        {"what": "gone", "job": "77"},
    ]
