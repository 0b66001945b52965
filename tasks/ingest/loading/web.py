"""HTML: the words that a reader of the page sees, with its blocks kept apart.

The page is fed through libxml2's push parser without ever building a tree: a file of any size comes in
portions, 4 to 12 times as fast as through BeautifulSoup. Nothing is fetched, no entity is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from tasks.ingest.loading import text
from tasks.ingest.loading.portions import Piece, ranges

_DECLARED = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)

_XML_DECLARED = re.compile(rb"""\s*<\?xml[^>]*encoding\s*=\s*["']([\w.:-]+)""")
_EMPTY = re.compile(r"<(script|style|template|noscript|svg|math|iframe|object|title|pre)\b([^<>]*)/>")


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


_HIDDEN = _tags("script style template noscript svg math iframe object")
_APART = _tags(
    "address article aside blockquote details dl fieldset figure footer form h1 h2 h3 h4 h5 h6 header hr main nav ol "
    "p pre section table title ul"
)
_LINES = _tags("br caption dd div dt figcaption legend li option summary tbody tfoot thead tr")
_STEP = 64 * 1024  # characters fed between two looks at the clock


class _Words:
    """The parser's target: gathers words, and breaks where a browser would break."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._hidden = 0
        self._preformatted = 0
        self._breaks = 0
        self._cell = False
        self._space = False
        self._begun = False

    def start(self, tag: str, attributes: object) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag == "pre":
            self._preformatted += 1
        self._break(tag)

    def end(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag == "pre":
            self._preformatted = max(0, self._preformatted - 1)
        elif tag in ("td", "th"):
            self._cell = True
        self._break(tag)

    def data(self, data: str) -> None:
        if self._hidden:
            return
        words = data if self._preformatted else " ".join(data.split())
        if not words.strip():
            self._space = True
            return
        self._separate(data[0].isspace())
        self.parts.append(words)
        self._space = data[-1].isspace() and not self._preformatted

    def comment(self, data: str) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> str:
        """The words since the last time."""
        taken = "".join(self.parts)
        self.parts.clear()
        return taken

    def _break(self, tag: str) -> None:
        self._breaks = max(self._breaks, 2 if tag in _APART else 1 if tag in _LINES else 0)

    def _separate(self, spaced: bool) -> None:
        if self._begun:
            if self._breaks:
                self.parts.append("\n" * self._breaks)
            elif self._cell:
                self.parts.append(" | ")
            elif (self._space or spaced) and not self._preformatted:
                self.parts.append(" ")
        self._begun, self._breaks, self._cell, self._space = True, 0, False, False


def read(path: Path) -> Iterator[Piece]:
    """A page of any size."""
    with path.open("rb") as file:
        declared = _DECLARED.search(file.read(8192))
    encoding = text.encoding(path, declared.group(1).decode("ascii") if declared else None)
    target, parser = _begin()
    size = path.stat().st_size
    with text.opened(path, encoding) as file:
        while block := file.read(_STEP):
            parser.feed(block)
            yield Piece(target.take(), *text.position(file, size))
    parser.close()
    yield Piece(target.take(), ranges(size), ranges(size))


def words(page: str) -> str:
    """The words of a page that is at hand, such as the body of an e-mail."""
    target, parser = _begin()
    if page:
        parser.feed(page)
        parser.close()
    return target.take()


def page(body: bytes) -> str:
    """The words of an XHTML page that is at hand, such as a chapter of an e-book: UTF-8 unless it says otherwise."""
    declared = _XML_DECLARED.match(body[:200])
    encoding = "utf-16" if body[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    if declared and encoding != "utf-16" and text.known(declared[1].decode("ascii")):
        encoding = declared[1].decode("ascii")
    # The parser speaks HTML, where an empty `<script/>` opens one that hides the rest of the page.
    return words(_EMPTY.sub(r"<\1\2></\1>", body.decode(encoding, "replace")))


def _begin() -> tuple[_Words, etree.HTMLParser]:
    target = _Words()
    # huge_tree lifts a limit of depth, not of memory: there is no tree.
    return target, etree.HTMLParser(target=target, no_network=True, huge_tree=True)
