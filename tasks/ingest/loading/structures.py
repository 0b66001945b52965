"""JSON and JSON lines: every value on a line with the path that leads to it, `address.city: Oslo`.

JSON up to WHOLE_MAX bytes is parsed; a larger file is indexed as the text that it is, because parsing it
would need many times its size in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.errors import DocumentFailed
from tasks.ingest.loading import text
from tasks.ingest.loading.portions import Piece, ranges

WHOLE_MAX = 16 << 20
LINE_MAX = 16 << 20  # characters of one JSON line

_NOT_JSON = "The file is not valid JSON (line {line}); correct it, or upload it with a name that ends in .txt."
_TOO_DEEP = "The JSON is nested too deeply to be read; flatten it, or upload it with a name that ends in .txt."
_VALUES = 1000


def read(path: Path) -> Iterator[Piece]:
    """One JSON value; a file that holds one on each line is read as JSON lines."""
    encoding = text.encoding(path)
    size = path.stat().st_size
    if size > WHOLE_MAX:
        yield from text.blocks(path, encoding)
        return
    with text.opened(path, encoding) as file:
        body = file.read()
    try:
        value = json.loads(body)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and error.lineno > 1:
            yield from read_lines(path)
            return
        raise DocumentFailed(reason=_NOT_JSON.format(line=error.lineno)) from None
    except RecursionError:
        raise DocumentFailed(reason=_TOO_DEEP) from None
    total = ranges(size)
    lines: list[str] = []
    for line in _lines(value):
        lines.append(line)
        if len(lines) >= _VALUES:
            yield Piece("".join(lines), 0, total)
            lines.clear()
    yield Piece("".join(lines), total, total)


def read_lines(path: Path) -> Iterator[Piece]:
    """One JSON value on each line, with a blank line after each."""
    size = path.stat().st_size
    with text.opened(path, text.encoding(path)) as file:
        lines: list[str] = []
        number = 0
        while line := file.readline(LINE_MAX):
            number += 1
            if line.isspace():
                continue
            try:
                lines.extend(_lines(json.loads(line)))
            except json.JSONDecodeError:
                raise DocumentFailed(reason=_NOT_JSON.format(line=number)) from None
            except RecursionError:
                raise DocumentFailed(reason=_TOO_DEEP) from None
            lines.append("\n")
            if len(lines) >= _VALUES:
                yield Piece("".join(lines), *text.position(file, size))
                lines.clear()
        yield Piece("".join(lines), ranges(size), ranges(size))


def _lines(value: Any) -> Iterator[str]:
    """The scalars of a JSON value in order; a stack, because nesting may be deeper than Python's."""
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        path, current = stack.pop()
        if isinstance(current, dict):
            inner = [(f"{path}.{key}" if path else str(key), item) for key, item in current.items()]
            stack.extend(reversed(inner))
        elif isinstance(current, list):
            stack.extend((f"{path}[{index}]", current[index]) for index in range(len(current) - 1, -1, -1))
        elif current is not None and current != "":
            shown = json.dumps(current) if isinstance(current, bool | float) else str(current)
            yield f"{path}: {shown}\n" if path else f"{shown}\n"
