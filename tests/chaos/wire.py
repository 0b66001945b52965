"""The line between one host and Redis: real sockets, carried byte by byte, that can stall or be cut.

Stalled, it takes connections and carries nothing, as a network that drops packets; cut, it resets what is open
and what comes, as a host that is unreachable.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal

Mode = Literal["open", "stalled", "cut"]
CHUNK = 65_536


class Wires:
    """The event loop that carries all lines, in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._wires: list[Wire] = []
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def add(self, server: Path) -> Wire:
        """A line to the Redis that listens on that unix socket."""
        wire = Wire(self.loop, server)
        self._wires.append(wire)
        asyncio.run_coroutine_threadsafe(wire.listen(), self.loop).result(10)
        return wire

    def close(self) -> None:
        async def end() -> None:
            for wire in self._wires:
                wire.end()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class Wire:
    """One line. Its port is its own from the start to the end, whatever state it is in."""

    def __init__(self, loop: asyncio.AbstractEventLoop, server: Path) -> None:
        self._loop = loop
        self._server = server
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._mode: Mode = "open"
        self._carries = asyncio.Event()
        self._carries.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._socket.getsockname()[1]}/0"

    async def listen(self) -> None:
        self._listener = await asyncio.start_server(self._connected, sock=self._socket)

    def end(self) -> None:
        """In the loop: listen no more and drop what is open."""
        if self._listener is not None:
            self._listener.close()
        for writer in self._open:
            writer.transport.abort()

    def set(self, mode: Mode) -> None:
        """Stall, cut or open the line, now."""

        async def change() -> None:
            self._mode = mode
            if mode == "stalled":
                self._carries.clear()
            else:
                self._carries.set()
            if mode == "cut":
                for writer in self._open:
                    writer.transport.abort()

        asyncio.run_coroutine_threadsafe(change(), self._loop).result(10)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "cut":
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            await self._carries.wait()
            with suppress(OSError):
                theirs, there = await asyncio.open_unix_connection(str(self._server))
                self._open.add(there)
                try:
                    await asyncio.gather(self._carry(reader, there), self._carry(theirs, writer))
                finally:
                    self._open.discard(there)
                    there.transport.abort()
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(CHUNK):
                await self._carries.wait()
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.transport.abort()  # one way closed closes the other: Redis and its clients never half-close
