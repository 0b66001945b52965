"""XML of any kind: the text of its elements in their order, without the tags.

The file is fed through libxml2's push parser and no tree is built, so its size does not matter. No entity opens a
file, no DTD is loaded and nothing is fetched; libxml2 refuses entities that unfold to many times the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from tasks.errors import DocumentFailed
from tasks.ingest.loading.portions import RANGE, Piece, ranges

_NOT_XML = "The file is not valid XML (line {line}); correct it, or upload it with a name that ends in .txt."
_STEP = 64 * 1024


class _Text:
    """The parser's target. Text on two sides of one tag is one sentence, as in `H<sub>2</sub>O`; two tags, or
    blanks between tags, end a line: that is how data is laid out."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._tags = 0
        self._blank = False
        self._begun = False
        self._gathered: list[str] = []

    def start(self, tag: str, attributes: object) -> None:
        self._tag()

    def end(self, tag: str) -> None:
        self._tag()

    def data(self, data: str) -> None:
        self._gathered.append(data)

    def comment(self, data: str) -> None:
        pass

    def pi(self, target: str, data: str | None = None) -> None:
        pass

    def close(self) -> None:
        self._tag()

    def take(self) -> str:
        """The text since the last time."""
        taken = "".join(self.parts)
        self.parts.clear()
        return taken

    def _tag(self) -> None:
        """A tag: what was gathered before it is whole now."""
        words = "".join(self._gathered)
        self._gathered.clear()
        if words.strip():
            if self._begun and (self._tags > 1 or self._blank):
                self.parts.append("\n")
                words = words.lstrip()
            self.parts.append(words)
            self._begun, self._tags, self._blank = True, 0, False
        else:
            self._blank = self._blank or bool(words)
        self._tags += 1


def read(path: Path) -> Iterator[Piece]:
    """The text of an XML file in the encoding that it declares."""
    target = _Text()
    parser = etree.XMLParser(target=target, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    total = ranges(path.stat().st_size)
    with path.open("rb") as file:
        try:
            while block := file.read(_STEP):
                parser.feed(block)
                yield Piece(target.take(), min(total - 1, file.tell() // RANGE), total)
            parser.close()
        except etree.XMLSyntaxError as error:
            raise DocumentFailed(reason=_NOT_XML.format(line=error.lineno or 1)) from None
    yield Piece(target.take() + "\n", total, total)
