"""OLE compound files of a few small streams, and the old Office formats in them, by their specifications."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from itertools import pairwise

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_END, _FREE, _FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
_SECTOR, _CUTOFF = 512, 4096
_STORAGE, _STREAM, _ROOT = 1, 2, 5


def compound(streams: Mapping[str, bytes]) -> bytes:
    """A compound file ([MS-CFB]); a name with a slash lies in a storage.

    Streams are padded with zeros to the size from which they lie in sectors of their own.
    """
    bodies = {name: body.ljust(_CUTOFF, b"\0") for name, body in streams.items()}
    storages = sorted({name.split("/")[0] for name in bodies if "/" in name})
    fat: list[int] = []
    sectors = b""

    def add(body: bytes) -> int:
        nonlocal sectors
        first, count = len(fat), -(-len(body) // _SECTOR)
        fat.extend([*range(first + 1, first + count), _END])
        sectors += body.ljust(count * _SECTOR, b"\0")
        return first

    # Entries: the root, then its children, then theirs; siblings hang on each other's right.
    entries: list[list[object]] = [["Root Entry", _ROOT, _FREE, _FREE, _END, 0]]

    def hang(names: Sequence[str], prefix: str) -> int:
        numbers = []
        for name in names:
            body = bodies.get(prefix + name)
            numbers.append(len(entries))
            first, size = (add(body), len(body)) if body is not None else (0, 0)
            entries.append([name, _STORAGE if body is None else _STREAM, _FREE, _FREE, first, size])
        for number, following in pairwise(numbers):
            entries[number][2] = following
        return numbers[0] if numbers else _FREE

    def order(names: Sequence[str]) -> list[str]:
        return sorted(names, key=lambda name: (len(name), name.upper()))

    entries[0][3] = hang(order([name for name in bodies if "/" not in name] + storages), "")
    for entry in list(entries):
        if entry[1] == _STORAGE:
            inside = [name.split("/")[1] for name in bodies if name.startswith(f"{entry[0]}/")]
            entry[3] = hang(order(inside), f"{entry[0]}/")
    directory = b"".join(_entry(*entry) for entry in entries)  # type: ignore[arg-type]
    directory_at = add(directory.ljust(-(-len(directory) // _SECTOR) * _SECTOR, b"\0"))
    fat_at = len(fat)
    fat_sectors = -(-(len(fat) + 4) * 4 // _SECTOR)
    fat.extend([_FAT] * fat_sectors)
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(fat_sectors * _SECTOR, b"\xff")
    header = struct.pack("<8s16sHHHHH6xIIIIIIIII", MAGIC, b"", 62, 3, 0xFFFE, 9, 6, 0, fat_sectors, directory_at, 0,
                         _CUTOFF, _END, 0, _END, 0)  # fmt: skip
    places = [*range(fat_at, fat_at + fat_sectors)]
    header += struct.pack("<109I", *places, *[_FREE] * (109 - len(places)))
    return header + sectors + table


def _entry(name: str, kind: int, right: int, child: int, first: int, size: int) -> bytes:
    raw = name.encode("utf-16-le")
    return struct.pack("<64sHBBIII16sIQQIQ", raw, len(raw) + 2, kind, 1, _FREE, right, child, b"", 0, 0, 0, first, size)


def old_word(text: str, *, wide: bool = False, encrypted: bool = False, version: int = 0xC1) -> bytes:
    """A Word 97 document whose piece table has one piece ([MS-DOC] 2.4.1)."""
    body = text.encode("utf-16-le" if wide else "cp1252")
    start = 1024
    main = bytearray(start)
    struct.pack_into("<HH", main, 0, 0xA5EC, version)
    struct.pack_into("<H", main, 10, 0x0200 | (0x0100 if encrypted else 0))
    struct.pack_into("<i", main, 0x4C, len(text))
    where = start if wide else (start * 2) | 0x40000000
    pieces = struct.pack("<IIHIH", 0, len(text), 0, where, 0)
    clx = b"\x01\x02\x00\x00\x00" + b"\x02" + struct.pack("<I", len(pieces)) + pieces
    struct.pack_into("<II", main, 0x01A2, 0, len(clx))
    return compound({"WordDocument": bytes(main) + body, "1Table": clx})


def _atom(kind: int, body: bytes, version: int = 0, instance: int = 0) -> bytes:
    return struct.pack("<HHI", version | instance << 4, kind, len(body)) + body


def old_powerpoint(slides: Sequence[tuple[str, str]], *, encrypted: bool = False) -> bytes:
    """A PowerPoint 97 presentation: a title in the outline and a text in a shape of each slide ([MS-PPT] 2.1.2)."""
    stream = _atom(0x0FA0, "left by an earlier save".encode("utf-16-le"))
    places = []
    for _, text in slides:
        places.append(len(stream))
        stream += _atom(0x03EE, _atom(0x040C, _atom(0xF00D, _atom(0x0FA8, text.encode("latin-1")), 15), 15), 15)
    listed = b"".join(
        _atom(0x03F3, struct.pack("<I16x", number + 2)) + _atom(0x0FA0, title.encode("utf-16-le"))
        for number, (title, _) in enumerate(slides)
    )
    places.insert(0, len(stream))
    masters = _atom(0x0FF0, _atom(0x0FA0, "click to edit".encode("utf-16-le")), 15, 1)
    stream += _atom(0x03E8, masters + _atom(0x0FF0, listed, 15), 15)
    directory = len(stream)
    stream += _atom(0x1772, struct.pack(f"<I{len(places)}I", 1 | len(places) << 20, *places))
    edit = len(stream)
    stream += _atom(0x0FF5, struct.pack("<IIIIIIHH", 0, 0x03000000, 0, directory, 1, 9, 0, 0))
    token = 0xF3D1C4DF if encrypted else 0xE391C05F
    user = _atom(0x0FF6, struct.pack("<III", 20, token, edit))
    return compound({"PowerPoint Document": stream, "Current User": user})


def old_excel(name: str, rows: Sequence[Sequence[str | float]]) -> bytes:
    """An Excel 97 workbook of one sheet ([MS-XLS] 2.4)."""

    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    def begin(kind: int) -> bytes:
        return record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0x0DBB, 0x07CC, 0, 6))

    end = record(0x000A, b"")
    sheet = begin(0x0010)
    for down, row in enumerate(rows):
        for across, value in enumerate(row):
            at = struct.pack("<HHH", down, across, 0)
            if isinstance(value, str):
                sheet += record(0x0204, at + struct.pack("<HB", len(value), 1) + value.encode("utf-16-le"))
            else:
                sheet += record(0x0203, at + struct.pack("<d", value))
    title = struct.pack("<BB", len(name), 0) + name.encode("ascii")
    length = len(begin(5)) + len(record(0x0085, struct.pack("<IH", 0, 0) + title)) + len(end)
    book = begin(0x0005) + record(0x0085, struct.pack("<IH", length, 0) + title) + end
    return compound({"Workbook": book + sheet + end})


def outlook(subject: str, sender: str, body: str, html: str = "", attachment: str = "") -> bytes:
    """An Outlook message ([MS-OXMSG]) with one receiver, whose name is Ben."""

    def properties(header: bytes, values: Mapping[int, str]) -> tuple[bytes, dict[str, bytes]]:
        stream, streams = header, {}
        for number, value in values.items():
            raw = value.encode("utf-16-le")
            stream += struct.pack("<IIII", number << 16 | 0x1F, 6, len(raw) + 2, 0)
            streams[f"__substg1.0_{number:04X}001F"] = raw
        return stream, streams

    files = 1 if attachment else 0
    texts = {0x0037: subject, 0x0C1A: sender, 0x0C1F: "ana@example.org", 0x1000: body, 0x1013: html}
    head = struct.pack("<8xIIII8x", 1, files, 1, files)
    stream, streams = properties(head, {number: text for number, text in texts.items() if text})
    made = {"__properties_version1.0": stream, **streams}
    receiver, streams = properties(bytes(8), {0x3001: "Ben", 0x39FE: "ben@example.org"})
    made["__recip_version1.0_#00000000/__properties_version1.0"] = receiver
    made |= {f"__recip_version1.0_#00000000/{name}": raw for name, raw in streams.items()}
    if attachment:
        stream, streams = properties(bytes(8), {0x3707: attachment})
        made["__attach_version1.0_#00000000/__properties_version1.0"] = stream
        made |= {f"__attach_version1.0_#00000000/{name}": raw for name, raw in streams.items()}
    return compound(made)
