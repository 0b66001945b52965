"""Documents that the current snapshot holds unchanged are done when they are submitted."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from tasks import submitting
from tasks.ledger import Ledger, keys, monitor
from tasks.ledger.states import DocumentState
from tasks.snapshots.manifest import DocumentEntry
from tasks.snapshots.shelf import Shelf
from tasks.submitting import submit_files, submit_folder, with_embedder
from tasks.uploads import Uploads


@pytest.fixture
def folder(fake_ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose two files are in the current snapshot, as it says."""
    shared = tmp_path / "shared"
    shared.mkdir()
    fake_ledger.settings = fake_ledger.settings.model_copy(update={"folders": (shared.resolve(),)})
    recipe = with_embedder(None, fake_ledger.settings).fingerprint
    entries = []
    for name in ("a.txt", "b.txt"):
        (shared / name).write_text(f"This is {name}.")
        sha256, _ = Uploads(tmp_path / "elsewhere").save(BytesIO((shared / name).read_bytes()), max_bytes=100)
        entries.append(DocumentEntry(name=name, sha256=sha256, chunks=3, recipe=recipe))
    monkeypatch.setattr(Shelf, "current", lambda shelf, name: "000001")
    monkeypatch.setattr(Shelf, "documents", lambda shelf, name, version: entries)
    return shared


def test_an_unchanged_folder_goes_straight_to_its_publish(fake_ledger: Ledger, folder: Path) -> None:
    job_id = submit_folder(fake_ledger, folder, collection="c", owner="ana").job
    job = monitor.job(fake_ledger, job_id)
    assert (job.documents_done, job.documents_cached, job.chunks, job.documents_total) == (2, 2, 6, 2)
    assert fake_ledger.redis.hkeys(keys.shards(job_id)) == [b"publish"]


def test_of_a_folder_with_one_changed_file_only_that_is_queued(fake_ledger: Ledger, folder: Path) -> None:
    (folder / "b.txt").write_text("Changed.")
    job_id = submit_folder(fake_ledger, folder, collection="c", owner="ana").job
    states = [row.state for row in monitor.documents(fake_ledger, job_id)]
    assert states == [DocumentState.COMPLETED, DocumentState.QUEUED]
    assert monitor.job(fake_ledger, job_id).percent < 50


def test_an_upload_of_a_known_file_is_recognised(fake_ledger: Ledger, folder: Path) -> None:
    files = [("a.txt", BytesIO((folder / "a.txt").read_bytes())), ("new.txt", BytesIO(b"new"))]
    job_id = submit_files(fake_ledger, files, collection="c", owner="ana").job
    assert [row.cached for row in monitor.documents(fake_ledger, job_id)] == [True, False]


def test_what_is_too_large_to_be_read_while_someone_waits_is_left_to_the_workers(
    fake_ledger: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "RECOGNISED_BYTES", 20)
    job_id = submit_folder(fake_ledger, folder, collection="c", owner="ana").job
    assert [row.cached for row in monitor.documents(fake_ledger, job_id)] == [True, False]
