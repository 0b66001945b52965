"""What was embedded is never asked for again, wherever the work stopped."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.ingest.partial import Partial, sweep
from tasks.ingest.wordvectors import Vectors

BATCH = 4


class Stop(Exception):
    """What ends the work."""


class Counting:
    """An embedder that counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return np.array([vector(text) for text in texts], dtype=np.float32)


def vector(text: str) -> list[float]:
    return [float("nan")] * 3 if text == "blank" else [float(len(text)), float(ord(text[-1])), float(hash(text) % 997)]


def made(artifact: Path, texts: Sequence[str], embed: Counting, stop_after: int | None = None) -> Vectors:
    """All vectors of a document, embedded batch by batch; Stop after so many batches."""
    rows = []
    with Partial(artifact) as partial:
        for at, first in enumerate(range(0, len(texts), BATCH)):
            if at == stop_after:
                raise Stop
            rows.append(partial.embed(texts[first : first + BATCH], embed))
        partial.remove()
    return np.concatenate(rows)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    (tmp_path / "recipe").mkdir()
    return tmp_path / "recipe" / f"{'ab' * 32}.arrow"


def texts(count: int) -> list[str]:
    return [f"chunk {at}" for at in range(count)]


def streams(artifact: Path) -> list[Path]:
    return sorted(artifact.with_suffix(".partial").glob("*"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stops=st.lists(st.integers(0, 7), max_size=4), count=st.integers(1, 30))
def test_wherever_it_is_stopped_each_chunk_is_embedded_once(artifact: Path, stops: list[int], count: int) -> None:
    embed = Counting()
    for stop in stops:
        if stop * BATCH < count:
            with pytest.raises(Stop):
                made(artifact, texts(count), embed, stop)
    vectors = made(artifact, texts(count), embed)
    assert sorted(embed.asked) == sorted(texts(count))
    np.testing.assert_array_equal(vectors, Counting()(texts(count)))
    assert streams(artifact) == []


@pytest.mark.parametrize("batches", [2, 3, 5])
def test_a_killed_process_loses_the_batch_in_flight_at_most(artifact: Path, batches: int) -> None:
    child = os.fork()
    if child == 0:
        with Partial(artifact) as partial:
            for first in range(0, batches * BATCH, BATCH):
                partial.embed(texts(40)[first : first + BATCH], Counting())
            os._exit(9)  # no block is left, as with kill -9
    os.waitpid(child, 0)
    embed = Counting()
    made(artifact, texts(40), embed)
    assert embed.asked == texts(40)[(batches - 1) * BATCH :]


def test_a_document_of_one_batch_touches_no_file(artifact: Path) -> None:
    with Partial(artifact) as partial:
        partial.embed(texts(BATCH), Counting())
        assert not artifact.with_suffix(".partial").exists()
        partial.remove()
    assert not artifact.with_suffix(".partial").exists()


def test_a_quick_embedder_of_our_own_is_not_kept_at_every_batch(artifact: Path) -> None:
    with Partial(artifact, every_s=60) as partial:
        for first in range(0, 40, BATCH):
            partial.embed(texts(40)[first : first + BATCH], Counting())
        assert streams(artifact) == []
        partial.remove()


def test_only_the_chunks_that_changed_are_asked_for(artifact: Path) -> None:
    with pytest.raises(Stop):
        made(artifact, texts(12), Counting(), 2)
    embed, changed = Counting(), texts(12)
    changed[1] = "another chunk"
    vectors = made(artifact, changed, embed)
    assert embed.asked == ["another chunk", *texts(12)[8:]]
    np.testing.assert_array_equal(vectors, Counting()(changed))


def test_a_text_without_a_vector_is_known_to_have_none(artifact: Path) -> None:
    with pytest.raises(Stop):
        made(artifact, ["blank", *texts(11)], Counting(), 2)
    embed = Counting()
    assert np.isnan(made(artifact, ["blank", *texts(11)], embed)[0]).all()
    assert "blank" not in embed.asked


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999), flip=st.booleans())
def test_a_torn_or_damaged_file_is_read_up_to_there_and_never_served(artifact: Path, share: float, flip: bool) -> None:
    with pytest.raises(Stop):
        made(artifact, texts(20), Counting(), 4)
    (path,) = streams(artifact)
    body = bytearray(path.read_bytes())
    at = int(len(body) * share)
    if flip:
        body[at] ^= 4
    else:
        del body[at:]
    path.write_bytes(body)
    np.testing.assert_array_equal(made(artifact, texts(20), Counting()), Counting()(texts(20)))


def test_two_at_once_do_each_other_no_harm(artifact: Path) -> None:
    embed = Counting()
    with Partial(artifact) as one, Partial(artifact) as other:
        for partial in (one, other):
            for first in (0, BATCH, 2 * BATCH):
                partial.embed(texts(12)[first : first + BATCH], embed)
        assert len(streams(artifact)) == 2
        one.remove()
        np.testing.assert_array_equal(other.embed(["last"], embed), Counting()(["last"]))
    np.testing.assert_array_equal(made(artifact, texts(12), embed), Counting()(texts(12)))


def test_vectors_of_another_size_are_not_mixed(artifact: Path) -> None:
    with pytest.raises(Stop):
        made(artifact, texts(12), Counting(), 2)
    asked: list[str] = []

    def wider(texts: Sequence[str]) -> Vectors:
        asked.extend(texts)
        return np.ones((len(texts), 5), dtype=np.float32)

    with Partial(artifact) as partial:
        assert partial.embed(["chunk 1", "new"], wider).shape == (2, 5)
    assert asked == ["new", "chunk 1", "new"]


def test_what_nobody_went_on_with_is_swept_once_it_is_old(artifact: Path) -> None:
    with pytest.raises(Stop):
        made(artifact, texts(12), Counting(), 2)
    (path,) = streams(artifact)
    about = path.stat().st_mtime
    assert sweep(artifact.parent, 60, about + 30) == 0
    assert sweep(artifact.parent, 60, about + 90) == 1
    assert list(artifact.parent.iterdir()) == []
