"""A multipart body with files, taken from the socket to disk within limits: of bytes, of files, of silence.

All of it lies in one file without a name below DATA until the job is made: whatever ends the request, a limit, a
client that goes, a server that is killed, the bytes are gone with it. One file for all, as each would cost a
descriptor of the process.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, BinaryIO, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from tasks.errors import DataUnwritable, RequestRefused, SubmissionRefused
from tasks.settings import Settings

FILES = "files"
FIELD_BYTES = 64 * 1024  # of a field that is no file
FIELDS_MOST = 20
TIMES = 4  # a body may hold that many times the largest single file
SILENCE_S = 30.0  # between two pieces of a body
BEGINNING_S = 60.0  # after that a body comes with at least:
LEAST_A_SECOND = 4096
WRITTEN_AT_ONCE = 1024 * 1024


@dataclass
class Part:
    """A file of the body: its name as it was sent, and where it lies in the spool."""

    name: str
    start: int
    size: int = 0


class Slice(io.RawIOBase):
    """One file of the spool, to be read and sought in like a file of its own."""

    def __init__(self, spool: IO[bytes], start: int, size: int) -> None:
        self._spool, self._start, self._size, self._at = spool, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("a place before the start")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer)).cast("B")
        self._spool.seek(self._start + self._at)
        found = self._spool.read(max(0, min(len(view), self._size - self._at)))
        view[: len(found)] = found
        self._at += len(found)
        return len(found)


@dataclass
class Form:
    """A body that came whole."""

    spool: IO[bytes]
    fields: dict[str, str] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)

    def files(self) -> Iterator[tuple[str, BinaryIO]]:
        """Name and content of each file, in the order in which they came."""
        for part in self.parts:
            yield part.name, io.BufferedReader(Slice(self.spool, part.start, part.size))


class _Taking:
    """What the parser calls; it only collects, so that the loop of the server is never held up by a disk."""

    def __init__(self, form: Form, settings: Settings) -> None:
        self.form = form
        self.pending = bytearray()
        self._settings = settings
        self._spooled = 0
        self._headers: dict[bytes, bytes] = {}
        self._header: list[bytearray] = [bytearray(), bytearray()]
        self._field: bytearray | None = None
        self._name = ""

    def callbacks(self) -> dict[str, object]:
        return {f"on_{name}": getattr(self, name) for name in ON}

    def part_begin(self) -> None:
        self._headers, self._field = {}, None

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def header_end(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = [bytearray(), bytearray()]

    def headers_finished(self) -> None:
        _, said = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = said.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in said:
            if self._name == FILES:
                raise RequestRefused(status=422, code="invalid", reason="A part 'files' has no file name; send one.")
            if len(self.form.fields) >= FIELDS_MOST:
                raise RequestRefused(status=413, code="too_large", reason="The body has more fields than there are.")
            self._field = bytearray()
            return
        if self._name != FILES:
            raise RequestRefused(
                status=422, code="invalid", reason=f"A file was sent as {self._name[:40]!r}; send each as 'files'."
            )
        most = self._settings.documents_max
        if len(self.form.parts) >= most:
            reason = f"One job may hold {most:,} documents; submit them in parts."
            raise RequestRefused(status=413, code="too_large", reason=reason)
        name = said[b"filename"].decode("utf-8", "replace")
        self.form.parts.append(Part(name, self._spooled))

    def part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is not None:
            self._field += data[start:end]
            if len(self._field) > FIELD_BYTES:
                reason = f"The field {self._name[:40]!r} is longer than {FIELD_BYTES // 1024} kB."
                raise RequestRefused(status=413, code="too_large", reason=reason)
            return
        part = self.form.parts[-1]
        part.size += end - start
        self._spooled += end - start
        if part.size > self._settings.upload_max_bytes:
            reason = f"{part.name[:80]} is larger than {self._settings.upload_max_bytes // 1024**2} MB; split it."
            raise RequestRefused(status=413, code="too_large", reason=reason)
        self.pending += data[start:end]

    def part_end(self) -> None:
        if self._field is not None:
            self.form.fields[self._name] = self._field.decode("utf-8", "replace")
            self._field = None

    def end(self) -> None:
        self.ended = True

    ended = False


ON = ("part_begin", "header_field", "header_value", "header_end", "headers_finished", "part_data", "part_end", "end")


def most_bytes(settings: Settings) -> int:
    """The largest body that is taken."""
    return TIMES * settings.upload_max_bytes


def declared(request: Request, most: int) -> int:
    """The length that a request says it has; 0 when it does not say. Raises RequestRefused when it is too much."""
    said = request.headers.get("content-length", "0")
    length = int(said) if said.isascii() and said.isdecimal() and len(said) < 16 else 0
    if length > most:
        raise _too_large(most)
    return length


async def pieces(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """The body as it comes. Raises RequestRefused when it is too much, too slow, or its client went."""
    began, held = time.monotonic(), 0
    stream = request.stream()
    while True:
        try:
            piece = await asyncio.wait_for(stream.__anext__(), SILENCE_S)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise _too_slow() from None
        except ClientDisconnect:
            raise RequestRefused(status=400, code="broken_off", reason="The body broke off.") from None
        held += len(piece)
        if held > most:
            raise _too_large(most)
        if time.monotonic() - began > BEGINNING_S + held / LEAST_A_SECOND:
            raise _too_slow()
        if piece:
            yield piece


@asynccontextmanager
async def form_of(request: Request, settings: Settings) -> AsyncIterator[Form]:
    """The form of a request; its files are gone when the block ends. Raises RequestRefused or DataUnwritable."""
    kind, said = parse_options_header(request.headers.get("content-type", ""))
    boundary = said.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 200:
        reason = "Send the files as multipart/form-data; docs/http-api.md has an example."
        raise RequestRefused(status=415, code="unsupported", reason=reason)
    try:
        spool = await run_in_threadpool(_spool, settings)
        with spool:
            yield await _taken(request, settings, Form(spool), boundary)
    except OSError as error:
        raise DataUnwritable(path=settings.data, reason=error.strerror or type(error).__name__) from error


async def _taken(request: Request, settings: Settings, form: Form, boundary: bytes) -> Form:
    taking = _Taking(form, settings)
    parser = MultipartParser(boundary, taking.callbacks())  # type: ignore[arg-type]
    try:
        async for piece in pieces(request, most_bytes(settings)):
            parser.write(piece)
            if len(taking.pending) >= WRITTEN_AT_ONCE:
                await _flush(form, taking)
        parser.finalize()
    except FormParserError:
        raise RequestRefused(status=400, code="malformed", reason="The body is no multipart/form-data.") from None
    if not taking.ended:
        raise RequestRefused(status=400, code="malformed", reason="The body ends before its last boundary.")
    await _flush(form, taking)
    if not form.parts:
        raise SubmissionRefused(reason="no documents were given; send each as a part 'files' with its name")
    return form


async def _flush(form: Form, taking: _Taking) -> None:
    pending, taking.pending = taking.pending, bytearray()
    await run_in_threadpool(form.spool.write, pending)


def _spool(settings: Settings) -> IO[bytes]:
    settings.data.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=settings.data)


def _too_large(most: int) -> RequestRefused:
    reason = f"A body may have {max(1, most // 1024**2):,} MB; send less at once."
    return RequestRefused(status=413, code="too_large", reason=reason)


def _too_slow() -> RequestRefused:
    return RequestRefused(status=408, code="too_slow", reason="The body came too slowly; send it again.")
