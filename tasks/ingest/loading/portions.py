"""What a reader gives and how it is cut: pieces of text become portions, between which a caller can stop.

Where a document is cut depends on its bytes alone, never on the clock: an artifact is a pure function of
content and recipe. A slow stretch shows itself in empty portions instead, which only carry progress.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import ceil

from llama_index.core.schema import Document

from tasks.errors import DocumentFailed
from tasks.ingest.loading.sentences import TOO_MANY_PAGES

RANGE = 512 * 1024  # bytes of a text file, or characters of text, that one portion holds at most, about
PAGES_MAX = 20_000  # pages, slides or sheets of one document: each is given 10 s, and a file may claim any number
PAGES = 16  # pages, slides or sheets that one portion holds at most
PACE_S = 0.5  # a portion comes at least this often, even an empty one


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of a document, in order. `done` of `total` is what has been read with it; `page` counts from 1."""

    text: str
    done: int
    total: int
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Portion:
    """Documents to split next, at most about a second of work. `done` of `total` pages or ranges are read."""

    documents: list[Document]
    done: int
    total: int


def ranges(size: int) -> int:
    """How many ranges a file of that many bytes has; at least one."""
    return max(1, ceil(size / RANGE))


def clean(text: str) -> str:
    """Text as it can be stored: no NUL, no lone surrogate (RFC 3629 has no bytes for one)."""
    text = text.replace("\x00", "")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text


def document(text: str, page: int | None) -> Document:
    """A LlamaIndex document that carries nothing but its text and, where there is one, its page."""
    metadata = {} if page is None else {"page": page}
    # The page is for the reader of a hit; it must not be embedded, nor make chunks smaller.
    return Document(
        text=clean(text),
        metadata=metadata,
        excluded_embed_metadata_keys=["page"],
        excluded_llm_metadata_keys=["page"],
    )


def portions(pieces: Iterable[Piece], clock: Callable[[], float] = time.monotonic) -> Iterator[Portion]:
    """Pieces gathered into portions: neighbours of one page join, blank text is left out.

    Raises DocumentFailed for more pages than a document may have.
    """
    gathered: list[Document] = []
    texts: list[str] = []
    size, pages, done, total = 0, 0, 0, 1
    page: int | None = None
    last = clock()

    def close() -> None:
        if any(not text.isspace() for text in texts if text):
            gathered.append(document("".join(texts), page))
        texts.clear()

    for piece in pieces:
        if piece.page is not None and max(piece.page, piece.total) > PAGES_MAX:
            raise DocumentFailed(reason=TOO_MANY_PAGES.format(most=PAGES_MAX))
        if piece.page != page:
            close()
            page, pages = piece.page, pages + 1
        texts.append(piece.text)
        size += len(piece.text)
        done, total = piece.done, piece.total
        if size >= RANGE // 2 or (piece.page is not None and pages >= PAGES):
            close()
            yield Portion(list(gathered), done, total)
            gathered.clear()
            size, pages, last = 0, 0, clock()
        elif clock() - last >= PACE_S:
            yield Portion([], done, total)
            last = clock()
    close()
    yield Portion(gathered, total, total)
