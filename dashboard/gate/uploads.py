"""Uploads at the door: no larger than allowed, no slower than a poor line, and no more at once than a browser sends.

Streamlit holds what is uploaded in memory until it is submitted, so all of it together has a limit, too. An upload
that is ended or given up leaves nothing: its temporary file goes with the request that wrote it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import psutil
from starlette.requests import ClientDisconnect
from streamlit import runtime

from dashboard.gate.protection import Asgi, Message, Receive, Scope, Send, deny
from tasks.settings import Settings

log = logging.getLogger("ingestboard.uploads")

ROUTE = "/_stcore/upload_file/"
# What multipart/form-data puts around a file; Streamlit allows the same.
AROUND_BYTES = 1024 * 1024
SILENT_S = 30.0
# From the first minute on, slower than this on the average is nobody's line.
SLOWEST_BYTES_S = 2_000
PATIENCE_S = 60.0
# A browser sends six at once over HTTP/1.1; a proxy that speaks HTTP/2 lets it send a hundred, which wait their turn.
AT_ONCE = 6
WAITING = 500
# Of this machine's memory, for what is uploaded and not submitted yet.
SHARE = 0.5
COUNT_EVERY_S = 1.0

TOO_LARGE = "The file is larger than this board accepts.\n"
TOO_SLOW = "The upload stood still for too long and was ended; try it again.\n"
TOO_MANY = "Too many uploads of yours are under way; wait for some of them to end.\n"
FULL = "The board holds as many files as it can that were uploaded and not submitted; try again later.\n"


def is_upload(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["path"].startswith(ROUTE) and scope["method"] in ("PUT", "POST", "DELETE")


def held_bytes() -> int:
    """What is uploaded and not submitted yet, over all pages of this process."""
    if not runtime.exists():
        return 0
    stored: dict[str, dict[str, Any]] = getattr(runtime.get_instance().uploaded_file_mgr, "file_storage", {})
    return sum(len(one.data) for files in list(stored.values()) for one in list(files.values()))


class Uploads:
    """An application whose uploads are held to the limits. `by` names who sends one."""

    def __init__(
        self,
        app: Asgi,
        using: Settings,
        *,
        silent_s: float = SILENT_S,
        most_held: int | None = None,
        held: Callable[[], int] = held_bytes,
    ) -> None:
        self._app = app
        self._most = -(-using.upload_max_bytes // (1024 * 1024)) * 1024 * 1024 + AROUND_BYTES
        self._silent_s = silent_s
        self._most_held = most_held if most_held is not None else int(psutil.virtual_memory().total * SHARE)
        self._held = held
        self._counted: tuple[float, int] = (float("-inf"), 0)
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._here: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send, *, by: str) -> None:
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not announced.isdigit() or int(announced) > self._most:
            await deny(scope, receive, send, 413, TOO_LARGE, close=True)
            return
        if scope["method"] != "DELETE" and self._full():
            await deny(scope, receive, send, 503, FULL, close=True)
            return
        if self._here[by] >= AT_ONCE + WAITING:
            await deny(scope, receive, send, 429, TOO_MANY, close=True)
            return
        self._here[by] += 1
        turn = self._turns.setdefault(by, asyncio.Semaphore(AT_ONCE))
        try:
            async with turn:
                await self._held_to_limits(scope, receive, send)
        finally:
            self._here[by] -= 1
            if not self._here[by]:
                del self._here[by], self._turns[by]

    async def _held_to_limits(self, scope: Scope, receive: Receive, send: Send) -> None:
        reading = _Reading(receive, send, most=self._most, silent_s=self._silent_s)
        try:
            await self._app(scope, reading.receive, reading.send)
        except ClientDisconnect:
            log.info("An upload was given up by who sent it or ended here.")
        if reading.ended and not reading.answered:
            await deny(scope, receive, send, *reading.ended, close=True)

    def _full(self) -> bool:
        now = time.monotonic()
        if now - self._counted[0] >= COUNT_EVERY_S:
            self._counted = (now, self._held())
        return self._counted[1] >= self._most_held


class _Reading:
    """One upload on its way: counts what comes, and breaks off what is too much or too slow."""

    def __init__(self, receive: Receive, send: Send, *, most: int, silent_s: float) -> None:
        self._receive, self._send = receive, send
        self._most, self._silent_s = most, silent_s
        self._began = time.monotonic()
        self._read = 0
        self._whole = False
        self.ended: tuple[int, str] | None = None
        self.answered = False

    async def receive(self) -> Message:
        if self.ended:
            return {"type": "http.disconnect"}
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._silent_s)
        except TimeoutError:
            return self._end(408, TOO_SLOW)
        self._read += len(message.get("body", b""))
        self._whole = message["type"] == "http.disconnect" or not message.get("more_body", False)
        lasted = time.monotonic() - self._began
        if self._read > self._most:
            return self._end(413, TOO_LARGE)
        if not self._whole and lasted > PATIENCE_S and self._read < lasted * SLOWEST_BYTES_S:
            return self._end(408, TOO_SLOW)
        return message

    async def send(self, message: Message) -> None:
        if self.ended and not self.answered:
            return  # whatever is said about a broken off request, we say it better
        self.answered = True
        await self._send(message)

    def _end(self, status: int, reason: str) -> Message:
        self.ended = (status, reason)
        log.warning("Ended an upload after %d bytes with %d.", self._read, status)
        return {"type": "http.disconnect"}
