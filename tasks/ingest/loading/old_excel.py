"""Old Excel workbooks (.xls), by calamine: one sheet a page, like the new ones."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

from python_calamine import CalamineWorkbook, PasswordError

from tasks.errors import DocumentFailed
from tasks.ingest.loading.portions import Piece
from tasks.ingest.loading.sentences import DAMAGED, ENCRYPTED, TOO_LARGE

SIZE_MAX = 128 << 20  # bytes; a workbook of this format is parsed as a whole
_ROWS = 200


def read(path: Path) -> Iterator[Piece]:
    """Each sheet's name, then its rows with their cells joined by ` | `. Formulas give their last value."""
    if path.stat().st_size > SIZE_MAX:
        raise DocumentFailed(reason=TOO_LARGE)
    book = _opened(path)
    names = book.sheet_names
    for number, name in enumerate(names, start=1):
        title = f"{name}\n\n"  # goes with the first rows: alone it is no content
        lines: list[str] = []
        for row in book.get_sheet_by_index(number - 1).iter_rows():
            if line := " | ".join(cell for value in row if (cell := _cell(value))):
                lines.append(title + line + "\n")
                title = ""
            if len(lines) >= _ROWS:
                yield Piece("".join(lines), number - 1, len(names), page=number)
                lines.clear()
        yield Piece("".join(lines), number, len(names), page=number)


def _opened(path: Path) -> CalamineWorkbook:
    try:
        with path.open("rb") as file:
            return CalamineWorkbook.from_filelike(file)
    except PasswordError:
        raise DocumentFailed(reason=ENCRYPTED) from None
    except BaseException as error:
        # A panic of the Rust code is no Exception, yet it is the document's fault like any other error.
        if type(error).__name__ == "PanicException":
            raise DocumentFailed(reason=DAMAGED.format(label="an old Excel workbook (.xls)")) from None
        raise


def _cell(value: object) -> str:
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))  # the format knows no whole numbers
    return str(value).strip()
