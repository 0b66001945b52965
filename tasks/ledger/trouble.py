"""Redis in trouble that passes: which errors those are, how they are said, and how long a program waits for the end.

A server that restarts, loads its log, fails over, is full, or takes no client for the moment comes back by itself or
by a person's hand: a program waits with a growing pause, says so once, and goes on. Anything else is an error.
"""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import redis
import redis.sentinel
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasks.errors import RecordDamaged

log = logging.getLogger(__name__)

# What the loop of a program waits out: Redis is away, or somebody wrote where only our programs write.
WAITED_OUT = (redis.RedisError, RecordDamaged)

T = TypeVar("T")

SHORTEST_S, LONGEST_S = 0.05, 2.0  # pauses between two tries
NO_CONNECTION = "no connection"  # nobody is there to answer
SAID_AFTER_S = 1.0  # what passes sooner is no news

WANTS_CERTIFICATE = "it may want a certificate of ours; give ssl_certfile and ssl_keyfile in REDIS_URL"

# What a server answers while it is not itself, by the word that the answer starts with (redis.io, "Redis error codes").
_SAYS = {
    "LOADING": "it is still loading its data",
    "READONLY": "it takes no writes at the moment",
    "NOREPLICAS": "too few of its replicas are connected for a write",
    "OOM": "its memory is full; raise maxmemory or delete old jobs",
    "MISCONF": "it cannot write to its own disk",
    "MASTERDOWN": "it has lost its master",
    "CLUSTERDOWN": "its cluster is down",
    "TRYAGAIN": "it asks to try again",
    "BUSY": "it is busy with a script",
    "UNBLOCKED": "it became a replica",
}


def passes(error: BaseException) -> bool:
    """Whether the trouble may end without a change here: a wrong password does not, a full memory does."""
    if isinstance(error, redis.AuthenticationError | redis.exceptions.AuthorizationError):
        return False
    if isinstance(error, redis.ConnectionError | redis.TimeoutError | socket.timeout):
        return True
    return isinstance(error, redis.ResponseError) and bool(_code(error))


def is_damage(error: BaseException) -> bool:
    """Whether a script or command failed for what it found: nothing that passes, and no right that is missing."""
    if not isinstance(error, redis.ResponseError) or passes(error) or "NOPERM" in str(error):
        return False
    if isinstance(error, redis.exceptions.NoPermissionError | redis.exceptions.NoScriptError):
        return False
    words = str(error)
    return any(said in words for said in _OF_DAMAGE)


def reason(error: BaseException) -> str:
    """The trouble as a clause for a person, without address or secret."""
    if isinstance(error, RecordDamaged) or is_damage(error):
        return "a record of ours in it is damaged"
    if isinstance(error, redis.AuthenticationError):
        return "it refuses the user or the password"
    if isinstance(error, redis.exceptions.NoPermissionError) or "NOPERM" in str(error):
        return "its user has no right to do that; see docs/redis-acl.md"
    if told := _of_tls(error):
        return told
    if code := _code(error):
        return _SAYS[code]
    if "max number of clients" in str(error):
        return "it has as many clients as it takes"
    if isinstance(error, redis.TimeoutError | socket.timeout):
        return "no answer in time"
    if isinstance(error, redis.sentinel.MasterNotFoundError):
        return "its sentinels know no master at the moment"
    if isinstance(error, redis.ConnectionError):
        return NO_CONNECTION
    return type(error).__name__


def _of_tls(error: BaseException) -> str:
    """What TLS did not like, which redis-py tells in the text of a ConnectionError alone."""
    words = str(error).lower() if isinstance(error, redis.ConnectionError) else ""
    # A server that wants a certificate may say so, or just hang up, as TLS 1.3 has it told after the handshake.
    if "certificate required" in words or "certificate_required" in words or "eof occurred in violation" in words:
        return WANTS_CERTIFICATE
    if "hostname mismatch" in words or "ip address mismatch" in words:
        return "its certificate is for another host; REDIS_URL must name the host that is in it"
    if "certificate verify failed" in words or "certificate_verify_failed" in words:
        return "its certificate is not signed by a CA that we know; give ssl_ca_certs in REDIS_URL"
    if "unknown ca" in words or "unknown_ca" in words:
        return "it does not know the CA of our certificate"
    if "wrong version number" in words or "wrong_version_number" in words or "record layer failure" in words:
        return "it does not speak TLS on that port"
    return ""


