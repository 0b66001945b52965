"""Each check of the janitor: damage is found without a write and mended by a turn, on both kinds of server."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from tasks import repairs
from tasks.errors import Fenced
from tasks.ledger import Ledger, State, activity, control, journal, keys, locks, monitor, queues, store
from tasks.ledger.journal import Seen
from tasks.repairs import Check
from tasks.snapshots import history
from tasks.snapshots.history import Move
from tests.factories import claimed, finish_documents, rq_id_of, submitted

pytest.importorskip("workers.janitor")
from workers.janitor import Janitor

Damage = Callable[[Ledger], Callable[[], bool]]  # damages; gives what tells whether it is mended


def dump(ledger: Ledger) -> dict[bytes, object]:
    """All that the server holds."""
    redis: Any = ledger.redis
    read: dict[bytes, Callable[[bytes], object]] = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        b"set": redis.smembers,
        b"stream": redis.xrange,
    }
    return {key: read[redis.type(key)](key) for key in redis.scan_iter(count=1000)}


def files(ledger: Ledger) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in ledger.settings.data.rglob("*") if path.is_file()}


def published(ledger: Ledger, name: str, job_id: str, attempt: int) -> None:
    """A snapshot on disk that this attempt of the job made."""
    folder = ledger.settings.data / "collections" / name
    (folder / "000001").mkdir(parents=True, exist_ok=True)
    (folder / "CURRENT").write_text("000001\n")
    history.append(folder, Move("000001", job_id, attempt, "published"))


def a_shard_without_a_worker(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger)
    claimed(ledger, job_id)
    ledger.redis.zadd(keys.LEASES, {f"{job_id}:0": ledger.now() - 1})
    return lambda: monitor.job(ledger, job_id).state is State.RETRYING


def a_shard_without_a_lease(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger)
    claimed(ledger, job_id)
    ledger.redis.zrem(keys.LEASES, f"{job_id}:0")
    return lambda: ledger.redis.zscore(keys.LEASES, f"{job_id}:0") is not None


def a_delivery_that_rq_lost(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger)
    lost = rq_id_of(ledger, job_id, "0")
    ledger.redis.delete(keys.rq_queue("default"))
    ledger.redis.zadd(keys.ENQUEUED, {f"{job_id}:0": ledger.now() - 60})
    return lambda: lost not in queues.waiting_ids(ledger) and len(queues.waiting_ids(ledger)) == 1


def a_shard_in_the_queue_that_nobody_looks_for(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger)
    ledger.redis.zrem(keys.ENQUEUED, f"{job_id}:0")
    return lambda: ledger.redis.zscore(keys.ENQUEUED, f"{job_id}:0") is not None


def a_wrong_number_of_shards_at_work(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger)
    claimed(ledger, job_id)
    ledger.redis.hset(keys.job(job_id), "running_shards", 3)
    return lambda: ledger.redis.hget(keys.job(job_id), "running_shards") == b"1"


def all_shards_done_and_no_publish(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger)
    claim = claimed(ledger, job_id)
    finish_documents(ledger, claim)
    store.settle(ledger, job_id, "0", claim.attempt, "done")
    queues.withdraw(ledger, [rq_id_of(ledger, job_id, store.PUBLISH)], "default")
    ledger.redis.hdel(keys.shards(job_id), store.PUBLISH)
    ledger.redis.zrem(keys.ENQUEUED, f"{job_id}:publish")
    return lambda: rq_id_of(ledger, job_id, store.PUBLISH) in queues.waiting_ids(ledger)


def a_stop_that_nobody_ends(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger)
    claimed(ledger, job_id)
    control.cancel(ledger, job_id, by="bo")
    row = json.loads(ledger.redis.hget(keys.shards(job_id), "0") or b"{}")
    ledger.redis.hset(keys.shards(job_id), "0", json.dumps({**row, "state": "canceled"}))
    ledger.redis.zrem(keys.LEASES, f"{job_id}:0")
    return lambda: monitor.job(ledger, job_id).state is State.CANCELED


def a_job_that_no_index_lists(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger)
    for index in (keys.LIVE, keys.WAITING, keys.CHANGES):
        ledger.redis.zrem(index, job_id)
    return lambda: all(ledger.redis.zscore(at, job_id) for at in (keys.LIVE, keys.WAITING, keys.CHANGES))


def a_final_job_among_those_that_wait(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger)
    control.cancel(ledger, job_id, by="bo")
    ledger.redis.zadd(keys.WAITING, {job_id: 1})
    return lambda: ledger.redis.zscore(keys.WAITING, job_id) is None


def entries_without_a_record(ledger: Ledger) -> Callable[[], bool]:
    for index in (keys.JOBS, keys.FINAL, keys.CHANGES):
        ledger.redis.zadd(index, {"gone": 1})
    return lambda: not any(ledger.redis.zscore(at, "gone") for at in (keys.JOBS, keys.FINAL, keys.CHANGES))


def wrong_numbers_of_jobs(ledger: Ledger) -> Callable[[], bool]:
    submitted(ledger)
    ledger.redis.hset(keys.COUNTS, mapping={"queued": 7, "failed": 2})
    return lambda: ledger.redis.hmget(keys.COUNTS, "queued", "failed") == [b"1", b"0"]


def an_entry_of_a_job_that_is_gone(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger)
    left = rq_id_of(ledger, job_id, "0")
    journal.set_aside(ledger.settings)
    ledger.redis.delete(*keys.of_job(job_id))
    for index in (keys.JOBS, keys.LIVE, keys.WAITING, keys.CHANGES):
        ledger.redis.zrem(index, job_id)
    ledger.redis.zrem(keys.ENQUEUED, f"{job_id}:0")
    ledger.redis.hset(keys.COUNTS, "queued", 0)
    return lambda: left not in queues.waiting_ids(ledger) and not ledger.redis.exists(keys.rq_job(left))


def a_submission_that_was_forgotten(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger, 2, title="spring")
    ledger.redis.flushall()
    return lambda: (
        monitor.job(ledger, job_id).title == "spring"
        and len(monitor.documents(ledger, job_id)) == 2
        and queues.waiting_ids(ledger) == {rq_id_of(ledger, job_id, "0"), rq_id_of(ledger, job_id, "1")}
    )


def counters_that_went_back(ledger: Ledger) -> Callable[[], bool]:
    (ledger.settings.data / "collections" / "contracts").mkdir(parents=True)
    journal.note(ledger.settings, Seen("another run", 500, ledger.now(), {"contracts": 9}))
    locks.acquire(ledger, "contracts")
    submitted(ledger)

    def mended() -> bool:
        revision, fence = ledger.redis.mget(keys.REVISION, keys.fence("contracts"))
        return int(revision or 0) > 500 and int(fence or 0) > 9

    return mended


def an_attempt_that_went_back(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger)
    published(ledger, "contracts", job_id, attempt=3)
    return lambda: monitor.job(ledger, job_id).attempt == 3


def a_publish_that_is_not_on_the_record(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger)
    claim = claimed(ledger, job_id)
    finish_documents(ledger, claim)
    store.settle(ledger, job_id, "0", claim.attempt, "done")
    control.cancel(ledger, job_id, by="bo")
    published(ledger, "contracts", job_id, attempt=1)
    return lambda: (
        monitor.job(ledger, job_id).state is State.QUEUED
        and rq_id_of(ledger, job_id, store.PUBLISH) in queues.waiting_ids(ledger)
    )


def staging_of_a_dead_job(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger)
    control.cancel(ledger, job_id, by="bo")
    folder = ledger.settings.data / "collections" / "contracts" / f"_tmp-{job_id}"
    folder.mkdir(parents=True)
    return lambda: not folder.exists()


def a_key_of_another_type(ledger: Ledger) -> Callable[[], bool]:
    ledger.redis.rpush(keys.SAVED_VIEWS, "forged")
    return lambda: not ledger.redis.exists(keys.SAVED_VIEWS)


def a_key_with_far_too_much_in_it(ledger: Ledger) -> Callable[[], bool]:
    ledger.redis.hset(keys.USUAL, mapping={str(at): 1 for at in range(1_001)})
    return lambda: not ledger.redis.exists(keys.USUAL)


def a_revision_that_is_no_number(ledger: Ledger) -> Callable[[], bool]:
    submitted(ledger)
    Janitor(ledger, "before").turn()
    ledger.redis.delete(keys.JANITOR)
    known = journal.seen(ledger.settings).revision
    ledger.redis.set(keys.REVISION, "banana")
    return lambda: known < int(ledger.redis.get(keys.REVISION) or 0) and bool(list(journal.entries(ledger.settings)))


def an_entry_that_is_no_job(ledger: Ledger) -> Callable[[], bool]:
    ledger.redis.zadd(keys.LEASES, {b"\xff\x00": 1})
    return lambda: not ledger.redis.zcard(keys.LEASES)


def a_part_that_is_garbage(ledger: Ledger) -> Callable[[], bool]:
    job_id = submitted(ledger)
    ledger.redis.hset(keys.shards(job_id), "0", '{"state": ')
    return lambda: monitor.job(ledger, job_id).state is State.FAILED


DAMAGES: list[tuple[str, Damage]] = [
    ("shards of dead workers", a_shard_without_a_worker),
    ("jobs and their records", a_shard_without_a_lease),
    ("shards that RQ lost", a_delivery_that_rq_lost),
    ("jobs and their records", a_shard_in_the_queue_that_nobody_looks_for),
    ("jobs and their records", a_wrong_number_of_shards_at_work),
    ("jobs and their records", all_shards_done_and_no_publish),
    ("jobs and their records", a_stop_that_nobody_ends),
    ("jobs and their records", a_job_that_no_index_lists),
    ("jobs and their records", a_final_job_among_those_that_wait),
    ("jobs and their records", entries_without_a_record),
    ("numbers of jobs", wrong_numbers_of_jobs),
    ("RQ entries without a job", an_entry_of_a_job_that_is_gone),
    ("submissions that Redis forgot", a_submission_that_was_forgotten),
    ("counters that went back", counters_that_went_back),
    ("publishes that are not on the record", an_attempt_that_went_back),
    ("publishes that are not on the record", a_publish_that_is_not_on_the_record),
    ("staging of dead jobs", staging_of_a_dead_job),
    ("keys that hold something else", a_key_of_another_type),
    ("keys that hold something else", a_key_with_far_too_much_in_it),
    ("keys that hold something else", a_revision_that_is_no_number),
    ("entries that are no jobs", an_entry_that_is_no_job),
    ("jobs and their records", a_part_that_is_garbage),
]


def by_name(name: str) -> Check:
    return next(check for check in repairs.checks() if check.name == name)


@pytest.mark.parametrize(("name", "damage"), DAMAGES, ids=[damage.__name__ for _, damage in DAMAGES])
def test_damage_is_found_without_a_write_and_mended_by_one_turn(ledger: Ledger, name: str, damage: Damage) -> None:
    is_mended = damage(ledger)
    before = dump(ledger), files(ledger)
    found = by_name(name).find(ledger)
    assert found
    assert all(one.sentence.endswith(".") for one in found)
    for check in repairs.checks():
        check.find(ledger)
    assert (dump(ledger), files(ledger)) == before
    assert Janitor(ledger, "j").turn()
    assert is_mended()
    assert by_name(name).find(ledger) == []
    assert activity.page(ledger, activity.Wanted(action="repair", by="the janitor")).rows


def test_a_ledger_that_is_well_has_nothing_to_repair(ledger: Ledger) -> None:
    for at in range(3):
        submitted(ledger, 3, title=str(at))
    claim = claimed(ledger, submitted(ledger))
    finish_documents(ledger, claim)
    store.settle(ledger, claim.job, "0", claim.fence, "done")
    control.cancel(ledger, submitted(ledger), by="bo")
    assert [found for check in repairs.checks() for found in check.find(ledger)] == []


def test_a_deleted_job_does_not_come_back(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    control.cancel(ledger, job_id, by="bo")
    control.delete(ledger, job_id, by="bo")
    assert by_name("submissions that Redis forgot").find(ledger) == []


def test_a_redis_that_a_person_emptied_stays_empty(real_ledger: Ledger) -> None:
    submitted(real_ledger)
    janitor = Janitor(real_ledger, "j")
    janitor.turn()
    real_ledger.redis.flushall()
    janitor.turn()
    Janitor(real_ledger, "j").turn()
    assert monitor.page(real_ledger) == ([], 0)


def test_entries_of_other_applications_are_left_alone(ledger: Ledger) -> None:
    foreign = Queue("default", connection=ledger.redis, serializer=JSONSerializer).enqueue_call("somebody.elses")
    Janitor(ledger, "j").turn()
    assert ledger.redis.lrange(keys.rq_queue("default"), 0, -1) == [foreign.id.encode()]


def test_several_janitors_repair_once(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claimed(ledger, job_id)
    ledger.redis.zadd(keys.LEASES, {f"{job_id}:0": ledger.now() - 1})
    janitors = [Janitor(ledger, f"j{at}") for at in range(3)]
    assert [janitor.turn() for janitor in janitors] == [True, False, False]
    ledger.redis.delete(keys.JANITOR)
    # Each has found the same, and repairs it after the first one did.
    check = by_name("shards of dead workers")
    ledger.redis.zadd(keys.LEASES, {f"{job_id}:0": ledger.now() + 60})
    for _ in range(2):
        check.repair(ledger, repairs.Finding("It was lost.", (job_id, "0")))
    assert monitor.job(ledger, job_id).attempt == 2


def test_workers_get_time_to_report_after_redis_was_away(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    janitor = Janitor(ledger, "j")
    janitor.turn()
    claimed(ledger, job_id)
    ledger.redis.zadd(keys.LEASES, {f"{job_id}:0": ledger.now() - 30})
    janitor._turned_at = time.monotonic() - 60  # its last turn was a minute ago: nobody was served meanwhile
    janitor.turn()
    assert monitor.job(ledger, job_id).state is State.RUNNING


def test_half_written_files_go_after_an_hour(ledger: Ledger) -> None:
    old, fresh = (ledger.settings.data / "uploads" / name for name in ("_tmp-old", "_tmp-fresh"))
    for path in (old, fresh):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    Janitor(ledger, "j").turn()
    assert [path.exists() for path in (old, fresh)] == [False, True]


def test_one_fsync_is_made_for_a_batch_and_before_the_answer(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda handle: synced.append(handle))
    submitted(ledger)
    assert len(synced) == 1
    assert [entry.job for entry in journal.entries(ledger.settings)] == [monitor.page(ledger)[0][0].id]


def test_a_torn_line_of_the_journal_is_passed_over(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    (path,) = (ledger.settings.data / "journal").glob("*.jsonl")
    with path.open("ab") as journaled:
        journaled.write(b'{"job": "torn", "at": 17')
    assert [entry.job for entry in journal.entries(ledger.settings)] == [job_id]


def test_a_journal_on_a_disk_that_refuses_does_not_undo_the_submission(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.settings.data.mkdir(parents=True, exist_ok=True)
    (ledger.settings.data / "journal").write_text("no folder")
    job_id = submitted(ledger)
    assert monitor.job(ledger, job_id).state is State.QUEUED
    assert "cannot be written" in caplog.text


def test_the_journal_keeps_a_quarter_of_an_hour(ledger: Ledger, tmp_path: Path) -> None:
    submitted(ledger)
    assert journal.prune(ledger.settings, ledger.now() - journal.KEPT_S) == 0
    assert journal.prune(ledger.settings, ledger.now() + journal.FILE_S + 1) == 1


def test_times_in_the_future_and_times_that_went_back_break_nothing(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claimed(ledger, job_id)
    ahead = ledger.now() + 86_400
    ledger.redis.hset(keys.job(job_id), mapping={"created_at": ahead, "started_at": ahead, "last_updated": ahead})
    ledger.redis.hset(keys.job(job_id), mapping={"stop_asked_at": ahead, "stopped_at": 5})
    ledger.redis.zadd(keys.WAITING, {"x": ahead})
    ledger.redis.zadd(keys.WORKERS, {"w1": ahead})
    row = monitor.job(ledger, job_id)
    assert row.elapsed_s(monitor.utc_now()) == 0
    assert row.stop is not None
    assert row.stop.took_s == 0
    assert monitor.figures(ledger).oldest_wait_s == 0
    assert all(worker.heartbeat_age_s >= 0 for worker in monitor.workers(ledger))
    Janitor(ledger, "j").turn()
    assert monitor.job(ledger, job_id).state is State.RUNNING


def test_a_jump_of_the_hosts_clock_costs_nobody_his_lease(real_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, now = real_ledger, time.time()
    for jump in (86_400.0, -86_400.0):
        job_id = submitted(ledger)
        claim = claimed(ledger, job_id)
        monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
        Janitor(ledger, "j").turn()
        store.Reporter(ledger, claim).check(now=True)
        assert monitor.job(ledger, job_id).state is State.RUNNING


def test_a_jump_of_the_servers_clock_costs_nobody_his_lease(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = submitted(ledger)
    claimed(ledger, job_id)
    janitor = Janitor(ledger, "j")
    janitor.turn()
    now = ledger.now
    monkeypatch.setattr(Ledger, "now", lambda of: now() + 3600)
    janitor.turn()
    assert monitor.job(ledger, job_id).state is State.RUNNING
    janitor._reclaim_at = 0.0  # the worker has had the time of its lease to report, and did not
    janitor.turn()
    assert monitor.job(ledger, job_id).state is State.RETRYING


def test_a_lease_from_before_the_servers_clock_went_back_ends_all_the_same(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claimed(ledger, job_id)
    ledger.redis.zadd(keys.LEASES, {f"{job_id}:0": ledger.now() + 3600})
    Janitor(ledger, "j").turn()
    until = ledger.redis.zscore(keys.LEASES, f"{job_id}:0")
    assert until is not None
    assert until <= ledger.now() + ledger.settings.lease_s


def test_a_claim_whose_answer_was_lost_is_given_again_and_counted_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submitted(ledger)
    monkeypatch.setattr(secrets, "token_hex", lambda size: "the same claim")
    rq_id = rq_id_of(ledger, job_id, "0")
    first, second = (store.claim(ledger, job_id, "0", rq_id, "w1") for _ in range(2))
    assert first == second is not None
    assert ledger.redis.hget(keys.job(job_id), "running_shards") == b"1"


def test_an_attempt_that_a_forgetful_redis_gave_out_twice_is_fenced_by_its_token(ledger: Ledger) -> None:
    job_id = submitted(ledger)
    zombie = claimed(ledger, job_id)
    # Redis forgets the claim: the shard waits again, under the same delivery and the same attempt.
    row = json.loads(ledger.redis.hget(keys.shards(job_id), "0") or b"{}")
    ledger.redis.hset(keys.shards(job_id), "0", json.dumps({**row, "state": "queued"}))
    ledger.redis.hset(keys.job(job_id), "running_shards", 0)
    other = claimed(ledger, job_id, worker="w2")
    assert other.attempt == zombie.attempt
    with pytest.raises(Fenced):
        store.Reporter(ledger, zombie).check(now=True)
    with pytest.raises(Fenced):
        store.settle(ledger, job_id, "0", zombie.fence, "done")
    store.Reporter(ledger, other).check(now=True)
