"""The faults of a run, drawn from its seed before it starts: what strikes when, whom, and for how long."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

# How often each is drawn, beside the others.
WEIGHTS = {
    "kill horse": 6,
    "kill worker": 4,
    "kill host": 2,
    "kill pool": 2,
    "kill redis": 2,
    "freeze horse": 3,
    "freeze worker": 3,
    "freeze pool": 1,
    "freeze host": 2,
    "freeze redis": 2,
    "rolling restart": 2,
    "cut line": 2,
    "stall line": 2,
    "fill disk": 2,
}
KINDS = tuple(WEIGHTS)
# Shortest and longest, in seconds, of those that last: below and above the grace, the lease of a shard and that of the
# janitor, so that some work is taken from a host that will come back to it. None lasts a third of the run.
LASTING = {
    "freeze horse": (0.5, 6.0),
    "freeze worker": (0.5, 6.0),
    "freeze pool": (0.5, 6.0),
    "freeze host": (1.0, 14.0),
    "freeze redis": (0.3, 4.0),
    "kill redis": (0.2, 3.0),
    "kill host": (0.5, 5.0),
    "kill pool": (0.2, 2.0),
    "cut line": (0.5, 14.0),
    "stall line": (0.5, 14.0),
    "fill disk": (0.5, 3.0),
}
FIRST_S = 1.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: seconds after the start, its kind, which host, which of its processes, how long it lasts."""

    at_s: float
    kind: str
    host: int
    choice: float
    for_s: float = 0.0


def draw(seed: int, seconds: float, *, hosts: int, every_s: float, kinds: Sequence[str] = KINDS) -> list[Fault]:
    """The faults of a seed: by the weights, and every kind once at least where there is room."""
    chance = random.Random(f"faults {seed}")
    count = max(1, int((seconds - FIRST_S) / every_s))
    drawn = chance.sample(list(kinds), min(count, len(kinds)))
    drawn += chance.choices(list(kinds), [WEIGHTS[kind] for kind in kinds], k=count - len(drawn))
    chance.shuffle(drawn)
    moments = sorted(chance.uniform(FIRST_S, seconds) for _ in drawn)
    return [
        Fault(
            round(at, 2),
            kind,
            chance.randrange(hosts),
            chance.random(),
            lasting(kind, seconds, chance),
        )
        for at, kind in zip(moments, drawn, strict=True)
    ]


def lasting(kind: str, seconds: float, chance: random.Random) -> float:
    """How long a fault of a run of so many seconds lasts."""
    if kind not in LASTING:
        return 0.0
    shortest, longest = LASTING[kind]
    return round(chance.uniform(shortest, max(shortest, min(longest, seconds / 3))), 2)
