"""reStructuredText and Org as the text that a reader sees: marks go, words stay, nothing is run or fetched.

Both are light markup over plain lines. They are cleaned line by line instead of parsed: a file of any size is
read in bounded memory, an `include` includes nothing, a macro expands to nothing, and a line that follows no
rule stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tasks.ingest.loading import text
from tasks.ingest.loading.portions import Piece

_RST_ADORNMENT = re.compile(r"([=\-`:.'\"~^_*+#<>])\1{2,}\s*$|[=\-+| ]{4,}$")
_RST_DIRECTIVE = re.compile(r"(\s*)\.\. (?:\|[^|]+\| )?([\w:.-]+)::\s?(.*)$")
_RST_TARGET = re.compile(r"\s*\.\. _[^:]+:(\s+(?P<where>\S.*))?$|\s*__ ")
_RST_COMMENT = re.compile(r"\s*\.\.(\s|$)(?!\[)")
_RST_FIELD = re.compile(r"\s+:[\w-]+:(\s|$)")
_RST_INLINE = (
    (re.compile(r":[\w:+.-]+:`([^`<]+?)\s*(?:<[^`>]*>)?`"), r"\1"),  # :role:`text <target>`
    (re.compile(r"`([^`<]+?)\s*<[^`>]+>`__?"), r"\1"),  # `text <address>`_
    (re.compile(r"``(.+?)``"), r"\1"),
    (re.compile(r"`([^`]+)`_{0,2}"), r"\1"),
    (re.compile(r"(?<![\w*])\*\*(\S(?:.*?\S)?)\*\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<![\w*])\*(\S(?:[^*]*?\S)?)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<=\w)__?(?=[\s.,;:!?)]|$)"), ""),
)
_SILENT = frozenset({"image", "figure", "include", "raw", "toctree", "contents", "highlight", "meta", "role", "class"})

_ORG_HEADING = re.compile(r"\*+\s+(?:(?:TODO|DONE)\s+)?(?:\[#\w\]\s+)?(.*?)(?:\s+:[\w@#%:]+:)?\s*$")
_ORG_KEYWORD = re.compile(r"\s*#\+(\w+):\s*(.*)$")
_ORG_BLOCK = re.compile(r"\s*#\+(?:begin|end)_\w+", re.IGNORECASE)
_ORG_DRAWER = re.compile(r"\s*:[\w-]+:\s*$")
_ORG_PROPERTY = re.compile(r"\s*:[\w+-]+:\s")
_ORG_RULE = re.compile(r"\s*(\|[-+|]+\|?|-{5,})\s*$")
_ORG_INLINE = (
    (re.compile(r"\[\[[^\]]+\]\[([^\]]+)\]\]"), r"\1"),
    (re.compile(r"\[\[([^\]]+)\]\]"), r"\1"),
    (re.compile(r"(?<!\w)([*/_=~+])(\S(?:[^\n]*?\S)?)\1(?!\w)"), r"\2"),
)
_ORG_SAID = frozenset({"title", "subtitle", "author", "date", "caption", "description", "keywords"})


def read_rst(path: Path) -> Iterator[Piece]:
    """reStructuredText without adornments, directives' names, targets, comments and inline marks."""
    yield from _cleaned(path, _Rst().line)


def read_org(path: Path) -> Iterator[Piece]:
    """Org without stars, drawers, keywords that are settings, comments and inline marks."""
    yield from _cleaned(path, _Org().line)


def _cleaned(path: Path, clean: Callable[[str], str | None]) -> Iterator[Piece]:
    for piece in text.blocks(path, text.encoding(path)):
        kept = (clean(line) for line in piece.text.splitlines())
        yield Piece("".join(f"{line}\n" for line in kept if line is not None), piece.done, piece.total)


def _substituted(line: str, rules: tuple[tuple[re.Pattern[str], str], ...]) -> str:
    if len(line) > 10_000:  # no prose; and no pattern may be led astray by it
        return line
    for pattern, instead in rules:
        line = pattern.sub(instead, line)
    return line


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


class _Rst:
    """What the lines before have opened: the block of a comment that is skipped, the options of a directive."""

    def __init__(self) -> None:
        self._skipped: int | None = None  # the indent of what opened a block that nobody reads
        self._options = False

    def line(self, line: str) -> str | None:
        if self._skipped is not None:
            if not line.strip() or _indent(line) > self._skipped:
                return None
            self._skipped = None
        if self._options and _RST_FIELD.match(line):
            return None
        self._options = False
        if directive := _RST_DIRECTIVE.match(line):
            indent, name, said = directive.groups()
            self._options = True
            if name in _SILENT:
                self._skipped = len(indent)
                return None
            return indent + _substituted(said, _RST_INLINE) if said.strip() else None
        if _RST_TARGET.match(line):
            return None
        if _RST_COMMENT.match(line) and not line.lstrip().startswith(".. ["):
            self._skipped = _indent(line)
            return None
        if _RST_ADORNMENT.match(line):
            return None
        line = _substituted(line, _RST_INLINE)
        return line[:-1] if line.endswith("::") else line


class _Org:
    """Whether a drawer is open."""

    def __init__(self) -> None:
        self._drawer = False

    def line(self, line: str) -> str | None:
        if self._drawer:
            if line.strip().upper() == ":END:":
                self._drawer = False
                return None
            if _ORG_PROPERTY.match(line) or _ORG_DRAWER.match(line):
                return None
            self._drawer = line.strip() == "" or line.startswith((" ", "\t"))
        elif line.strip().upper() in (":PROPERTIES:", ":LOGBOOK:"):
            self._drawer = True
            return None
        if _ORG_BLOCK.match(line) or _ORG_RULE.match(line) or line.lstrip().startswith("# ") or line.strip() == "#":
            return None
        if keyword := _ORG_KEYWORD.match(line):
            return _substituted(keyword[2], _ORG_INLINE) if keyword[1].lower() in _ORG_SAID else None
        if heading := _ORG_HEADING.match(line):
            return _substituted(heading[1], _ORG_INLINE)
        return _substituted(line, _ORG_INLINE)
