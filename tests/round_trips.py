"""Counting what a piece of code asks of Redis: a command or a whole pipeline is one round trip."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from redis.client import Pipeline

from tasks.ledger import Ledger


@dataclass
class Trips:
    count: int = 0
    commands: int = 0


@contextmanager
def counting(ledger: Ledger) -> Iterator[Trips]:
    """The round trips of a ledger's client from here to the end of the block."""
    trips = Trips()
    client = type(ledger.redis)
    plain, execute = client.execute_command, Pipeline.execute

    def asks(self: Any, *args: Any, **options: Any) -> Any:
        trips.count += 1
        trips.commands += 1
        return plain(self, *args, **options)  # type: ignore[no-untyped-call]

    def sends(self: Any, raise_on_error: bool = True) -> Any:
        if len(self):
            trips.count += 1
            trips.commands += len(self)
        return execute(self, raise_on_error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "execute_command", asks)
        patch.setattr(Pipeline, "execute", sends)
        yield trips
