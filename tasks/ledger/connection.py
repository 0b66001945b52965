"""The connection to the ledger: one pool of Redis connections a process, and the scripts loaded from disk."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import resources
from typing import Any

import redis

from tasks.access import NOBODY, Person
from tasks.errors import RecordDamaged, RedisTooOld, RedisUnreachable
from tasks.ledger import addresses, keys, sentinel
from tasks.ledger.client import Client
from tasks.ledger.records import text
from tasks.ledger.trouble import NO_CONNECTION, WANTS_CERTIFICATE, Patience, is_damage, passes, reason
from tasks.settings import Settings, masked

NEEDED = (6, 2)
SOCKET_TIMEOUT_S = 10.0
DAMAGED = ["refused", "damaged in Redis"]  # as a script refuses a job in a state that does not allow what is asked

SCRIPTS = (
    "submit",
    "claim",
    "report",
    "settle",
    "close",
    "cancel",
    "retry",
    "delete",
    "requeue",
    "unlock",
    "limit",
    "foreign_page",
    "foreign_job",
    "foreign_act",
    "presence",
    "take",
    "lease",
    "expire",
    "reprioritise",
    "write_off",
    "mend",
    "recount",
    "advance",
    "record",
    "shapes",
    "allowance",
)
# These need nothing of the prelude.
STANDALONE = frozenset(
    {
        "allowance",
        "foreign_act",
        "foreign_job",
        "foreign_page",
        "limit",
        "presence",
        "record",
        "recount",
        "shapes",
        "take",
        "unlock",
    }
)


@cache
def source(name: str) -> str:
    """A script's text, the prelude in front where it needs it."""
    folder = resources.files("tasks.ledger") / "scripts"
    body = (folder / f"{name}.lua").read_text("utf-8")
    if name in STANDALONE:
        return body
    return (folder / "prelude.lua").read_text("utf-8") + body


class Ledger:
    """A Redis client with our scripts, in the hands of one person: they see what they may and sign what they do.

    Safe to share between threads; make a new one after a fork.
    """

    def __init__(self, client: redis.Redis, settings: Settings, person: Person = NOBODY) -> None:
        self.redis = client
        self.settings = settings
        self.person = person
        self._scripts = {name: client.register_script(source(name)) for name in SCRIPTS}

    def held_by(self, person: Person) -> Ledger:
        """The same connection in the hands of this person."""
        if person == self.person:
            return self
        other = copy.copy(self)
        other.person = person
        return other

    def run(self, name: str, script_keys: list[str], args: list[str | int | float]) -> Any:
        """Run a script by name; reply as redis-py gives it (bytes, ints, lists).

        Raises RecordDamaged where a script meets what is not of its making.
        """
        try:
            return self._scripts[name](keys=script_keys, args=args)
        except redis.ResponseError as error:
            if not is_damage(error):
                raise
            raise RecordDamaged(what="something that this needs") from error

    def transitions(
        self, name: str, asked: Sequence[tuple[str, Sequence[str | int | float], tuple[str, ...]]]
    ) -> list[list[str]]:
        """Run a script for many jobs, (id, arguments, extra keys) each, in one round trip; each job is its own step.

        A job whose record is damaged has the reply DAMAGED, and the others theirs.
        """
        if not asked:
            return []
        with self.redis.pipeline(transaction=False) as pipe:
            for job_id, args, extra in asked:
                self._scripts[name](keys=[*keys.for_scripts(job_id), *extra], args=[job_id, *args], client=pipe)
            replies: list[Any] = pipe.execute(raise_on_error=False)
        for at, reply in enumerate(replies):
            if isinstance(reply, Exception):
                if not is_damage(reply):
                    raise reply
                replies[at] = DAMAGED
        return [_decoded(reply) for reply in replies]

    def transition(self, name: str, job_id: str, *args: str | int | float, extra: tuple[str, ...] = ()) -> list[str]:
        """Run a transition script of one job; the reply as text. Raises RecordDamaged."""
        try:
            reply = self.run(name, [*keys.for_scripts(job_id), *extra], [job_id, *args])
        except RecordDamaged as error:
            raise RecordDamaged(what=f"job {job_id}" if job_id else "the ledger's counters") from error
        return _decoded(reply)

    def now(self) -> float:
        """The server's clock, epoch seconds: the one clock of all hosts."""
        seconds, micros = self.redis.time()
        return float(seconds) + float(micros) / 1e6

    def server_run(self) -> str:
        """Names one run of the server, so that a restart or a fail-over shows; empty where a server does not tell."""
        try:
            return str(self.redis.info("server").get("run_id", ""))
        except redis.ResponseError as error:
            if passes(error):
                raise
            return ""

    def be_patient(self, wait_s: float) -> None:
        """From now on each call waits so long for a Redis in trouble that passes."""
        patience = self.redis.connection_pool.connection_kwargs.get("retry")
        if isinstance(patience, Patience):
            patience.wait_s = wait_s

    def give_up_when(self, stopping: Callable[[], bool]) -> None:
        """End a wait for Redis early when the program is told to stop."""
        patience = self.redis.connection_pool.connection_kwargs.get("retry")
        if isinstance(patience, Patience):
            patience.give_up = stopping

    def hurried(self) -> AbstractContextManager[None]:
        """A block in which a call that Redis does not answer fails at once, however patient the client is."""
        patience = self.redis.connection_pool.connection_kwargs.get("retry")
        return patience.hurried() if isinstance(patience, Patience) else nullcontext()

    def close(self) -> None:
        """Give the connections back; the ledger is of no use afterwards."""
        self.redis.close()


