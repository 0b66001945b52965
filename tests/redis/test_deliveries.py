"""What RQ is handed: entries as RQ itself would have written them, in their queue's order."""

from __future__ import annotations

from rq.job import Job
from rq.serializers import JSONSerializer

from tasks.ledger import Ledger, keys, queues, store
from tasks.ledger.records import text


def test_a_delivery_is_written_as_rq_itself_writes_a_job(ledger: Ledger) -> None:
    queues.deliver(ledger, [store.Delivery("j1", "0", "ours")], "default")
    queues.queue(ledger, "default").enqueue_call(
        queues.RUN_SHARD,
        args=("j1", "0", "theirs"),
        job_id="theirs",
        timeout=ledger.settings.shard_timeout_s,
        result_ttl=queues.RESULT_TTL_S,
        failure_ttl=queues.FAILURE_TTL_S,
        description="0 of job j1",
    )
    ours, theirs = (ledger.redis.hgetall(keys.rq_job(name)) for name in ("ours", "theirs"))
    assert ours.pop(b"ingestboard_shard") == b"j1:0"
    assert set(ours) == set(theirs)
    moved = {b"data", b"created_at", b"enqueued_at"}
    assert {name: ours[name] for name in ours if name not in moved} == {
        name: theirs[name] for name in theirs if name not in moved
    }
    fetched = Job.fetch("ours", connection=ledger.redis, serializer=JSONSerializer)
    assert (fetched.func_name, list(fetched.args), fetched.kwargs) == (queues.RUN_SHARD, ["j1", "0", "ours"], {})
    assert fetched.enqueued_at is not None
    assert ledger.redis.smembers(keys.RQ_QUEUES) == {b"rq:queue:default"}


def test_a_publish_goes_before_what_waits(ledger: Ledger) -> None:
    queues.deliver(ledger, [store.Delivery("j1", "0", "a"), store.Delivery("j1", "1", "b")], "low")
    queues.deliver(ledger, [store.Delivery("j2", store.PUBLISH, "c"), store.Delivery("j2", "2", "d")], "low")
    assert [text(one) for one in ledger.redis.lrange(keys.rq_queue("low"), 0, -1)] == ["c", "a", "b", "d"]


def test_handing_over_nothing_writes_nothing(ledger: Ledger) -> None:
    queues.deliver(ledger, [], "default")
    assert ledger.redis.keys("*") == []
