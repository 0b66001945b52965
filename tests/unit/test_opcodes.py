"""The keys of a dictionary are read off its pickle, and nothing of it is ever built."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ledger.opcodes import MOST_BYTES, keys_of
from tests.redis.foreign_functions import Bomb

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner) | st.frozensets(st.text())
    ),
    max_leaves=12,
)


@given(found=st.dictionaries(st.text(), PLAIN, max_size=8), protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_the_keys_are_those_of_the_dictionary(found: dict[str, object], protocol: int) -> None:
    assert keys_of(pickle.dumps(found, protocol)) == tuple(found)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_objects_in_it_are_never_built(tmp_path: Path, protocol: int) -> None:
    trap = tmp_path / "trap"
    meta = {"before": 1, "bomb": Bomb(str(trap)), "at": datetime.now(UTC), "after": [Bomb(str(trap))]}
    assert keys_of(pickle.dumps(meta, protocol)) == ("before", "bomb", "at", "after")
    assert not trap.exists()


@given(raw=st.binary(max_size=400))
def test_any_bytes_give_keys_or_nothing_and_never_raise(raw: bytes) -> None:
    keys_of(raw)
    keys_of(b"\x80\x04" + raw)


@given(found=st.dictionaries(st.text(), PLAIN, min_size=1), cut=st.integers(1, 40))
def test_a_pickle_cut_short_gives_nothing_wrong(found: dict[str, object], cut: int) -> None:
    keys_of(pickle.dumps(found)[:-cut])


@pytest.mark.parametrize("raw", [b"[" * 100_000, b"(" * 100_000 + b".", b"0" * 30_000 + b".", b"x" * (MOST_BYTES + 1)])
def test_what_is_endless_is_given_up(raw: bytes) -> None:
    assert keys_of(raw) is None


def test_json_and_nothing_at_all_are_read_too() -> None:
    assert keys_of(b'{"a": 1, "b": {"c": 2}}') == ("a", "b")
    assert keys_of(b"") == ()
    assert keys_of(b"[1]") is None
