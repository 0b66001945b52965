"""Artifacts: whole or absent, whatever happens to their files."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.ingest.artifacts import TEMPORARY, Artifacts, schema
from tests.waiting import wait_until

SHA = "ab" * 32


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path, "0123456789abcdef")


def table(rows: int = 50, dimension: int = 8) -> pa.Table:
    vectors = np.random.default_rng(1).normal(size=(rows, dimension)).astype(np.float32)
    return pa.table(
        {
            "position": pa.array(range(rows), pa.int32()),
            "page": pa.array([None if row % 3 else row for row in range(rows)], pa.int32()),
            "text": pa.array([f"chunk {row} æ🙂" for row in range(rows)], pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimension),
        }
    )


def left_behind(artifacts: Artifacts) -> list[str]:
    return [path.name for path in artifacts.folder.iterdir() if path.name.startswith(TEMPORARY)]


def test_what_is_put_is_got(artifacts: Artifacts) -> None:
    artifacts.put(SHA, table())
    found = artifacts.get(SHA)
    assert found is not None
    assert found.to_pylist() == table().to_pylist()
    assert left_behind(artifacts) == []


def test_an_artifact_says_its_recipe_and_its_dimension(artifacts: Artifacts) -> None:
    artifacts.put(SHA, table(dimension=8))
    metadata = pa.ipc.open_file(artifacts.path(SHA)).schema.metadata
    assert metadata == {b"recipe": b"0123456789abcdef", b"dimension": b"8"}


def test_an_artifact_can_be_read_as_plain_arrow(artifacts: Artifacts) -> None:
    artifacts.put(SHA, table())
    assert pa.ipc.open_file(artifacts.path(SHA)).read_all().num_rows == 50


def test_there_is_none_before_it_is_put(artifacts: Artifacts) -> None:
    assert artifacts.get(SHA) is None


def test_a_document_without_chunks_has_an_artifact_too(artifacts: Artifacts) -> None:
    artifacts.put(SHA, table(rows=0))
    found = artifacts.get(SHA)
    assert found is not None
    assert found.num_rows == 0


def test_batches_written_one_by_one_number_their_chunks_on(artifacts: Artifacts) -> None:
    with artifacts.writing(SHA, 2) as writer:
        writer.add([None, 1], ["a", "b"], np.eye(2, dtype=np.float32))
        writer.add([2], ["c"], np.ones((1, 2), dtype=np.float32))
    found = artifacts.get(SHA)
    assert found is not None
    assert found.select(["position", "page", "text"]).to_pylist() == [
        {"position": 0, "page": None, "text": "a"},
        {"position": 1, "page": 1, "text": "b"},
        {"position": 2, "page": 2, "text": "c"},
    ]


def test_a_writer_that_is_stopped_leaves_nothing(artifacts: Artifacts) -> None:
    def stopped() -> None:
        with artifacts.writing(SHA, 2) as writer:
            writer.add([None], ["a"], np.ones((1, 2), dtype=np.float32))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert list(artifacts.folder.iterdir()) == []


def test_a_full_disk_passes_through_and_leaves_nothing(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        artifacts.put(SHA, table())
    assert list(artifacts.folder.iterdir()) == []


def test_the_file_is_flushed_before_its_name_and_its_folder_after(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, flushed = os.fsync, []

    def noted(descriptor: int) -> None:
        flushed.append((Path(f"/proc/self/fd/{descriptor}").readlink(), artifacts.path(SHA).exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    artifacts.put(SHA, table())
    (first, named), (second, named_then) = flushed
    assert first.name.startswith(TEMPORARY)
    assert not named
    assert (second, named_then) == (artifacts.folder.resolve(), True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999))
def test_a_truncated_artifact_is_none_and_removed(artifacts: Artifacts, share: float) -> None:
    artifacts.put(SHA, table())
    path = artifacts.path(SHA)
    os.truncate(path, int(path.stat().st_size * share))
    assert artifacts.get(SHA) is None
    assert not path.exists()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 0.999), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_served(artifacts: Artifacts, where: float, bit: int) -> None:
    artifacts.put(SHA, table())
    path = artifacts.path(SHA)
    body = bytearray(path.read_bytes())
    body[int(len(body) * where)] ^= 1 << bit
    path.write_bytes(body)
    found = artifacts.get(SHA)
    if found is None:
        assert not path.exists()
    else:  # the bit was padding
        assert found.to_pylist() == table().to_pylist()


def test_an_artifact_of_another_recipe_is_none(artifacts: Artifacts, tmp_path: Path) -> None:
    artifacts.put(SHA, table())
    other = Artifacts(tmp_path, "fedcba9876543210")
    other.folder.mkdir(parents=True)
    artifacts.path(SHA).rename(other.path(SHA))
    assert other.get(SHA) is None


def test_an_artifact_that_may_not_be_read_is_trouble_of_ours(artifacts: Artifacts) -> None:
    artifacts.path(SHA).mkdir(parents=True)
    with pytest.raises(OSError, match=r"directory|Is a"):
        artifacts.get(SHA)


def test_a_damaged_artifact_is_made_again(artifacts: Artifacts) -> None:
    artifacts.folder.mkdir(parents=True)
    artifacts.path(SHA).write_bytes(b"garbage")
    assert artifacts.get(SHA) is None
    artifacts.put(SHA, table())
    assert artifacts.get(SHA) is not None


def test_an_artifact_stays_readable_while_it_is_replaced(artifacts: Artifacts) -> None:
    artifacts.put(SHA, table())
    before = artifacts.get(SHA)
    artifacts.put(SHA, table(rows=10))
    assert before is not None
    assert before.to_pylist() == table().to_pylist()


def test_two_writers_of_one_artifact_do_no_harm(artifacts: Artifacts) -> None:
    writers = [threading.Thread(target=artifacts.put, args=(SHA, table())) for _ in range(4)]
    for writer in writers:
        writer.start()
    wait_until(lambda: not any(writer.is_alive() for writer in writers), what="the writers")
    found = artifacts.get(SHA)
    assert found is not None
    assert found.num_rows == 50
    assert left_behind(artifacts) == []


def test_what_dead_writers_left_is_swept_once_it_is_old(artifacts: Artifacts) -> None:
    artifacts.put(SHA, table())
    leftover = artifacts.folder / f"{TEMPORARY}dead"
    leftover.write_bytes(b"half")
    made = leftover.stat().st_mtime
    assert artifacts.swept(60, now=made + 30) == 0
    assert artifacts.swept(60, now=made + 90) == 1
    assert [path.name for path in artifacts.folder.iterdir()] == [f"{SHA}.arrow"]


@pytest.mark.parametrize("name", ["../x", "", "AB" * 32, "a" * 63, "a/b"])
def test_only_a_hash_becomes_a_path(artifacts: Artifacts, name: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        artifacts.path(name)


@pytest.mark.parametrize("recipe", ["../x", "", "a/b"])
def test_only_a_fingerprint_becomes_a_folder(tmp_path: Path, recipe: str) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        Artifacts(tmp_path, recipe)


def test_the_schema_holds_what_a_snapshot_takes() -> None:
    assert schema(8, "r").names == ["position", "page", "text", "vector"]
