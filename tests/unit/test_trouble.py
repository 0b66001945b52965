"""Which errors of Redis pass, how they are said, how long a client waits, and what a Sentinel address means."""

from __future__ import annotations

import copy
import logging
import threading
import time

import pytest
import redis
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError

from tasks.ledger import sentinel, trouble
from tasks.ledger.trouble import Patience
from tasks.settings import masked


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (redis.ConnectionError("Connection refused"), "no connection"),
        (redis.TimeoutError("Timeout reading from socket"), "no answer in time"),
        (redis.ConnectionError("max number of clients reached"), "it has as many clients as it takes"),
        (BusyLoadingError("Redis is loading the dataset in memory"), "it is still loading its data"),
        (ReadOnlyError("You can't write against a read only replica."), "it takes no writes at the moment"),
        (OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "its memory is full"),
        (redis.ResponseError("NOREPLICAS Not enough good replicas to write."), "too few of its replicas"),
        (redis.ResponseError("MISCONF Errors writing to the AOF file"), "it cannot write to its own disk"),
        (
            redis.ResponseError("Error running script (call to f_1): @user_script:9: -OOM command not allowed"),
            "its memory is full",
        ),
    ],
)
def test_trouble_that_passes_is_told_as_a_clause(error: redis.RedisError, said: str) -> None:
    assert trouble.passes(error)
    assert said in trouble.reason(error)


@pytest.mark.parametrize(
    "error",
    [
        redis.AuthenticationError("invalid username-password pair"),
        redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        redis.ResponseError("ERR unknown command, with args beginning with: OOM"),
        redis.DataError("Invalid input"),
        ValueError("no trouble of Redis"),
    ],
)
def test_what_a_wait_does_not_mend_does_not_pass(error: Exception) -> None:
    assert not trouble.passes(error)


class Flaky:
    """Fails so many times and then answers."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.left:
            raise self.error
        return "answer"


def test_a_patient_client_waits_for_the_answer_and_says_so_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "SAID_AFTER_S", 0.0)
    call = Flaky(3, OutOfMemoryError("command not allowed"))
    with caplog.at_level(logging.WARNING):
        assert Patience(10.0).call_with_retry(call, lambda error: None) == "answer"
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "its memory is full" in said[0]
    assert said[1].startswith("Redis is back after ")


def test_patience_ends_by_time() -> None:
    began = time.monotonic()
    with pytest.raises(redis.ConnectionError):
        Patience(0.3).call_with_retry(Flaky(1000, redis.ConnectionError("refused")), lambda error: None)
    assert 0.3 <= time.monotonic() - began < 2


def test_an_error_that_does_not_pass_is_not_tried_again() -> None:
    call = Flaky(1, redis.AuthenticationError("wrong"))
    with pytest.raises(redis.AuthenticationError):
        Patience(10.0).call_with_retry(call, lambda error: None)
    assert call.calls == 1


def test_a_hurried_call_waits_for_nothing_in_its_own_thread_alone() -> None:
    patience = Patience(10.0)
    with patience.hurried():
        with pytest.raises(redis.TimeoutError):
            patience.call_with_retry(Flaky(1, redis.TimeoutError("slow")), lambda error: None)
        # A connection that had gone stale gets its second try.
        assert patience.call_with_retry(Flaky(1, redis.ConnectionError("stale")), lambda error: None) == "answer"
        answers: list[str] = []
        other = threading.Thread(
            target=lambda: answers.append(
                patience.call_with_retry(Flaky(3, redis.TimeoutError("slow")), lambda error: None)
            )
        )
        other.start()
        other.join()
    assert answers == ["answer"]


def test_a_program_that_is_told_to_stop_waits_no_longer() -> None:
    patience = Patience(60.0, give_up=lambda: True)
    with pytest.raises(redis.ConnectionError):
        patience.call_with_retry(Flaky(1000, redis.ConnectionError("refused")), lambda error: None)


def test_all_connections_of_a_client_share_one_patience() -> None:
    patience = Patience(1.0)
    assert copy.deepcopy(patience) is patience


def test_a_sentinel_address_is_read() -> None:
    address = sentinel.parse("redis+sentinel://ana:p%40ss@a:26380,b,[::1]:26381/board/2?sentinel_password=s3")
    assert address.hosts == (("a", 26380), ("b", 26379), ("::1", 26381))
    assert (address.service, address.db, address.username, address.password) == ("board", 2, "ana", "p@ss")
    assert (address.sentinel_password, address.tls) == ("s3", False)
    assert sentinel.parse("rediss+sentinel://a/board").tls


@pytest.mark.parametrize(
    "url",
    ["redis+sentinel://:hunter2@a:1", "redis+sentinel://:hunter2@a:x/board", "redis+sentinel://:hunter2@a/board/x"],
)
def test_a_wrong_sentinel_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"service|port|database") as refused:
        sentinel.parse(url)
    assert "hunter2" not in str(refused.value)


def test_a_sentinel_address_is_shown_without_its_passwords() -> None:
    url = "redis+sentinel://ana:hunter2@a:26380,b:26381/board/0?sentinel_password=hunter3&sentinel_username=bo"
    assert masked(url) == (
        "redis+sentinel://ana:***@a:26380,b:26381/board/0?sentinel_password=***&sentinel_username=bo"
    )
