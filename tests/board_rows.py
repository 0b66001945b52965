"""Rows of the board as tests want them, without a ledger."""

from __future__ import annotations

from collections.abc import Iterable

from dashboard.memory.mirror import Memory, Mirror
from tasks.ledger import packed
from tasks.ledger.packed import Packed

WANTED = {"state": "completed", "collection": "contracts", "owner": "ana", "kind": "ingest", "priority": "default"}


def row(job_id: str, **fields: object) -> Packed:
    """A job, completed unless told otherwise."""
    given = {**WANTED, "revision": 1, **fields}
    made = packed.pack(job_id, [str(given[name]).encode() if name in given else None for name in packed.FIELDS])
    assert made is not None
    return made


def memory_of(rows: Iterable[Packed]) -> Memory:
    memory = Memory()
    memory.rows.put(rows)
    return memory


def mirror_of(memory: Memory) -> Mirror:
    """A mirror over those rows."""
    return Mirror(memory=memory, loaded=len(memory.rows), total=len(memory.rows))
