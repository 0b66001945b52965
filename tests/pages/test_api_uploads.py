"""Files over HTTP on a real socket: limits of bytes, files and silence, and that nothing is left of what broke off."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dashboard import api, connection
from dashboard.api import serving, uploading
from dashboard.api.uploading import Slice
from tasks.ledger import Ledger, monitor
from tests.pages.test_api_rights import client, headers
from tests.waiting import wait_until

__all__ = ["client"]

BOUNDARY = "cut"


@pytest.fixture
def port(client: TestClient) -> Iterator[int]:
    """The API on a socket of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(Starlette(routes=[*api.routes()]), log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started, what="the server")
        yield int(listener.getsockname()[1])
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def part(name: str, content: bytes, field: str = "files") -> bytes:
    named = f'; filename="{name}"' if name else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"{named}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def head(sent: dict[str, str], length: int) -> bytes:
    lines = [
        "POST /api/v1/jobs HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {length}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in sent.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def answer_of(connected: socket.socket) -> tuple[int, dict[str, str]]:
    connected.settimeout(20)
    received = b""
    while piece := connected.recv(65_536):
        received += piece
    first, _, body = received.partition(b"\r\n\r\n")
    return int(first.split()[1]), json.loads(body)


def left(ledger: Ledger) -> list[str]:
    """Every file below DATA but those that the test put there, and every nameless one that this process holds."""
    data = ledger.settings.data
    named = [str(path.relative_to(data)) for path in data.rglob("*") if path.is_file() and path.name != "roles.toml"]
    held = []
    for one in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            held.append(str(one.readlink()))
    return [*named, *(path for path in held if path.startswith(str(data)))]


WHOLE = part("", b"contracts", "collection") + part("a.txt", b"words") + f"--{BOUNDARY}--\r\n".encode()


def test_a_body_that_comes_whole_is_a_job(port: int, fake_ledger: Ledger) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connected:
        connected.sendall(head(headers(fake_ledger, "operator"), len(WHOLE)) + WHOLE)
        status, said = answer_of(connected)
    assert (status, said["collection"]) == (201, "contracts")
    assert [name.partition("/")[0] for name in left(fake_ledger)].count("uploads") == 1


def test_a_client_that_goes_leaves_nothing(port: int, fake_ledger: Ledger) -> None:
    sent = headers(fake_ledger, "operator")
    with socket.create_connection(("127.0.0.1", port)) as connected:
        connected.sendall(head(sent, 50_000_000) + part("b.bin", b"x" * 3_000_000))
        wait_until(lambda: left(fake_ledger), what="the first bytes on disk")
        assert serving._under_way
    wait_until(lambda: not left(fake_ledger), what="nothing to be left")
    wait_until(lambda: not serving._under_way, what="the place to be free")
    assert monitor.page(fake_ledger)[1] == 0


def test_a_body_that_falls_silent_is_given_up(port: int, fake_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "SILENCE_S", 0.2)
    with socket.create_connection(("127.0.0.1", port)) as connected:
        connected.sendall(head(headers(fake_ledger, "operator"), len(WHOLE)) + WHOLE[:100])
        status, said = answer_of(connected)
    assert (status, said["code"]) == (408, "too_slow")
    wait_until(lambda: not left(fake_ledger), what="nothing to be left")


def test_a_body_that_trickles_is_given_up(port: int, fake_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "BEGINNING_S", 0.3)
    monkeypatch.setattr(uploading, "LEAST_A_SECOND", 10**9)
    stop = threading.Event()
    with socket.create_connection(("127.0.0.1", port)) as connected:
        connected.sendall(head(headers(fake_ledger, "operator"), 100_000) + part("a.txt", b"x"))

        def trickle() -> None:
            while not stop.wait(0.02):
                try:
                    connected.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            status, said = answer_of(connected)
        finally:
            stop.set()
            thread.join(10)
    assert (status, said["code"]) == (408, "too_slow")


def test_who_may_not_submit_is_told_so_before_the_body_comes(port: int, fake_ledger: Ledger) -> None:
    for caller, expected in (("viewer", 403), ("garbage", 401)):
        with socket.create_connection(("127.0.0.1", port)) as connected:
            connected.sendall(head(headers(fake_ledger, caller), 10**8))
            assert answer_of(connected)[0] == expected
    with socket.create_connection(("127.0.0.1", port)) as connected:
        connected.sendall(head(headers(fake_ledger, "operator"), 10**12))
        assert answer_of(connected)[1]["code"] == "too_large"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (part("", b"c", "collection") + f"--{BOUNDARY}--\r\n".encode(), 422, "no documents were given"),
        (part("a.txt", b"x", "upload") + f"--{BOUNDARY}--\r\n".encode(), 422, "sent as 'upload'"),
        (part("", b"x", "files") + f"--{BOUNDARY}--\r\n".encode(), 422, "no file name"),
        (WHOLE[:-10], 400, "ends before its last boundary"),
        (b"nonsense", 400, "no multipart"),
        (b"", 400, "ends before"),
        (b"--cut\r\n" + b"X: " + b"y" * 20_000 + b"\r\n\r\n", 400, "no multipart"),
        (b"".join(part("", b"x", f"f{at}") for at in range(30)), 413, "more fields"),
        (b"".join(part(f"{at}.txt", b"x") for at in range(4)), 413, "3 documents"),
        (part("big.bin", b"x" * 3_000_000), 413, "big.bin is larger than 2 MB"),
        (b"".join(part(f"{at}", b"x" * 2_000_000) for at in range(5)), 413, "body may have 8 MB"),
    ],
)
def test_what_is_no_such_body_is_a_sentence(
    client: TestClient, fake_ledger: Ledger, body: bytes, status: int, said: str
) -> None:
    limits = {"documents_max": 20 if b"f29" in body or len(body) > 4_000_000 else 3, "upload_max_bytes": 2 * 1024**2}
    fake_ledger.settings = fake_ledger.settings.model_copy(update=limits)
    connection.use(fake_ledger, tick_s=0.0)
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    answer = client.post("/api/v1/jobs", content=body, headers=headers(fake_ledger, "operator") | kind)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]
    assert left(fake_ledger) == []
    assert monitor.page(fake_ledger)[1] == 0


