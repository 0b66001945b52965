"""The Redis client of our programs: a key that holds something of another type reads as if it were not there.

Whoever can write to Redis can put a string where a hash belongs. A reader then shows what is left, and the janitor
sets such a key aside (`tasks.repairs.forged`). Writes to it still fail, as they must: only commands that read nothing
but their own key and answer with its contents are covered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis
from redis.client import Pipeline
from redis.exceptions import ResponseError

_LISTS = ("HKEYS", "HVALS", "LRANGE", "SORT", "SRANDMEMBER", "XRANGE", "XREVRANGE")
_INDEXES = ("ZRANGE", "ZRANGEBYSCORE", "ZREVRANGE", "ZREVRANGEBYSCORE")
_NOTHING: dict[str, Any] = {
    **dict.fromkeys((*_LISTS, *_INDEXES), ()),
    **dict.fromkeys(("GET", "HGET", "LINDEX", "LPOS", "ZRANK", "ZSCORE")),
    **dict.fromkeys(("HLEN", "HSTRLEN", "LLEN", "SCARD", "STRLEN", "XLEN", "ZCARD", "ZCOUNT"), 0),
    **dict.fromkeys(("HEXISTS", "SISMEMBER"), False),
}


def is_wrong_type(error: object) -> bool:
    """Whether a command met a key of another type; in a script too, where newer servers put words around it."""
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)


def covered(command: Sequence[Any]) -> bool:
    """Whether a command only reads, so that its answer can be that there is nothing."""
    return command[0] in _NOTHING or command[0] in ("HGETALL", "HMGET", "SMEMBERS")


def nothing(command: Sequence[Any]) -> Any:
    """What a covered command answers for a key that is not there."""
    match command[0]:
        case "HGETALL":
            return {}
        case "SMEMBERS":
            return set()
        case "HMGET":
            return [None] * (len(command) - 2)
    found = _NOTHING[command[0]]
    return list(found) if isinstance(found, tuple) else found


class _Tolerant(Pipeline):
    """A pipeline whose other answers are not lost to one damaged key."""

    def _execute_transaction(self, connection: Any, commands: Any, raise_on_error: bool) -> list[Any]:
        return self._mended(super()._execute_transaction(connection, commands, False), commands, raise_on_error)

    def _execute_pipeline(self, connection: Any, commands: Any, raise_on_error: bool) -> list[Any]:
        return self._mended(super()._execute_pipeline(connection, commands, False), commands, raise_on_error)  # type: ignore[no-untyped-call]

    def _mended(self, answers: list[Any], commands: Any, raise_on_error: bool) -> list[Any]:
        for at, answer in enumerate(answers):
            if isinstance(answer, ResponseError) and is_wrong_type(answer) and covered(commands[at][0]):
                answers[at] = nothing(commands[at][0])
        if raise_on_error:
            self.raise_first_error(commands, answers)  # type: ignore[no-untyped-call]
        return answers

    def _send_command_parse_response(self, conn: Any, command_name: str, *args: Any, **options: Any) -> Any:
        return _answer(super()._send_command_parse_response, conn, command_name, *args, **options)


class Client(redis.Redis):
    """As redis.Redis, with that."""

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        return _Tolerant(self.connection_pool, self.response_callbacks, transaction, shard_hint)

    def _send_command_parse_response(self, conn: Any, command_name: str, *args: Any, **options: Any) -> Any:
        return _answer(super()._send_command_parse_response, conn, command_name, *args, **options)


def _answer(ask: Any, conn: Any, command_name: str, *args: Any, **options: Any) -> Any:
    try:
        return ask(conn, command_name, *args, **options)
    except ResponseError as error:
        if is_wrong_type(error) and covered(args):
            return nothing(args)
        raise
