"""A small reverse proxy on loopback that signs people in: it says in headers who its cookie names.

It asks from an address of its own (127.0.0.2), so that a connection past it is a stranger's.
"""

from __future__ import annotations

import asyncio
import threading
from http.cookies import SimpleCookie

ADDRESS = "127.0.0.2"
COOKIE = "of_the_proxy"  # the session at the proxy: address|group,group
SEEN_FROM = "203.0.113.9"  # whom it says that it serves
OURS = ("x-forwarded-email", "x-forwarded-groups", "x-forwarded-for", "connection")


class Forwarder:
    """Serves in a thread until it is stopped."""

    def __init__(self, to_port: int, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._to = to_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        opening = asyncio.start_server(self._serve, "127.0.0.1", port)
        self._server = asyncio.run_coroutine_threadsafe(opening, self._loop).result(10)

    def stop(self) -> None:
        async def ending() -> None:
            self._server.close()
            under_way = asyncio.all_tasks() - {asyncio.current_task()}
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(ending(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back: asyncio.StreamWriter | None = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            there, back = await asyncio.open_connection("127.0.0.1", self._to, local_addr=(ADDRESS, 0))
            back.write(self._told(head))
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            for one in (writer, back):
                if one is not None:
                    one.close()

    def _told(self, head: bytes) -> bytes:
        """The head of a request with our headers in the place of whatever the browser put there."""
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        sent = [line.partition(": ")[::2] for line in lines]
        cookies = SimpleCookie("; ".join(value for name, value in sent if name.lower() == "cookie"))
        upgrades = any(name.lower() == "upgrade" for name, _ in sent)
        kept = [(name, value) for name, value in sent if name.lower() not in OURS]
        # One request a connection, so that each has its head rewritten.
        kept += [("Connection", "Upgrade" if upgrades else "close"), ("X-Forwarded-For", f"198.51.100.7, {SEEN_FROM}")]
        if COOKIE in cookies:
            email, _, groups = cookies[COOKIE].value.partition("|")
            kept += [("X-Forwarded-Email", email), ("X-Forwarded-Groups", groups)]
        return "\r\n".join([first, *(f"{name}: {value}" for name, value in kept), "", ""]).encode("latin-1")


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(65_536):
        writer.write(content)
        await writer.drain()
    writer.close()