def test_one_person_sends_few_at_once(client: TestClient, fake_ledger: Ledger) -> None:
    sent = headers(fake_ledger, "operator")
    files = [("files", ("a.txt", b"x"))]
    serving._under_way["operator@example.com"] = serving.AT_ONCE
    try:
        answer = client.post("/api/v1/jobs", data={"collection": "c"}, files=files, headers=sent)
    finally:
        del serving._under_way["operator@example.com"]
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
    assert client.post("/api/v1/jobs", data={"collection": "c"}, files=files, headers=sent).status_code == 201


def test_a_name_is_a_label_and_no_path(client: TestClient, fake_ledger: Ledger) -> None:
    body = part("../../etc/passwd", b"one") + part("C:\\\\x\\\\..\\\\y.txt", b"two")
    body = part("", b"c", "collection") + body + f"--{BOUNDARY}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    answer = client.post("/api/v1/jobs", content=body, headers=headers(fake_ledger, "operator") | kind)
    names = [row.name for row in monitor.documents(fake_ledger, answer.json()["id"])]
    assert all(not name.startswith("/") and ".." not in name for name in names), names


def test_a_file_of_the_spool_is_read_as_one_of_its_own(tmp_path: object) -> None:
    import io

    spool = io.BytesIO(b"0123456789")
    one = Slice(spool, 2, 5)
    assert one.read() == b"23456"
    assert (one.seek(-2, io.SEEK_END), one.read(10), one.read(1)) == (3, b"56", b"")
    assert (one.seek(1), one.seek(1, io.SEEK_CUR), one.read(1), one.tell()) == (1, 2, b"4", 3)
    assert (one.seek(100), one.read(1)) == (100, b"")
    with pytest.raises(ValueError, match="before the start"):
        one.seek(-1)
