"""Who owns each shard, learned from what Redis tells; and whether anyone wrote with a fence that is not the owner's.

A second opinion on the scripts: it knows how a fence is spelled and what a shard's row says, and nothing of how
they compare them. Commands of a script follow the call of it in MONITOR without another in between.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from tasks.ledger import connection, keys
from tasks.ledger.store import PUBLISH
from tests.chaos.history import History

# Where the shard and the fence stand among a script's arguments; a close is always of the publish.
FENCED = {"report": (1, 2), "settle": (1, 2), "close": (None, 1)}
WRITES = frozenset({"SET", "DEL", "HSET", "HSETNX", "HDEL", "HINCRBY", "HINCRBYFLOAT", "ZADD", "ZREM", "RPUSH", "XADD"})


@dataclass
class Call:
    """A call of a fenced script by somebody who does not own the shard."""

    job: str
    does: str
    wrote: str = ""


def names() -> dict[str, str]:
    """The fenced scripts by the SHA-1 under which Redis runs them."""
    return {hashlib.sha1(connection.source(name).encode(), usedforsecurity=False).hexdigest(): name for name in FENCED}


class Fences:
    """Follows the stream of commands. What it has not seen since the last gap it does not judge."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._owner: dict[tuple[str, str], tuple[str, str] | None] = {}
        self._call: Call | None = None
        self._names = names()

    def forget(self) -> None:
        """There was a gap."""
        self._owner.clear()
        self._call = None

    def told(self, words: list[str], *, by_script: bool) -> None:
        """One command, as the monitor tells it."""
        if not by_script:
            self._end()
            if words[0].upper() == "EVALSHA" and words[1] in self._names:
                self._called(self._names[words[1]], words[3 + int(words[2]) :])
            return
        verb, key = words[0], words[1] if len(words) > 1 else ""
        if self._call is not None and verb in WRITES and not self._call.wrote:
            self._call.wrote = key
        if verb == "HSET" and key.endswith(":shards"):
            self._owned(key, words[2:])
        elif verb == "DEL":
            for gone in words[1:]:
                self._owner.update(dict.fromkeys((pair for pair in self._owner if keys.shards(pair[0]) == gone), None))

    def _called(self, name: str, given: list[str]) -> None:
        shard_at, fence_at = FENCED[name]
        pair = (given[0], PUBLISH if shard_at is None else given[shard_at])
        if pair in self._owner and not self._matches(self._owner[pair], given[fence_at]):
            self._call = Call(given[0], name)

    def _matches(self, owner: tuple[str, str] | None, fence: str) -> bool:
        attempt, _, token = fence.partition(":")
        return owner is not None and owner[0] == attempt and token in ("", owner[1])

    def _owned(self, key: str, pairs: list[str]) -> None:
        job = key.removeprefix(keys.job("")).removesuffix(":shards")
        for shard, raw in zip(pairs[::2], pairs[1::2], strict=False):
            row = json.loads(raw)
            running = row.get("state") == "running"
            self._owner[job, shard] = (str(row.get("attempt")), str(row.get("token", ""))) if running else None

    def _end(self) -> None:
        """The call is over: it was fenced off, or it was not."""
        call, self._call = self._call, None
        if call is not None:
            changed = [call.wrote] if call.wrote else []
            self._history.note("zombie", job=call.job, does=call.does, fenced=not call.wrote, changed=changed)
