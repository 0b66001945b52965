"""Documents to measure with, the same each time: sentences of Python's own language reference, shuffled by a seed.

The text is what `pydoc_data.topics` of the running Python holds, so that words, their frequencies and their
punctuation are those of real prose, and nothing has to be downloaded or committed.
"""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics

from fpdf import FPDF

SECTION = (1200, 4800)  # characters of a Markdown section, least and most
PAGE = 2400  # characters on a page of a PDF, about


@cache
def sentences() -> tuple[str, ...]:
    """Sentences of prose, 40 to 300 characters each."""
    found: list[str] = []
    for name in sorted(topics):
        for paragraph in re.split(r"\n\s*\n", topics[name]):
            text = " ".join(paragraph.split())
            found += [part for part in re.split(r"(?<=[.!?]) +", text) if 40 <= len(part) <= 300 and part[-1] in ".!?"]
    return tuple(found)


def prose(chance: random.Random, size: int) -> str:
    """Paragraphs of that many characters, about."""
    paragraphs: list[str] = []
    held = 0
    while held < size:
        paragraph = " ".join(chance.choices(sentences(), k=chance.randint(2, 7)))
        paragraphs.append(paragraph)
        held += len(paragraph) + 2
    return "\n\n".join(paragraphs)


def heading(chance: random.Random) -> str:
    """A few words that a section could be called."""
    words = re.findall(r"[A-Za-z]{3,}", chance.choice(sentences()))
    return " ".join(words[:5]).capitalize()


def markdown(chance: random.Random, size: int) -> str:
    """A Markdown document of that many characters, about, in sections."""
    parts = [f"# {heading(chance)}"]
    held = 0
    while held < size:
        body = prose(chance, min(chance.randint(*SECTION), size - held))
        parts.append(f"## {heading(chance)}\n\n{body}")
        held += len(body)
    return "\n\n".join(parts) + "\n"


def write_markdown(folder: Path, count: int, *, least: int = 3_000, most: int = 36_000) -> int:
    """`count` Markdown files, small ones more often than large ones; how many bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    size = 0
    for number in range(count):
        chance = random.Random(f"markdown {number}")
        text = markdown(chance, int(least * (most / least) ** chance.random()))
        size += (folder / f"document-{number:04d}.md").write_bytes(text.encode())
    return size


def write_pdfs(folder: Path, count: int, *, pages: tuple[int, int] = (2, 20)) -> int:
    """`count` PDF files of text pages; how many pages."""
    folder.mkdir(parents=True, exist_ok=True)
    made = 0
    for number in range(count):
        chance = random.Random(f"pdf {number}")
        made += write_pdf(folder / f"report-{number:03d}.pdf", chance, chance.randint(*pages))
    return made


def write_pdf(path: Path, chance: random.Random, pages: int) -> int:
    """One PDF of text pages; how many."""
    pdf = FPDF(format="A4")
    pdf.set_creation_date(datetime(2026, 1, 1, tzinfo=UTC))
    pdf.set_auto_page_break(False)
    pdf.set_font("Helvetica", size=10)
    for _ in range(pages):
        pdf.add_page()
        text = f"{heading(chance)}\n\n{prose(chance, PAGE)}"
        pdf.multi_cell(0, 5, text.encode("latin-1", "replace").decode("latin-1"))
    pdf.output(str(path))
    return pages
