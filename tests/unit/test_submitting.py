"""What happens between a person's files and the ledger: names made safe, bytes saved, folders held to the list."""

from __future__ import annotations

import os
import resource
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import CollectionNameRefused, DataUnwritable, SubmissionRefused
from tasks.ledger import Ledger, monitor
from tasks.settings import Settings
from tasks.submitting import allowed_folder, clean_name, files_below, submit_files, submit_folder
from tasks.uploads import Uploads
from tests.own_process import call


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "etc/passwd"),
        ("/absolute/path.txt", "absolute/path.txt"),
        ("C:\\Users\\ana\\notes.txt", "C:/Users/ana/notes.txt"),
        ("nul\x00byte.txt", "nulbyte.txt"),
        ("line\nbreak.txt", "linebreak.txt"),
        ("<b>bold</b>.txt", "<b>bold</b>.txt"),  # shown escaped, kept as it is
        ("📄 plan.md", "📄 plan.md"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("a\ud800b.txt", "ab.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        (" a / .. / b ", "a/b"),
    ],
)
def test_a_name_becomes_a_safe_label(given_name: str, shown: str) -> None:
    assert clean_name(given_name) == shown


def test_a_name_of_more_than_255_bytes_is_cut_and_keeps_its_ending() -> None:
    cut = clean_name("ü" * 400 + ".pdf")
    assert len(cut.encode()) <= 255
    assert cut.endswith("ü.pdf")


@given(st.text(max_size=400))
def test_a_label_never_leaves_its_folder(name: str) -> None:
    label = clean_name(name)
    assert label
    assert not label.startswith("/")
    assert ".." not in Path(label).parts
    assert len(label.encode()) <= 255
    assert "\x00" not in label
    assert clean_name(label) == label


def test_equal_bytes_are_saved_once(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    first = uploads.save(BytesIO(b"same"), max_bytes=100)
    assert uploads.save(BytesIO(b"same"), max_bytes=100) == first
    assert [path.name for path in uploads.folder.iterdir()] == [first[0]]


def test_bytes_that_are_there_already_are_read_and_not_written_again(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    first = uploads.save(BytesIO(b"same"), max_bytes=100)
    inode = uploads.path(first[0]).stat().st_ino
    os.utime(uploads.path(first[0]), (0, 0))
    assert uploads.save(BytesIO(b"same"), max_bytes=100) == first
    found = uploads.path(first[0]).stat()
    assert (found.st_ino, found.st_mtime > 0) == (inode, True)  # and whoever cleans by age leaves it


def test_a_stream_that_cannot_be_wound_back_is_saved_too(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"same")
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        sha256, size = Uploads(tmp_path).save(stream, max_bytes=100)
    assert (Uploads(tmp_path).path(sha256).read_bytes(), size) == (b"same", 4)


def test_a_file_that_is_too_large_is_refused_by_name_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SubmissionRefused, match=r"big\.txt is larger than"):
        Uploads(tmp_path).save(BytesIO(b"x" * 101), max_bytes=100, name="big.txt")
    assert list((tmp_path / "uploads").iterdir()) == []


def save_on_a_full_disk(folder: str) -> None:
    """In a process of its own: no file may grow past 1 kB."""
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
    with pytest.raises(DataUnwritable, match=f"The folder {folder}/uploads cannot be written"):
        Uploads(Path(folder)).save(BytesIO(os.urandom(10_000)), max_bytes=100_000)


def test_no_room_on_the_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    assert call(save_on_a_full_disk, str(tmp_path)) == 0
    assert list((tmp_path / "uploads").iterdir()) == []


def test_an_upload_name_from_outside_never_becomes_a_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        Uploads(tmp_path).path("../../etc/passwd")


def test_files_are_saved_and_submitted_as_one_job(fake_ledger: Ledger) -> None:
    files = [("a.txt", BytesIO(b"one")), ("b/a.txt", BytesIO(b"two")), ("a.txt", BytesIO(b"one"))]
    job_id = submit_files(fake_ledger, files, collection="c", owner="ana").job
    rows = monitor.documents(fake_ledger, job_id)
    assert [row.name for row in rows] == ["a.txt", "b/a.txt", "a (2).txt"]
    assert rows[0].sha256 == rows[2].sha256
    assert all(Uploads(fake_ledger.settings.data).path(row.sha256).exists() for row in rows)


def test_a_bad_collection_name_is_refused_before_a_byte_is_saved(fake_ledger: Ledger) -> None:
    with pytest.raises(CollectionNameRefused):
        submit_files(fake_ledger, [("a.txt", BytesIO(b"one"))], collection="../x", owner="ana")
    assert not (fake_ledger.settings.data / "uploads").exists()


def test_only_folders_of_the_list_may_be_submitted(settings: Settings, tmp_path: Path) -> None:
    allowed, other = tmp_path / "in", tmp_path / "out"
    (allowed / "sub").mkdir(parents=True)
    other.mkdir()
    (allowed / "link").symlink_to(other)
    listed = settings.model_copy(update={"folders": (allowed,)})
    assert allowed_folder(listed, allowed / "sub") == allowed / "sub"
    for refused in (other, allowed / ".." / "out", allowed / "link"):
        with pytest.raises(SubmissionRefused, match="not among those allowed"):
            allowed_folder(listed, refused)
    with pytest.raises(SubmissionRefused, match="no folder"):
        allowed_folder(listed, allowed / "gone")


def test_hidden_files_and_links_are_left_out_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("a.txt", "b/c.txt", ".secret", ".git/config"):
        (tmp_path / name).write_text("x")
    (tmp_path / "link.txt").symlink_to("/etc/passwd")
    assert [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)] == ["a.txt", "b/c.txt"]


def test_an_empty_folder_is_refused_with_a_sentence(fake_ledger: Ledger, tmp_path: Path) -> None:
    fake_ledger.settings = fake_ledger.settings.model_copy(update={"folders": (tmp_path,)})
    with pytest.raises(SubmissionRefused, match="no documents"):
        submit_folder(fake_ledger, tmp_path, collection="c", owner="ana")
