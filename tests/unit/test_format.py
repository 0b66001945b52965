"""How ages, durations, sizes and counts are said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dashboard import format
from dashboard.format import BADGES, DOCUMENT_BADGES
from tasks.ledger.states import DocumentState, State

NOW = datetime(2026, 11, 20, 16, 24, 51, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, format.NOTHING),
        (float("nan"), format.NOTHING),
        (float("inf"), format.NOTHING),
        (-3, "0.0 s"),
        (0.42, "0.4 s"),
        (0.96, "1 s"),
        (12.4, "12 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7440, "2 h 04 min"),
        (86_400 * 3 + 3600 * 4 + 59, "3 d 4 h"),
    ],
)
def test_a_duration_is_said_in_its_two_leading_units(seconds: float | None, said: str) -> None:
    assert format.duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3569, "59 min"), (3580, "1 h"), (84_599, "23 h"), (86_400, "1 d")],
)
def test_an_estimate_is_said_in_one_unit(seconds: float, said: str) -> None:
    assert format.coarse(seconds) == said


@given(some.floats(min_value=0, max_value=1e9))
def test_no_unit_is_ever_overfull(seconds: float) -> None:
    for said in (format.duration(seconds), format.coarse(seconds)):
        parts = said.split()
        for value, unit in zip(parts[::2], parts[1::2], strict=True):
            limit = {"s": 60, "min": 60, "h": 24}.get(unit)
            assert limit is None or float(value) < limit


def test_a_moment_is_said_relatively_and_exactly() -> None:
    assert format.ago(NOW - timedelta(seconds=12), NOW) == "12 s ago"
    assert format.ago(NOW + timedelta(seconds=2), NOW) == "now"
    assert format.ago(None, NOW) == format.NOTHING
    assert format.exact(NOW) == "2026-11-20 16:24:51 UTC"
    assert format.exact(None) == ""


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (-1, "0 B"),
        (0, "0 B"),
        (812, "812 B"),
        (1200, "1.2 kB"),
        (9_960, "10 kB"),
        (999_600, "1.0 MB"),
        (48_000_000, "48 MB"),
        (7 * 10**15, "7000 TB"),
    ],
)
def test_a_size_has_three_figures_at_most(count: int, said: str) -> None:
    assert format.size(count) == said


@pytest.mark.parametrize(
    ("value", "said"), [(-1, "0 %"), (41.9, "41 %"), (99.99, "99 %"), (100, "100 %"), (250, "100 %")]
)
def test_a_percent_is_rounded_down(value: float, said: str) -> None:
    assert format.percent(value) == said


def test_counts_have_their_noun_and_their_thousands() -> None:
    assert format.counted(1, "document") == "1 document"
    assert format.counted(12_345, "document") == "12,345 documents"
    assert format.step(3, 12) == "step 3 of 12"
    assert format.step(15, 12) == "step 12 of 12"
    assert format.step(0, 0) == ""


def test_what_is_said_to_a_person_is_a_sentence() -> None:
    assert format.sentence("reading page 3") == "Reading page 3."
    assert format.sentence("Done.") == "Done."
    assert format.sentence("  ") == ""


def test_every_state_has_its_badge() -> None:
    assert set(BADGES) == set(State)
    assert set(DOCUMENT_BADGES) == set(DocumentState)