def _code(error: BaseException) -> str:
    if isinstance(error, redis.BusyLoadingError):
        return "LOADING"
    if isinstance(error, redis.exceptions.ReadOnlyError):
        return "READONLY"
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return "OOM"
    if isinstance(error, redis.exceptions.MasterDownError):
        return "MASTERDOWN"
    if not isinstance(error, redis.ResponseError):
        return ""
    # Redis 6 wraps what a script met: "Error running script (call to f_..): @user_script:12: -OOM command not allowed".
    words = str(error).split()
    candidates = [word.lstrip("-") for at, word in enumerate(words) if at == 0 or word.startswith("-")]
    return next((word for word in candidates if word in _SAYS), "")


# What a server says of a value that is not what the command takes, and of a script that stumbles over one.
_OF_DAMAGE = ("WRONGTYPE", "not an integer", "not a valid float", "not a float", "overflow", "NaN", "user_script")


class Patience(Retry):
    """How long the calls of one client wait for trouble to pass: `wait_s` from its beginning, 0 for a few quick tries.

    One object for all connections of a client. `give_up` ends a wait early, such as when the program is told to stop.
    """

    def __init__(self, wait_s: float = 0.0, *, tries: int = 3, give_up: Callable[[], bool] = lambda: False) -> None:
        super().__init__(NoBackoff(), tries)
        self.wait_s = wait_s
        self.give_up = give_up
        self._local = threading.local()
        self._since = 0.0  # monotonic beginning of the outage that was told, 0 while there is none

    def __deepcopy__(self, memo: dict[int, Any]) -> Patience:
        return self  # each connection makes a copy of its own otherwise, and a later change would not reach it

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """In this block and thread a call waits for nothing; one more try for a connection that had gone stale."""
        before = getattr(self._local, "hurried", False)
        self._local.hurried = True
        try:
            yield
        finally:
            self._local.hurried = before

    def call_with_retry(
        self,
        do: Callable[[], T],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        """As redis-py's, by time and not by count. A connection made inside a command does not wait on its own."""
        if getattr(self._local, "inside", False):
            return do()
        self._local.inside = True
        try:
            return self._called(do, fail, is_retryable, with_failure_count)
        finally:
            self._local.inside = False

    def _called(
        self,
        do: Callable[[], T],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None,
        with_failure_count: bool,
    ) -> T:
        failures, began = 0, 0.0
        while True:
            try:
                result = do()
            except Exception as error:
                if not passes(error) or (is_retryable and not is_retryable(error)):
                    raise
                failures += 1
                began = began or time.monotonic()
                fail(error, failures) if with_failure_count else fail(error)
                if not self._goes_on(failures, time.monotonic() - began, error):
                    raise
                # Some of it at random, so that many programs do not come back all at once.
                pause = min(LONGEST_S, SHORTEST_S * 2.0 ** min(failures, 10))
                time.sleep(pause * random.uniform(0.5, 1.0))
            else:
                self._is_well()
                return result

    def _goes_on(self, failures: int, waited_s: float, error: Exception) -> bool:
        if getattr(self._local, "hurried", False):
            return failures == 1 and type(error) is redis.ConnectionError
        if self.give_up():
            return False
        if self.wait_s <= 0:
            return failures <= self.get_retries()
        if waited_s > SAID_AFTER_S and not self._since:
            self._since = time.monotonic() - waited_s
            log.warning("Redis does not serve us (%s); waiting for it for up to %g s.", reason(error), self.wait_s)
        return waited_s < self.wait_s

    def _is_well(self) -> None:
        if self._since:
            log.warning("Redis is back after %.1f s.", time.monotonic() - self._since)
            self._since = 0.0
