"""CSV and TSV: every row as lines of `header: value`, in bounded memory."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.errors import DocumentFailed
from tasks.ingest.loading import text
from tasks.ingest.loading.portions import Piece

CELL_MAX = 1 << 20  # characters of one cell; more is a quote that was never closed

_ROWS = 200
_DELIMITERS = ",;\t|"


def read(path: Path) -> Iterator[Piece]:
    """The rows in their order. The first row names the columns when it looks like names."""
    encoding = text.encoding(path)
    size = path.stat().st_size
    csv.field_size_limit(CELL_MAX)
    with text.opened(path, encoding, newline="") as file:
        delimiter = _delimiter(file.read(64 * 1024))
        file.seek(0)
        rows = csv.reader(file, delimiter=delimiter)
        header: Sequence[str] | None = None
        lines: list[str] = []
        values = False
        try:
            for row in rows:
                if not any(cell.strip() for cell in row):
                    continue
                if header is None and _is_title(row):
                    lines.append("".join(row).strip() + "\n\n")
                    continue
                if header is None:
                    header = row if _is_header(row) else ()
                    if header:
                        continue
                lines.append(_row(header, row))
                values = True
                if len(lines) >= _ROWS:
                    yield Piece("".join(lines), *text.position(file, size))
                    lines.clear()
        except csv.Error:
            reason = (
                f"The table cannot be read near line {rows.line_num}: a cell is too long or a quote is not closed; "
                "correct it and upload the file again."
            )
            raise DocumentFailed(reason=reason) from None
        if header and not values:
            lines.append(", ".join(header) + "\n")
        _, total = text.position(file, size)
        yield Piece("".join(lines), total, total)


def _delimiter(sample: str) -> str:
    """The delimiter that cuts the first lines into the same number of cells, more than one."""
    lines = [line for line in sample.splitlines()[:50] if line.strip()][:20]

    def agreement(delimiter: str) -> tuple[int, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        usual = max(counts, key=counts.count, default=1)
        return (counts.count(usual) if usual > 1 else 0), usual

    try:
        return max(_DELIMITERS, key=agreement)
    except csv.Error:
        return ","


def _is_title(row: Sequence[str]) -> bool:
    """Whether a row above the header is a heading of the whole table: one cell of many is filled."""
    return len(row) > 1 and sum(1 for cell in row if cell.strip()) == 1


def _is_header(row: Sequence[str]) -> bool:
    """Whether a first row names columns: every cell filled, all different, none a number."""
    cells = [cell.strip() for cell in row]
    return all(cells) and len(set(cells)) == len(cells) and not any(_is_number(cell) for cell in cells)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _row(header: Sequence[str] | None, row: Sequence[str]) -> str:
    """A row as text. A blank line ends it, so that a splitter keeps its cells together."""
    names = header or ()
    lines = [
        f"{names[index].strip() if index < len(names) else f'column {index + 1}'}: {cell.strip()}"
        for index, cell in enumerate(row)
        if cell.strip()
    ]
    return "\n".join(lines) + "\n\n"
