"""Uploads over real sockets: too large, too slow, too many or given up, and nothing is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from dashboard.gate import uploads
from dashboard.gate.door import Door
from dashboard.gate.protection import Receive, Scope, Send
from dashboard.gate.uploads import AROUND_BYTES, AT_ONCE, FULL, TOO_LARGE, TOO_SLOW, Uploads
from tasks import settings as settings_of
from tests.pages.signing import asked, inside
from tests.pages.test_server import dashboard, free_port, health
from tests.waiting import wait_until

MB = 1024 * 1024
PATH = "/_stcore/upload_file/session/file"
BOUNDARY = "of-the-test"
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\n'.encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


class Receiver:
    """A server of its own that takes a form as Streamlit does, behind the limits of uploads."""

    def __init__(self, folder: Path, **limits: object) -> None:
        self.under_way = self.most = self.taken = 0
        self.go = threading.Event()
        self.go.set()
        self._limited = Uploads(self._take, settings_of.read(data=folder, upload_max_bytes=MB), **limits)  # type: ignore[arg-type]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.server = uvicorn.Server(uvicorn.Config(self, log_level="critical", lifespan="off"))
        self._thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self._listener]}, daemon=True)
        self._thread.start()
        wait_until(lambda: self.server.started, what="the server")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._limited(scope, receive, send, by="ana")

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            while not self.go.is_set():
                await asyncio.sleep(0.01)
            async with Request(scope, receive).form() as form:
                self.taken += 1
                await PlainTextResponse(f"took {len(form)}")(scope, receive, send)
        finally:
            self.under_way -= 1

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(10)
        self._listener.close()


@contextmanager
def receiving(folder: Path, **limits: object) -> Iterator[Receiver]:
    made = Receiver(folder, **limits)
    try:
        yield made
    finally:
        made.stop()


def begin(port: int, announced: int | None, body: bytes = b"", path: str = PATH) -> socket.socket:
    """An upload as far as the bytes that are given; without an announced length it comes in chunks."""
    link = socket.create_connection(("127.0.0.1", port), timeout=15)
    length = f"Content-Length: {announced}" if announced is not None else "Transfer-Encoding: chunked"
    head = f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{length}\r\n"
    link.sendall(f"{head}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode() + body)
    return link


def answer(link: socket.socket) -> tuple[int, str]:
    found = http.client.HTTPResponse(link)
    found.begin()
    said = found.status, found.read().decode()
    link.close()
    return said


def chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def test_a_file_within_the_limits_is_taken(tmp_path: Path) -> None:
    whole = HEAD + b"x" * MB + TAIL
    with receiving(tmp_path) as receiver:
        assert answer(begin(receiver.port, len(whole), whole)) == (200, "took 1")


def test_a_file_that_says_that_it_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver:
        assert answer(begin(receiver.port, MB + AROUND_BYTES + 1)) == (413, TOO_LARGE)
        assert receiver.most == 0


def test_a_file_that_does_not_say_is_counted_while_it_comes(tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver:
        link = begin(receiver.port, None, chunk(HEAD))
        with contextlib.suppress(OSError):  # it hangs up, as it should
            for _ in range(40):
                link.sendall(chunk(b"x" * (64 * 1024)))
        wait_until(lambda: receiver.most == 1 and receiver.under_way == 0, what="its end")
        assert receiver.taken == 0
        link.close()


def test_an_upload_that_stands_still_is_ended(tmp_path: Path) -> None:
    with receiving(tmp_path, silent_s=0.3) as receiver:
        link = begin(receiver.port, 1000, HEAD)
        began = time.monotonic()
        assert answer(link) == (408, TOO_SLOW)
        assert 0.2 < time.monotonic() - began < 10
        assert receiver.under_way == 0


def test_an_upload_that_only_drips_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PATIENCE_S", 0.3)
    with receiving(tmp_path) as receiver:
        link = begin(receiver.port, 100_000, HEAD)
        with contextlib.suppress(OSError):
            wait_until(lambda: (receiver.most and not receiver.under_way) or link.send(b"x") > 1, what="its end")
        assert (receiver.most, receiver.under_way, receiver.taken) == (1, 0, 0)
        link.close()


def test_one_person_sends_a_few_at_once_and_the_others_wait_their_turn(tmp_path: Path) -> None:
    whole = HEAD + b"x" + TAIL
    with receiving(tmp_path) as receiver:
        receiver.go.clear()
        links = [begin(receiver.port, len(whole), whole) for _ in range(3 * AT_ONCE)]
        wait_until(lambda: receiver.under_way == AT_ONCE, what="as many as may")
        receiver.go.set()
        assert {answer(link) for link in links} == {(200, "took 1")}
        assert receiver.most == AT_ONCE


def test_too_many_waiting_are_told_to_wait_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "WAITING", 2)
    whole = HEAD + b"x" + TAIL
    with receiving(tmp_path) as receiver:
        receiver.go.clear()
        links = [begin(receiver.port, len(whole), whole) for _ in range(AT_ONCE + 2)]
        wait_until(lambda: receiver.under_way == AT_ONCE, what="as many as may")
        wait_until(lambda: answer(begin(receiver.port, len(whole), whole))[0] == 429, what="the refusal")
        receiver.go.set()
        assert [answer(link)[0] for link in links].count(200) >= AT_ONCE + 1


def test_what_nobody_submitted_does_not_fill_the_memory(tmp_path: Path) -> None:
    whole = HEAD + b"x" + TAIL
    with receiving(tmp_path, held=lambda: 100, most_held=100) as receiver:
        assert answer(begin(receiver.port, len(whole))) == (503, FULL)
    with receiving(tmp_path, held=lambda: 99, most_held=100) as receiver:
        assert answer(begin(receiver.port, len(whole), whole))[0] == 200


# --- the real dashboard ------------------------------------------------------------------------------


class Session:
    """A page of the dashboard as its browser has it: with an id and a token for uploads."""

    def __init__(self, port: int) -> None:
        self.port = port
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        link.request("GET", "/_stcore/health")
        self.token = link.getresponse().headers["Set-Cookie"].split(";")[0].partition("=")[2]
        link.close()
        self._held = ExitStack()
        opened = connect(
            f"ws://127.0.0.1:{port}/_stcore/stream",
            origin=Origin(f"http://127.0.0.1:{port}"),
            subprotocols=[Subprotocol("streamlit")],
            max_size=None,
            proxy=None,
        )
        self._socket = self._held.enter_context(opened)
        asked = BackMsg()
        asked.rerun_script.query_string = ""
        self._socket.send(asked.SerializeToString())
        self.id = ""
        while not self.id:
            told = ForwardMsg()
            told.ParseFromString(self._socket.recv(timeout=20))
            self.id = told.new_session.initialize.session_id

    def upload(self, announced: int, body: bytes) -> socket.socket:
        link = socket.create_connection(("127.0.0.1", self.port), timeout=15)
        told = {
            "Host": f"127.0.0.1:{self.port}",
            "Content-Length": str(announced),
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "Cookie": f"_streamlit_xsrf={self.token}",
            "X-Xsrftoken": self.token,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        link.sendall(f"PUT /_stcore/upload_file/{self.id}/1 HTTP/1.1\r\n{head}\r\n".encode() + body)
        return link

    def close(self) -> None:
        self._held.close()


def files_of(pid: int) -> tuple[int, int]:
    """How many files a process has open, and how many of them are temporary."""
    links: list[str] = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(one.readlink()))
    return len(links), sum("(deleted)" in one for one in links)


def test_uploads_that_are_given_up_leave_no_file_no_memory_and_no_traceback(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("INGESTBOARD_UPLOAD_MAX_BYTES", str(8 * MB))
    with dashboard(tmp_path, port, redis_url) as process:
        wait_until(lambda: health(port), what="/healthz")
        session = Session(port)
        whole = HEAD + b"x" * MB + TAIL
        assert answer(session.upload(len(whole), whole))[0] == 204
        me = psutil.Process(process.pid)
        before, memory = files_of(process.pid), me.memory_info().rss
        links = [session.upload(8 * MB, HEAD + b"x" * (3 * MB)) for _ in range(AT_ONCE)]
        wait_until(lambda: files_of(process.pid)[1] >= before[1] + AT_ONCE, what="the uploads to be under way")
        for at, link in enumerate(links):
            if at % 2:  # reset instead of closed in order
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.close()
        wait_until(lambda: files_of(process.pid) <= before, what="their files and connections to be closed")
        assert answer(session.upload(len(whole), whole))[0] == 204  # and their turns are free again
        assert me.memory_info().rss - memory < 30 * MB
        session.close()
        process.terminate()
        _, said = process.communicate(timeout=20)
    assert "Traceback" not in said


def test_the_door_holds_the_uploads_of_everybody_to_the_limits(tmp_path: Path) -> None:
    door = Door(inside, settings_of.read(data=tmp_path, upload_max_bytes=MB))
    said = [("content-length", str(3 * MB))]
    assert asked(door, PATH, "PUT", headers=said)[0] == 413
    assert asked(door, PATH, "PUT", headers=[("content-length", "-1")])[0] == 413
    assert asked(door, "/static/x", "PUT", headers=said)[0] == 200
