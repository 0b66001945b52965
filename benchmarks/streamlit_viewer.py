"""A viewer of a Streamlit page without a browser: speaks its WebSocket protocol and ticks as the browser does.

The protocol is Streamlit's own (streamlit.proto, BackMsg to the server and ForwardMsg from it): the first message
asks for a run of the page; `auto_rerun` names the fragment that is to be asked for again, and how often.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

FINISHED = ForwardMsg.FINISHED_SUCCESSFULLY
FRAGMENT_FINISHED = ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY
MESSAGE_BYTES = 64 * 1024 * 1024
START_S = 120.0


@dataclass
class Viewer:
    """One open page. `ticks` are pairs: moment of the request (monotonic seconds) and seconds until its last answer."""

    address: str
    query: str = ""
    ticks: list[tuple[float, float]] = field(default_factory=list)
    received_bytes: int = 0
    failed: str = ""
    _page: str = ""
    _fragment: str = ""
    _interval_s: float = 0.0

    async def look(self, ends_at: float, opened: asyncio.Event, *, after_s: float = 0.0) -> None:
        """Open the page after a while and tick until the moment (monotonic); why it ended early is in `failed`."""
        await asyncio.sleep(after_s)
        try:
            async with connect(
                f"ws://{self.address}/_stcore/stream",
                subprotocols=["streamlit"],  # type: ignore[list-item]  # a plain str does
                origin=Origin(f"http://{self.address}"),
                max_size=MESSAGE_BYTES,
                compression=None,
                open_timeout=START_S,
                ping_interval=None,
            ) as socket:
                await self._run(socket, "")
                opened.set()
                await self._tick(socket, ends_at)
        except (ConnectionClosed, OSError, TimeoutError) as error:
            self.failed = f"{type(error).__name__}: {error}"
        finally:
            opened.set()

    async def _tick(self, socket: ClientConnection, ends_at: float) -> None:
        due = time.monotonic() + self._interval_s
        while self._fragment and due < ends_at:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            asked = time.monotonic()
            await self._run(socket, self._fragment)
            self.ticks.append((asked, time.monotonic() - asked))
            # The browser's timer asks at its interval, however long the last answer took.
            due = max(asked + self._interval_s, time.monotonic())

    async def _run(self, socket: ClientConnection, fragment: str) -> None:
        """Ask for a run of the page or of one fragment, and read until it has ended."""
        message = BackMsg()
        message.rerun_script.query_string = self.query
        message.rerun_script.page_script_hash = self._page
        message.rerun_script.fragment_id = fragment
        message.rerun_script.is_auto_rerun = bool(fragment)
        await socket.send(message.SerializeToString())
        whole = not fragment
        while True:
            frame = await asyncio.wait_for(socket.recv(), START_S)
            self.received_bytes += len(frame)
            answer = ForwardMsg()
            answer.ParseFromString(frame if isinstance(frame, bytes) else frame.encode())
            match answer.WhichOneof("type"):
                case "new_session":
                    self._page = answer.new_session.page_script_hash
                    if not answer.metadata.run.fragment_ids:
                        # A full run, asked for by us or by the fragment: it says anew what is to be repeated.
                        self._fragment, whole = "", True
                case "auto_rerun":
                    self._fragment, self._interval_s = answer.auto_rerun.fragment_id, answer.auto_rerun.interval
                case "script_finished" if answer.script_finished == (FINISHED if whole else FRAGMENT_FINISHED):
                    return
