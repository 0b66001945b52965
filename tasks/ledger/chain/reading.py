"""Rows of the record for who asks: from the stream while it holds them, from the files beyond that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from tasks.ledger import activity
from tasks.ledger.activity import ActivityRow, Wanted
from tasks.ledger.chain.files import contents, first_of, folder, paths, pieces
from tasks.ledger.chain.lines import Line, read
from tasks.ledger.chain.walking import Fault, walk
from tasks.ledger.connection import Ledger
from tasks.settings import Settings


@dataclass(frozen=True, slots=True)
class Found:
    """Rows, newest first, and whether they are all that match."""

    rows: tuple[ActivityRow, ...]
    all_of_it: bool


def newest_first(settings: Settings, ledger: Ledger | None, wanted: Wanted, *, limit: int) -> Found:
    """What matches, the newest first: of the stream, then of the files what is older. Raises OSError."""
    rows = list(islice(_newest_first(settings, ledger, wanted, limit + 1), limit + 1))
    return Found(tuple(rows[:limit]), len(rows) <= limit)


def _newest_first(settings: Settings, ledger: Ledger | None, wanted: Wanted, limit: int) -> Iterator[ActivityRow]:
    seen: set[str] = set()
    if ledger is not None:
        rows, _ = activity.matching(ledger, wanted, limit=limit)
        seen.update(row.id for row in rows)
        yield from rows
    for path in reversed(paths(folder(settings))):
        for raw in reversed(list(pieces(contents(path)))):
            row = _row(read(raw))
            if row is None:
                continue
            if wanted.since is not None and row.at < wanted.since:
                return  # what is older is of an older time
            if row.id not in seen and wanted.within(row) and wanted.matches(row):
                seen.add(row.id)
                yield row


def oldest_first(
    settings: Settings, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[dict[str, Any]]:
    """Lines of the files from one time to another, each as an object with its place in the chain. Raises OSError."""
    files = paths(folder(settings))
    for at, path in enumerate(files):
        if since is not None and at + 1 < len(files) and _begins_before(files[at + 1], since):
            continue
        for found in walk([path], from_the_start=False):
            if isinstance(found, Fault):
                continue
            line = found.what
            when = activity.at_of(line.id)
            if (since is None or when >= since) and (until is None or when < until):
                yield {
                    "n": line.n,
                    "at": when.isoformat(timespec="milliseconds"),
                    "id": line.id,
                    line.kind: line.body,
                    "before": line.before,
                    "hash": line.hash,
                }


def _begins_before(path: Path, since: datetime) -> bool:
    with path.open("rb") as stream:
        line = read(stream.readline())
    return line is not None and first_of(path) == line.n and activity.at_of(line.id) < since


def _row(line: Line | None) -> ActivityRow | None:
    if line is None or line.kind != "row":
        return None
    return activity.row_of(line.id, {str(name): str(value) for name, value in line.body.items()})
