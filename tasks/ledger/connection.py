"""The connection to the ledger: one pool of Redis connections a process, and the scripts loaded from disk."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from tasks.errors import RedisTooOld, RedisUnreachable
from tasks.ledger import keys
from tasks.settings import Settings, masked

NEEDED = (6, 2)
SOCKET_TIMEOUT_S = 10.0

SCRIPTS = ("submit", "claim", "report", "settle", "close", "cancel", "retry", "delete", "requeue", "unlock", "limit")
STANDALONE = frozenset({"unlock", "limit"})  # need nothing of the prelude


@cache
def source(name: str) -> str:
    """A script's text, the prelude in front where it needs it."""
    folder = resources.files("tasks.ledger") / "scripts"
    body = (folder / f"{name}.lua").read_text("utf-8")
    if name in STANDALONE:
        return body
    return (folder / "prelude.lua").read_text("utf-8") + body


class Ledger:
    """A Redis client with our scripts. Safe to share between threads; make a new one after a fork."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self.redis = client
        self.settings = settings
        self._scripts = {name: client.register_script(source(name)) for name in SCRIPTS}

    def run(self, name: str, script_keys: list[str], args: list[str | int | float]) -> Any:
        """Run a script by name; reply as redis-py gives it (bytes, ints, lists)."""
        return self._scripts[name](keys=script_keys, args=args)

    def transition(self, name: str, job_id: str, *args: str | int | float, extra: tuple[str, ...] = ()) -> list[str]:
        """Run a transition script of one job; the reply as text."""
        reply = self.run(name, [*keys.for_scripts(job_id), *extra], [job_id, *args])
        return [part.decode() if isinstance(part, bytes) else str(part) for part in reply]

    def now(self) -> float:
        """The server's clock, epoch seconds: the one clock of all hosts."""
        seconds, micros = self.redis.time()
        return float(seconds) + float(micros) / 1e6

    def close(self) -> None:
        """Give the connections back; the ledger is of no use afterwards."""
        self.redis.close()


def client(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> redis.Redis:
    """A client for workers and pages alike: bounded waits, a few retries, health checks."""
    return redis.Redis.from_url(
        url,
        decode_responses=False,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(5.0, timeout_s),
        health_check_interval=30,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 3 if timeout_s >= SOCKET_TIMEOUT_S else 1),
        max_connections=64,
    )


def connect(settings: Settings, *, timeout_s: float = SOCKET_TIMEOUT_S) -> Ledger:
    """Connect and check the server. Raises RedisUnreachable or RedisTooOld, without any password.

    A page waits for a silent server for `timeout_s` and one retry; workers have more patience.
    """
    url = settings.redis_address()
    try:
        ledger = Ledger(client(url, timeout_s=timeout_s), settings)
        version = str(ledger.redis.info("server").get("redis_version", "0"))
    except ValueError as error:
        raise RedisUnreachable(url=masked(url), reason=f"not a Redis address: {error}") from None
    except redis.RedisError as error:
        raise RedisUnreachable(url=masked(url), reason=_reason(error)) from None
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < NEEDED:
        raise RedisTooOld(url=masked(url), version=version, needed=".".join(map(str, NEEDED)))
    return ledger


def _reason(error: redis.RedisError) -> str:
    if isinstance(error, redis.AuthenticationError):
        return "it refuses the user or the password"
    if isinstance(error, redis.TimeoutError):
        return "no answer in time"
    if isinstance(error, redis.ConnectionError):
        return "no connection"
    return type(error).__name__
