"""The marks that formats leave in their first bytes or in their directory: data only."""

from __future__ import annotations

from typing import Final

from tasks.ingest.loading.sentences import FORMATS

_INSTEAD = f"upload {FORMATS}"
_UNPACK = "unpack it, or pack its documents as .zip, and upload those"

PICTURES: Final = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")

# First bytes, what that is, and what to do instead.
OTHERS: Final = (
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a", "a RAR archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\0", "an xz archive", _UNPACK),
    (b"\x7fELF", "a program", _INSTEAD),
    (b"SQLite format 3\0", "a database", "export its tables as CSV"),
    (b"%!PS", "a PostScript file", "save it as PDF"),
    (b"ID3", "a sound file", _INSTEAD),
    (b"OggS", "a sound file", _INSTEAD),
    (b"PAR1", "a Parquet table", "save it as CSV"),
)

# Streams in the root of an OLE compound file; those of a message first, for it may carry the others inside.
OLE_STREAMS: Final = (
    ("__properties_version1.0", "msg"),
    ("__nameid_version1.0", "msg"),
    ("WordDocument", "doc"),
    ("PowerPoint Document", "ppt"),
    ("Workbook", "xls"),
    ("Book", "xls"),
)

# What the media type of an OpenDocument file goes on with.
OPEN_DOCUMENT: Final = (
    ("opendocument.text", "odt"),
    ("opendocument.spreadsheet", "ods"),
    ("opendocument.presentation", "odp"),
    ("opendocument.graphics", "odp"),
)