def _decoded(reply: Any) -> list[str]:
    return [text(part) for part in reply]


def client(
    url: str,
    *,
    timeout_s: float = SOCKET_TIMEOUT_S,
    patience_s: float = 0.0,
    give_up: Callable[[], bool] = lambda: False,
) -> redis.Redis:
    """A client for workers and pages alike: bounded waits, a few tries, health checks. Raises ValueError.

    With `patience_s` each call waits so long for a Redis in trouble that passes, unless `give_up` says otherwise.
    """
    patience = Patience(patience_s, tries=3 if timeout_s >= SOCKET_TIMEOUT_S else 1, give_up=give_up)
    options: dict[str, Any] = {
        "decode_responses": False,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": min(5.0, timeout_s),
        "health_check_interval": 30,
        "retry": patience,
        "max_connections": 64,
    }
    if sentinel.is_sentinel(url):
        return sentinel.client(url, **options)
    addresses.check(url)
    return Client.from_url(url, **options)


def _refusal(url: str, error: redis.RedisError) -> str:
    """Why there is no connection; a server that takes it and hangs up is told apart from one that is not there."""
    told, tls = reason(error), url.startswith("rediss") and "ssl_certfile" not in addresses.asked(url)
    hung_up = isinstance(error, redis.ConnectionError) and "connecting to" not in str(error)
    return WANTS_CERTIFICATE if told == NO_CONNECTION and tls and hung_up else told


def connect(
    settings: Settings, person: Person = NOBODY, *, timeout_s: float = SOCKET_TIMEOUT_S, patience_s: float = 0.0
) -> Ledger:
    """Connect in the hands of somebody and check the server. Raises RedisUnreachable or RedisTooOld, without any
    password.

    A page waits for a silent server for `timeout_s` and one retry; workers have more patience.
    """
    url = settings.redis_address()
    try:
        ledger = Ledger(client(url, timeout_s=timeout_s, patience_s=patience_s), settings, person)
        version = str(ledger.redis.info("server").get("redis_version", "0"))
    except ValueError as error:
        raise RedisUnreachable(url=masked(url), reason=f"not a Redis address: {error}") from None
    except redis.RedisError as error:
        raise RedisUnreachable(url=masked(url), reason=_refusal(url, error)) from None
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < NEEDED:
        raise RedisTooOld(url=masked(url), version=version, needed=".".join(map(str, NEEDED)))
    return ledger
