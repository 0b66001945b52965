"""What somebody who can write to Redis may put under a name: of every type, of every shape."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import redis
from hypothesis import strategies as st

from tasks.ledger import foreign, keys, packed
from tasks.ledger.records import text

VALUES: tuple[bytes, ...] = (
    b"",
    b"0",
    b"-1",
    b"1",
    b"nan",
    b"inf",
    b"1e999",
    b"1e300",
    b"9" * 18,
    b"9" * 400,
    b"0x7f",
    b"\xff\xfe\x00\x80",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"[1, 2, 3]",
    b'"\\ud800"',
    b'{"at": "nan", "by": ["x"], "text": {"a": "\\ud800"}}',
    b'{"at": 1e300, "by": null, "why": 7, "note": [], "query": {}, "sort": []}',
    b'{"state": {}, "attempt": "x", "rq_id": [], "work": "much", "documents": "all", "tries": {}}',
    b'{"state": "running", "attempt": 1.5, "rq_id": "r", "documents": [[], {}, null, "x", 1e300]}',
    b'{"state": "queued", "documents": [0, 1], "name": 5, "chunks": "x", "size_bytes": [], "error": null}',
    b'{"state": "completed", "chunks": -1e300, "cached": "yes", "seconds": NaN, "tries": Infinity}',
    b'{"s": "x", "e": {"failed": "x"}, "w": {"1e300": 1e300, "-5": -5}, "r": [1], "q": "nan", "d": 1e400}',
    b'{"state": "banana"}',
    b"banana",
    b"running",
    b"2026-13-45T99:99:99Z",
    b"<script>alert(1)</script>",
    b"[" * 5_000,
    b'{"a":' * 5_000,
    b"x" * 300_000,
    b"a\nb\r\n\x1b[31m",
    b"../../etc/passwd",
    b"\x80\x04\x95cos\nsystem\n(S'true'\ntR.",
)
FIELDS: tuple[str, ...] = (
    *packed.FIELDS,
    *foreign.OPENED,
    *(
        "recipe",
        "arguments",
        "sync",
        "published_attempt",
        "running_shards",
        "shards_total",
        "shards_done",
        "next_shard",
    ),
    *("work", "committing", "touched_at", "0", "1", "2", "publish", "banana", "-1", "load:first", "load:last", "a:b:c"),
    *("load:work", "pdf:documents", "pdf:seconds", "txt:bytes", "max_failed_percent", "min_documents", "size", "low"),
    *(
        "high",
        "default",
        "wanted",
        "host",
        "delivery",
        "document",
        "rss_bytes",
        "cpu_percent",
        "pool",
        "cursor",
        "done",
    ),
    *("sampled", "usual", "refused:x", "intent", "contracts", "w1", "queues", "pid", "hostname", "ingestboard_job"),
    *("ingestboard_shard", "data", "queued", "completed", "failed", "requests", "tokens", "mended", "name", "job"),
)
SCORES = (0.0, -1.0, 1.0, 1e10, 4e9, 1e300, float("inf"), float("-inf"), 2.0**60)
TYPES = ("string", "hash", "list", "set", "zset", "stream")


@dataclass
class Names:
    """What the keys of one spoiled ledger are about."""

    job: str
    rq_job: str = "foreign"
    other: dict[str, Any] = field(default_factory=dict)

    def arguments(self, parameters: list[str]) -> list[Any]:
        """What a function of keys.py is asked with; a KeyError is a key that has no case here yet."""
        known: dict[str, Any] = {
            "job_id": self.job,
            "rq_id": self.rq_job,
            "collection": "contracts",
            "fingerprint": "wordllama",
            "token": "once",
            "host": "host",
            "name": "w1",
            "worker": "w1",
            "queue": "default",
            "registry": "failed",
            "kind": "scheduler-lock",
            "resolution": "hour",
            "span": 687,
            "person": "ana",
            "key": "x",
            "at": 1,
        }
        return [(known | self.other)[name] for name in parameters]


# Of the functions and constants of keys.py, what names no single key.
NO_KEYS = {"PREFIX", "RQ_PREFIXES", "SHAPES", "SHAPES_OF_JOB", "of_job", "for_scripts"}
# Channels and names that RQ or a person's form make up; what is set aside is never read.
NOT_READ = {"rq_commands", "damaged"}


def patterns() -> dict[str, Callable[[Names], str]]:
    """Every key that keys.py spells, by its name there."""
    found: dict[str, Callable[[Names], str]] = {}
    for name, value in vars(keys).items():
        if name.startswith("_") or name in NO_KEYS or name in NOT_READ or inspect.ismodule(value):
            continue
        if isinstance(value, str) and name.isupper():
            found[name] = _constant(value)
        elif inspect.isfunction(value) and value.__module__ == keys.__name__:
            found[name] = _made(value)
    found |= {f"rq_{prefix.strip(':').split(':')[-1]}_raw": _raw(prefix) for prefix in keys.RQ_PREFIXES}
    # The same of a queue that is another program's.
    found["rq_queue_foreign"] = lambda names: keys.rq_queue("theirs")
    found["rq_registry_started"] = lambda names: keys.rq_registry("started", "theirs")
    return found


def _constant(key: str) -> Callable[[Names], str]:
    return lambda names: key


def _made(function: Callable[..., str]) -> Callable[[Names], str]:
    asked = list(inspect.signature(function).parameters)
    return lambda names: function(*names.arguments(asked))


def _raw(prefix: str) -> Callable[[Names], str]:
    return lambda names: prefix + names.rq_job


@dataclass(frozen=True)
class Spoil:
    """One key spoiled: put in place of what was there, or beside it where the type is the same."""

    pattern: str
    kind: str
    beside: bool
    entries: tuple[tuple[str, bytes, float], ...]

    def apply(self, client: redis.Redis, key: str) -> bool:
        """Write it; whether what was there is still there."""
        here = text(client.type(key))
        beside = self.beside and here in (self.kind, "none") and self.kind != "string"
        if not beside:
            client.delete(key)
        for name, value, score in self.entries:
            match self.kind:
                case "string":
                    client.set(key, value)
                case "hash":
                    client.hset(key, name, value)
                case "list":
                    client.rpush(key, value)
                case "set":
                    client.sadd(key, value)
                case "zset":
                    client.zadd(key, {value or name.encode(): score})
                case "stream":
                    client.xadd(key, {name: value, "job": value})
        return beside


def spoils(names: list[str] | None = None) -> st.SearchStrategy[Spoil]:
    return st.builds(
        Spoil,
        pattern=st.sampled_from(names or sorted(patterns())),
        kind=st.sampled_from(TYPES),
        beside=st.booleans(),
        entries=st.lists(
            st.tuples(
                st.sampled_from(FIELDS),
                st.sampled_from(VALUES) | st.binary(max_size=40) | _json(),
                st.sampled_from(SCORES),
            ),
            min_size=1,
            max_size=6,
        ).map(tuple),
    )


def _json() -> st.SearchStrategy[bytes]:
    """Objects with the members that our rows have, of any type."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    members = st.sampled_from(
        (
            "state",
            "attempt",
            "rq_id",
            "work",
            "documents",
            "tries",
            "token",
            "worker",
            "name",
            "at",
            "by",
            "text",
            "e",
            "w",
        )
    )
    values = leaves | st.lists(leaves, max_size=3) | st.dictionaries(members, leaves, max_size=3)
    return st.dictionaries(members, values, max_size=6).map(lambda made: json.dumps(made).encode())
