"""EPUB: the chapters of an e-book in its reading order, each read as the web page that it is.

Source: EPUB 3.3, package document and container. Nothing that a chapter links to is fetched or opened.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from lxml import etree

from tasks.errors import DocumentFailed
from tasks.ingest.loading import office, web
from tasks.ingest.loading.portions import Piece
from tasks.ingest.loading.sentences import DAMAGED, TOO_LARGE

CHAPTER_MAX = 32 << 20  # bytes of one chapter
_PACKAGE_MAX = 8 << 20
_LOCKED = "The e-book is locked by its seller (DRM); upload a copy without a lock."
_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
# Fonts are commonly scrambled, which locks no text (EPUB 3.3, 4.4; Adobe's older way).
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_DC = "{http://purl.org/dc/elements/1.1/}"


def read(path: Path) -> Iterator[Piece]:
    """Title and authors, then each chapter."""
    names = set(office.members(path))
    with zipfile.ZipFile(path) as archive:
        if "META-INF/encryption.xml" in names and _locked(_parsed(archive, "META-INF/encryption.xml")):
            raise DocumentFailed(reason=_LOCKED)
        container = _parsed(archive, "META-INF/container.xml")
        where = next((file.get("full-path", "") for file in container.iter("{*}rootfile")), "")
        if where not in names:
            raise DocumentFailed(reason=DAMAGED.format(label="an e-book (EPUB)"))
        package = _parsed(archive, where)
        chapters = [name for name in _spine(package, posixpath.dirname(where)) if name in names]
        total = max(1, len(chapters))
        about = [field.text or "" for tag in ("title", "creator") for field in package.iter(_DC + tag)]
        yield Piece("".join(f"{line.strip()}\n" for line in about if line.strip()), 0, total)
        for number, name in enumerate(chapters, start=1):
            yield Piece("\n\n" + web.page(_bytes(archive, name, CHAPTER_MAX)), number, total)


def _bytes(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    if archive.getinfo(name).file_size > most:
        raise DocumentFailed(reason=TOO_LARGE)
    return archive.read(name)


def _parsed(archive: zipfile.ZipFile, name: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    return etree.fromstring(_bytes(archive, name, _PACKAGE_MAX), parser)


def _locked(encryption: etree._Element) -> bool:
    methods = [method.get("Algorithm", "") for method in encryption.iter("{*}EncryptionMethod")]
    return any(method not in _FONTS for method in methods)


def _spine(package: etree._Element, folder: str) -> Iterator[str]:
    """The names of the chapters' files in the archive, in reading order."""
    pages = {
        item.get("id", ""): posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))
        for item in package.iter("{*}item")
        if item.get("media-type", "") in _PAGES
    }
    for reference in package.iter("{*}itemref"):
        if (name := pages.get(reference.get("idref", ""))) is not None:
            yield name
