"""Zip archives that are submitted: their members become documents, and what is dangerous in them is refused."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from tasks import archive
from tasks.archive import ArchiveRefused, Limits, TooManyMembers, is_archive, members
from tasks.errors import SubmissionRefused
from tasks.ledger import Ledger, monitor
from tasks.submitting import submit_files, submit_folder
from tasks.uploads import Uploads
from tests.unit.factories import documents

ROOMY = Limits(members=100, unpacked=1 << 20)
TWO = documents.archive({"a.txt": b"one", "inner/b.md": b"# two"})


def names(body: bytes, limits: Limits = ROOMY) -> list[str]:
    return [member.name for member in members(io.BytesIO(body), limits)]


def linked(name: str, target: str) -> bytes:
    """An archive whose member is a symbolic link."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        info = zipfile.ZipInfo(name)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(info, target)
        made.writestr("a.txt", "one")
    return stream.getvalue()


def with_password(body: bytes) -> bytes:
    """The archive with the mark of encryption on each member (APPNOTE 4.4.4)."""
    marked = bytearray(body)
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := body.find(magic, at + 1)) >= 0:
            marked[at + offset] |= 1
    return bytes(marked)


def damaged() -> bytes:
    """An archive whose member does not match its checksum."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as made:
        made.writestr("a.txt", "harbour")
    return stream.getvalue().replace(b"harbour", b"hArbour")


def submitted(ledger: Ledger, *files: tuple[str, bytes]) -> list[str]:
    streams = [(name, io.BytesIO(body)) for name, body in files]
    receipt = submit_files(ledger, streams, collection="c", owner="ana")
    return [row.name for row in monitor.documents(ledger, receipt.job)]


def test_members_come_in_order_with_their_bytes() -> None:
    read = []
    for member in members(io.BytesIO(TWO), ROOMY):
        with member.open() as file:
            read.append((member.name, member.size, file.read()))
    assert read == [("a.txt", 3, b"one"), ("inner/b.md", 5, b"# two")]


def test_folders_links_hidden_files_and_litter_are_no_documents() -> None:
    assert names(linked("passwd", "/etc/passwd")) == ["a.txt"]
    litter = {"b/": b"", ".hidden": b"x", ".git/config": b"x", "__MACOSX/._a.txt": b"x", "x/Thumbs.db": b"x"}
    assert names(documents.archive({**litter, "a.txt": b"one"})) == ["a.txt"]


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = documents.archive({"a.txt": bytes(2 << 20)})
    with pytest.raises(ArchiveRefused, match="more than may be submitted"):
        names(bomb)
    monkeypatch.setattr(archive, "RATIO_FROM", 1 << 20)
    with pytest.raises(ArchiveRefused, match="far more than documents do"):
        names(bomb, Limits(100, 1 << 30))


def test_a_member_that_is_larger_than_it_says_gives_no_more_than_it_said() -> None:
    body = documents.archive({"a.txt": bytes(1 << 20)})
    lying = body.replace(struct.pack("<I", 1 << 20), struct.pack("<I", 10))
    for member in members(io.BytesIO(lying), ROOMY):
        with pytest.raises(zipfile.BadZipFile), member.open() as file:
            assert len(file.read()) <= 10


def test_more_members_than_allowed_are_refused() -> None:
    many = documents.archive({f"{number}.txt": b"x" for number in range(101)})
    with pytest.raises(TooManyMembers, match="101 documents and a job may hold 100"):
        names(many)


def test_a_directory_that_claims_to_be_huge_is_not_read() -> None:
    body = bytearray(TWO)
    struct.pack_into("<I", body, body.rfind(b"PK\x05\x06") + 12, 1 << 31)
    with pytest.raises(TooManyMembers, match="more files than can be read"):
        names(bytes(body))
    assert not is_archive(io.BytesIO(bytes(body)), "all.zip")


def test_an_archive_with_a_password_is_refused() -> None:
    with pytest.raises(ArchiveRefused, match="protected with a password"):
        names(with_password(TWO))


def test_a_document_that_is_a_zip_file_by_itself_is_no_archive() -> None:
    office = (documents.word(["x"]), documents.sheets({"a": [["x"]]}), documents.slides(["x"]))
    others = (documents.open_document("text", ""), documents.book("Port", {"a": "<p>x</p>"}))
    for body in (*office, *others):
        assert not is_archive(io.BytesIO(body), "all.zip")
    assert is_archive(io.BytesIO(TWO), "all.zip")
    assert is_archive(io.BytesIO(TWO), "all")
    for name in ("app.jar", "notes.docx", "notes.txt"):
        assert not is_archive(io.BytesIO(TWO), name)
    assert not is_archive(io.BytesIO(b"PK\x03\x04 harbour"), "all.zip")


def test_a_submitted_archive_becomes_the_documents_in_it(fake_ledger: Ledger) -> None:
    receipt = submit_files(
        fake_ledger, [("all.zip", io.BytesIO(TWO)), ("c.txt", io.BytesIO(b"three"))], collection="c", owner="ana"
    )
    rows = monitor.documents(fake_ledger, receipt.job)
    assert [(row.name, row.size_bytes) for row in rows] == [
        ("all.zip/a.txt", 3),
        ("all.zip/inner/b.md", 5),
        ("c.txt", 5),
    ]
    uploads = Uploads(fake_ledger.settings.data)
    assert [uploads.path(row.sha256).read_bytes() for row in rows] == [b"one", b"# two", b"three"]


def test_a_member_never_leaves_its_archive_by_its_name(fake_ledger: Ledger) -> None:
    body = documents.archive({"../../etc/passwd": b"x", "/root/x.txt": b"y", "..\\up.txt": b"z"})
    assert submitted(fake_ledger, ("all.zip", body)) == ["all.zip/etc/passwd", "all.zip/root/x.txt", "all.zip/up.txt"]


def test_an_archive_inside_an_archive_stays_one_document(fake_ledger: Ledger) -> None:
    nested = documents.archive({"in.zip": TWO, "a.txt": b"one"})
    assert submitted(fake_ledger, ("all.zip", nested)) == ["all.zip/in.zip", "all.zip/a.txt"]


def test_a_member_without_a_name_is_no_document() -> None:
    # zipfile ends a name at its first NUL.
    nameless = documents.archive({"?.txt": b"x", "a.txt": b"one"}).replace(b"?.txt", b"\0.txt")
    assert is_archive(io.BytesIO(nameless), "all.zip")
    assert names(nameless) == ["a.txt"]


def test_a_member_with_an_overlong_name_has_a_label_that_can_be_stored(fake_ledger: Ledger) -> None:
    (name,) = submitted(fake_ledger, ("all.zip", documents.archive({f"{'deep/' * 9_000}{'x' * 9_000}.txt": b"one"})))
    assert name.startswith("all.zip/deep/")
    assert len(name.encode()) <= 255


def unpacked(source: Path | io.BytesIO) -> list[bytes]:
    found = []
    for member in members(source, ROOMY):
        with member.open() as file:
            found.append(file.read())
    return found


def astray() -> bytes:
    """An archive that says its directory is one byte further on: its first member then begins before the file."""
    body = bytearray(TWO)
    struct.pack_into("<I", body, body.rfind(b"PK\x05\x06") + 16, TWO.index(b"PK\x01\x02") + 1)
    return bytes(body)


def misnamed() -> bytes:
    """An archive with a name that says it is UTF-8 and is not."""
    body = bytearray(TWO.replace(b"a.txt", b"\xff.txt"))
    body[TWO.index(b"PK\x01\x02") + 9] |= 0x08
    return bytes(body)


@pytest.mark.parametrize("body", [astray(), misnamed()])
@pytest.mark.parametrize("form", ["in memory", "in a file"])
def test_garbage_where_an_offset_or_a_name_belongs_is_damage(tmp_path: Path, body: bytes, form: str) -> None:
    (tmp_path / "all.zip").write_bytes(body)
    source: Path | io.BytesIO = io.BytesIO(body) if form == "in memory" else tmp_path / "all.zip"
    with pytest.raises(zipfile.BadZipFile):
        unpacked(source)


@pytest.mark.parametrize(
    "body", [astray(), misnamed(), with_password(TWO), TWO[:-30], documents.archive({}), damaged()]
)
def test_an_archive_that_cannot_be_unpacked_is_one_document_that_fails_alone(fake_ledger: Ledger, body: bytes) -> None:
    assert submitted(fake_ledger, ("all.zip", body), ("c.txt", b"three")) == ["all.zip", "c.txt"]


def test_an_archive_of_more_documents_than_a_job_may_hold_is_refused(fake_ledger: Ledger) -> None:
    fake_ledger.settings = fake_ledger.settings.model_copy(update={"documents_max": 1})
    with pytest.raises(SubmissionRefused, match=r"all\.zip cannot be unpacked: it holds 2 documents"):
        submitted(fake_ledger, ("all.zip", TWO))


def test_an_archive_in_a_folder_on_the_server_is_unpacked_too(fake_ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "all.zip").write_bytes(TWO)
    (folder / "c.txt").write_text("three")
    fake_ledger.settings = fake_ledger.settings.model_copy(update={"folders": (folder,)})
    receipt = submit_folder(fake_ledger, folder, collection="c", owner="ana")
    rows = monitor.documents(fake_ledger, receipt.job)
    assert [(row.name, bool(row.sha256)) for row in rows] == [
        ("all.zip/a.txt", True),
        ("all.zip/inner/b.md", True),
        ("c.txt", False),
    ]
