"""What programs are told: rows as JSON's own types, under the field names that `--json` and the HTTP API share.

A name that stands here is a promise to scripts: fields are added, never renamed. Light, as every command loads it.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.access import Person
    from tasks.ledger import Ledger
    from tasks.ledger.records import JobRow


def plain(value: Any) -> Any:
    """The value in JSON's own types: dataclasses become objects, times ISO 8601."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    return value


def job_object(row: JobRow) -> dict[str, Any]:
    """A job: the fields of its record, the recipe as an object."""
    from tasks.ledger.records import loaded  # only where a job is told: it brings the Redis client with it

    found: dict[str, Any] = plain(row)
    found["recipe"] = loaded(row.recipe)
    return found


def whole_job(ledger: Ledger, row: JobRow) -> dict[str, Any]:
    """A job with its documents, stages and events; documents are numbered from 1."""
    from tasks.ledger import monitor

    return {
        **job_object(row),
        "files": [
            {
                "number": one.number + 1,
                "name": one.name,
                "state": one.state.value,
                "error": one.error,
                "chunks": one.chunks,
                "cached": one.cached,
                "size_bytes": one.size_bytes,
                "sha256": one.sha256,
                "seconds": one.seconds,
                "tries": one.tries,
            }
            for one in monitor.documents(ledger, row.id)
        ],
        "receipt": plain(monitor.receipt(ledger, row.id)),
        "stages": plain(monitor.stages(ledger, row.id)),
        "events": plain(monitor.events(ledger, row.id)),
    }


def person_object(person: Person, token: str) -> dict[str, Any]:
    """Somebody to themselves. `token` is the id of theirs; which collections they do not see is told to nobody."""
    from tasks.access import Right

    return {
        "name": person.name,
        "email": person.email,
        "role": person.role,
        "groups": sorted(person.groups),
        "limited": person.limited,
        "rights": [right.name.lower() for right in Right if person.may(right)],
        "token": token,
    }
