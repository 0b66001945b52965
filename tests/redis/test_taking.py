"""Which delivery a worker gets: by priority and age, and none while it, the queue or all of RQ is held."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from tasks.ledger import Ledger, fleet, keys, queues
from tasks.ledger.queues import Held, Taken
from tasks.ledger.store import Delivery

WORKER = "here-1-1"


def delivered(ledger: Ledger, shard: str, priority: str, *, waited_s: float = 0.0) -> str:
    """A delivery of our own that has waited that long; its RQ id."""
    rq_id = f"rq-{priority}-{shard}"
    ledger.redis.zadd(keys.ENQUEUED, {f"job:{shard}": ledger.now() - waited_s})
    queues.deliver(ledger, [Delivery("job", shard, rq_id)], priority)
    return rq_id


def taken(ledger: Ledger) -> str:
    answer = queues.take(ledger, WORKER)
    assert isinstance(answer, Taken), answer
    return answer.rq_id


def test_the_most_urgent_queue_goes_first(ledger: Ledger) -> None:
    low, high, default = (delivered(ledger, name, name) for name in ("low", "high", "default"))
    assert [taken(ledger) for _ in range(3)] == [high, default, low]
    assert queues.take(ledger, WORKER) is Held.EMPTY


def test_within_a_queue_the_first_goes_first(ledger: Ledger) -> None:
    ids = [delivered(ledger, str(at), "default") for at in range(5)]
    assert [taken(ledger) for _ in ids] == ids


@pytest.mark.parametrize(("waited_s", "first"), [(59.0, "high"), (121.0, "low"), (61.0, "high")])
def test_each_level_counts_as_a_minute_of_waiting(ledger: Ledger, waited_s: float, first: str) -> None:
    delivered(ledger, "low", "low", waited_s=waited_s)
    delivered(ledger, "high", "high")
    assert taken(ledger) == f"rq-{first}-{first}"


def test_one_level_up_needs_one_minute(ledger: Ledger) -> None:
    delivered(ledger, "low", "low", waited_s=61)
    delivered(ledger, "default", "default")
    assert taken(ledger) == "rq-low-low"


def test_nothing_of_a_paused_queue_is_taken_and_all_of_it_is_kept(ledger: Ledger) -> None:
    delivered(ledger, "a", "default", waited_s=500)
    low = delivered(ledger, "b", "low")
    ledger.redis.hset(keys.PAUSED, "default", json.dumps({"by": "ana", "at": 1_800_000_000, "why": "disk"}))
    assert taken(ledger) == low
    assert queues.take(ledger, WORKER) is Held.EMPTY
    assert queues.oldest_wait_s(ledger) is None
    assert (fleet.paused(ledger)["default"].by, fleet.paused(ledger)["default"].why) == ("ana", "disk")
    ledger.redis.hdel(keys.PAUSED, "default")
    assert taken(ledger) == "rq-default-a"


@pytest.mark.parametrize(("key", "held"), [(keys.DRAINED, Held.DRAINED), (keys.WRITTEN_OFF, Held.WRITTEN_OFF)])
def test_a_worker_that_is_held_takes_nothing_and_others_do(ledger: Ledger, key: str, held: Held) -> None:
    rq_id = delivered(ledger, "a", "default")
    ledger.redis.hset(key, WORKER, "{}")
    assert queues.take(ledger, WORKER) is held
    assert queues.take(ledger, "another") == Taken("default", rq_id)


def test_rqs_own_suspension_holds_every_worker(ledger: Ledger) -> None:
    delivered(ledger, "a", "default")
    ledger.redis.set(keys.RQ_SUSPENDED, 1)
    assert queues.take(ledger, WORKER) is Held.SUSPENDED


def test_what_is_put_back_is_first_again(ledger: Ledger) -> None:
    first, second = delivered(ledger, "a", "default"), delivered(ledger, "b", "default")
    answer = queues.take(ledger, WORKER)
    assert isinstance(answer, Taken)
    queues.put_back(ledger, answer)
    assert [taken(ledger), taken(ledger)] == [first, second]


def test_an_entry_without_a_job_is_dropped(ledger: Ledger) -> None:
    rq_id = delivered(ledger, "a", "default")
    ledger.redis.lpush(keys.rq_queue("default"), "gone", "gone too")
    assert taken(ledger) == rq_id
    assert ledger.redis.llen(keys.rq_queue("default")) == 0


def test_an_ordinary_rq_job_ages_by_its_own_clock_and_is_kept_where_rq_looks_for_it(ledger: Ledger) -> None:
    queue = Queue("low", connection=ledger.redis, serializer=JSONSerializer)
    job = queue.enqueue_call("print")
    then = datetime.now(UTC) - timedelta(seconds=130)
    ledger.redis.hset(keys.rq_job(job.id), "enqueued_at", then.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    delivered(ledger, "a", "high")
    oldest = queues.oldest_wait_s(ledger)
    assert oldest is not None
    assert 129 < oldest < 135
    assert taken(ledger) == job.id
    assert ledger.redis.lrange(keys.rq_intermediate("low"), 0, -1) == [job.id.encode()]


@pytest.mark.parametrize("enqueued_at", ["", "not a time", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9Z"])
def test_a_strange_time_of_an_entry_stops_nobody(ledger: Ledger, enqueued_at: str) -> None:
    job = Queue("low", connection=ledger.redis, serializer=JSONSerializer).enqueue_call("print")
    ledger.redis.hset(keys.rq_job(job.id), "enqueued_at", enqueued_at)
    oldest = queues.oldest_wait_s(ledger)
    assert oldest is not None
    assert 0 <= oldest <= 86_400
    assert taken(ledger) == job.id


def test_a_key_of_another_kind_in_place_of_a_job_stops_nobody(ledger: Ledger) -> None:
    ledger.redis.set(keys.rq_job("odd"), "no hash")
    ledger.redis.rpush(keys.rq_queue("high"), "odd")
    rq_id = delivered(ledger, "a", "default")
    assert taken(ledger) == rq_id


def test_the_bell_rings_once_a_delivery_and_never_piles_up(ledger: Ledger) -> None:
    for at in range(3):
        delivered(ledger, str(at), "default")
    assert ledger.redis.llen(keys.BELL) == 3
    taken(ledger)
    assert ledger.redis.llen(keys.BELL) == 2
    with ledger.redis.pipeline() as pipe:
        queues.ring(pipe, 5000)
        pipe.execute()
    assert ledger.redis.llen(keys.BELL) == queues.BELL_LENGTH
