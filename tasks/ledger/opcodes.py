"""What can be told of a pickle without building anything: the keys of the dictionary that it holds.

The opcodes are read, never run: nothing is imported, called or constructed, whatever the bytes say. The stack
is followed as the pickle machine documents it (pickletools), with a token where an object would stand.
"""

from __future__ import annotations

import json
import pickletools
from typing import Any

MOST_OPCODES = 20_000
MOST_BYTES = 256 * 1024
_MARK, _OPAQUE = object(), object()


def keys_of(raw: bytes) -> tuple[str, ...] | None:
    """The text keys of a dictionary stored as JSON or as a pickle; None when that cannot be told."""
    if not raw:
        return ()
    if len(raw) > MOST_BYTES:
        return None
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return _of_pickle(raw)
    return tuple(map(str, found)) if isinstance(found, dict) else None


class _Followed(dict[str, None]):
    """Stands for a dictionary of the pickle: the text keys that were put into it, in order."""


def _of_pickle(raw: bytes) -> tuple[str, ...] | None:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(raw)):
            if count > MOST_OPCODES:
                return None
            if opcode.name == "STOP":
                break
            _follow(opcode, argument, stack, memo)
    except (ValueError, IndexError, OverflowError, UnicodeError, MemoryError):
        # genops raises these for what is no pickle, or one cut short.
        return None
    return tuple(stack[-1]) if stack and isinstance(stack[-1], _Followed) else None


def _follow(opcode: pickletools.OpcodeInfo, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    name = opcode.name
    if name == "MARK":
        stack.append(_MARK)
    elif name == "EMPTY_DICT":
        stack.append(_Followed())
    elif name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
        memo[len(memo) if name == "MEMOIZE" else int(argument)] = stack[-1]
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(memo.get(int(argument), _OPAQUE))
    elif name in ("SETITEM", "SETITEMS"):
        items = _since_mark(stack) if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
        if isinstance(stack[-1], _Followed):
            stack[-1].update((key, None) for key in items[::2] if isinstance(key, str))
    elif name == "DICT":
        items = _since_mark(stack)
        stack.append(_Followed((key, None) for key in items[::2] if isinstance(key, str)))
    else:
        _skip(opcode, argument, stack)


def _skip(opcode: pickletools.OpcodeInfo, argument: Any, stack: list[Any]) -> None:
    """Any other opcode: take from the stack what it takes, put a token for what it gives."""
    if pickletools.markobject in opcode.stack_before:
        _since_mark(stack)
        before = opcode.stack_before.index(pickletools.markobject)
    else:
        before = len(opcode.stack_before)
    for _ in range(before):
        stack.pop()
    text = (
        argument if isinstance(argument, str) and opcode.name.endswith(("UNICODE", "UNICODE8", "STRING")) else _OPAQUE
    )
    stack.extend(text for _ in opcode.stack_after)


def _since_mark(stack: list[Any]) -> list[Any]:
    """What was put on the stack since the last mark; both are taken off."""
    items = []
    while (top := stack.pop()) is not _MARK:
        items.append(top)
    return items[::-1]
