"""The table of the API: every door once, and what no door leads to. Routes, OpenAPI and tests are made from it."""

from __future__ import annotations

from dashboard.api import fleet, jobs, openapi, people, record, shelf
from dashboard.api.door import Door
from tasks.access import NEEDS, Right

DOORS: tuple[Door, ...] = (
    *people.DOORS,
    *jobs.DOORS,
    *shelf.DOORS,
    *fleet.DOORS,
    *record.DOORS,
    Door("GET", "/openapi.json", Right.SEE, lambda asked: openapi.document(DOORS), "This API as OpenAPI 3.1"),
)

# Rights of people that no door makes use of, and why.
NO_DOOR: dict[Right, str] = {}

assert len({(door.method, door.path) for door in DOORS}) == len(DOORS), "two doors are one"
assert all(NEEDS[door.right] for door in DOORS), "a door without a right of people"
assert {right for right in Right if NEEDS[right]} == (
    {door.right for door in DOORS} | {right for door in DOORS for right in door.also} | set(NO_DOOR)
), "a right that no door leads to"
