"""Zip archives that people submit: which file is one, and its members as documents. Standard library only.

An archive comes from outside. Its declared sizes, its number of members and the size of its directory are
held to limits before a byte is unpacked; zipfile itself never gives more of a member than is declared. A
member's name is what the archive says: whoever shows or stores it cleans it.
"""

from __future__ import annotations

import errno
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

DIRECTORY_MAX = 32 << 20  # bytes of the archive's own directory, which zipfile reads as a whole
ENTRIES_MAX = 100_000  # files and folders in it: zipfile makes an object of each, which takes it half a second
_ENTRY = b"PK\x01\x02"
RATIO_MAX = 200  # unpacked to packed, looked at above RATIO_FROM
RATIO_FROM = 64 << 20
SUFFIXES = (".zip", "")
UNREADABLE = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)

_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_TAIL = 22 + 65_535 + 76  # the end record with its longest comment, and the two records of Zip64 before it
# What only a document has that is a zip file by itself: Office Open XML, OpenDocument, EPUB.
_DOCUMENT = frozenset({"[Content_Types].xml", "mimetype", "META-INF/container.xml", "META-INF/manifest.xml"})
_LITTER = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may hold: members, and bytes of all of them when they are unpacked."""

    members: int
    unpacked: int


@dataclass(frozen=True, slots=True)
class Member:
    """One document in an archive. `open` gives its bytes and raises one of UNREADABLE where it is damaged."""

    name: str
    size: int
    open: Callable[[], AbstractContextManager[BinaryIO]]


class ArchiveRefused(Exception):
    """An archive that is not unpacked; its text is a clause that says why."""


class TooManyMembers(ArchiveRefused):
    """More members than a job may have documents."""


def is_archive(file: BinaryIO, name: str) -> bool:
    """Whether a file is a zip archive of documents, and not a document that is a zip file by itself.

    Content decides, then the name: a program or a document of another make is no archive. The file's
    position stays where it was; one that cannot be wound back is none.
    """
    if PurePosixPath(name).suffix.lower() not in SUFFIXES or not file.seekable():
        return False
    start = file.tell()
    try:
        if file.read(4) not in _MAGIC:
            return False
        hold_directory(file)
        with _opened(file) as archive:
            return _DOCUMENT.isdisjoint(archive.namelist())
    except (ArchiveRefused, *UNREADABLE):
        return False
    finally:
        file.seek(start)


def members(source: Path | BinaryIO, limits: Limits) -> Iterator[Member]:
    """The documents in an archive, in its order; folders, links, hidden files and system litter are left out.

    Raises ArchiveRefused before the first when the archive is encrypted, empty, holds too much or unpacks to far
    more than it is; one of UNREADABLE when it is damaged. A member can be opened until the next one is asked for.
    """
    with _opened(_held(source)) as archive:
        infos = [info for info in archive.infolist() if _is_document(info)]
        _hold(infos, limits)
        for info in infos:
            yield Member(info.filename, info.file_size, lambda info=info: _open(archive, info))  # type: ignore[misc]


def _opened(source: Path | BinaryIO) -> zipfile.ZipFile:
    with _damage_named():
        return zipfile.ZipFile(source)


def _open(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> AbstractContextManager[BinaryIO]:
    with _damage_named():
        return cast(AbstractContextManager[BinaryIO], archive.open(info))


@contextmanager
def _damage_named() -> Iterator[None]:
    """BadZipFile for what zipfile lets pass: names that are no UTF-8, offsets of garbage."""
    try:
        yield
    except (ValueError, OverflowError, IndexError, struct.error):
        raise zipfile.BadZipFile("garbage where a number or a name belongs") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # that is an offset of garbage; all else is the disk
            raise
        raise zipfile.BadZipFile("an offset of garbage") from None


def _held(source: Path | BinaryIO) -> Path | BinaryIO:
    if isinstance(source, Path):
        with source.open("rb") as file:
            hold_directory(file)
    else:
        hold_directory(source)
    return source


def hold_directory(file: BinaryIO) -> None:
    """Refuse an archive whose directory is too large or lists too much, for zipfile reads it whole (APPNOTE 4.3.16).

    The entries are counted in its bytes, for the number that it states is what its maker likes.
    """
    end = file.seek(0, 2)
    begun = file.seek(max(0, end - _TAIL))
    tail = file.read(_TAIL)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise zipfile.BadZipFile("no end of directory")
    (size,) = struct.unpack_from("<I", tail, at + 12)
    wide = tail.rfind(b"PK\x06\x06", 0, at)
    if wide >= 0 and len(tail) >= wide + 48:
        (size,) = struct.unpack_from("<Q", tail, wide + 40)
    if size <= DIRECTORY_MAX:
        file.seek(max(0, begun + (wide if wide >= 0 else at) - size))
        if file.read(size).count(_ENTRY) <= ENTRIES_MAX:
            return
    raise TooManyMembers("it lists more files than can be read; pack fewer into one archive")


def _is_document(info: zipfile.ZipInfo) -> bool:
    if not info.filename or info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
        return False  # zipfile asks for the last letter of a name that may have none
    parts = [part for part in PurePosixPath(info.filename.replace("\\", "/")).parts if part not in (".", "..", "/")]
    return bool(parts) and not any(part.startswith(".") or part in _LITTER for part in parts)


def _hold(infos: list[zipfile.ZipInfo], limits: Limits) -> None:
    if not infos:
        raise ArchiveRefused("it holds no documents")
    if len(infos) > limits.members:
        raise TooManyMembers(f"it holds {len(infos)} documents and a job may hold {limits.members}; split it")
    if any(info.flag_bits & 1 for info in infos):
        raise ArchiveRefused("it is protected with a password")
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in infos):
        raise ArchiveRefused("it is packed in a way that cannot be read here")
    total = sum(info.file_size for info in infos)
    packed = max(1, sum(info.compress_size for info in infos))
    if total > limits.unpacked:
        raise ArchiveRefused("it unpacks to more than may be submitted at once")
    if total > RATIO_FROM and total > RATIO_MAX * packed:
        raise ArchiveRefused("it unpacks to far more than documents do")
