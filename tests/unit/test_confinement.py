"""A document that takes its reader over is alone with it: no network, no program, no other process, no other file."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tasks import confinement
from tasks.cli import examination
from tasks.confinement import CALLS, FILES, calls
from tasks.errors import DocumentFailed
from tasks.ingest import load
from tasks.ingest.loading.portions import Portion, document
from tasks.ingest.loading.sentences import REFUSED
from tasks.ingest.reader import Reader
from tasks.ingest.reading import Limits
from tasks.settings import Settings
from tests.fuzz import seeds
from tests.waiting import wait_until

LIMITS = Limits(deadline_s=30, silence_s=20, memory_mb=384)
HERE = os.getpid()


@pytest.fixture(autouse=True, scope="module")
def _walls() -> None:
    """Both walls of the kernel: what a machine lacks is skipped here and fails in CI."""
    if lacking := confinement.missing(confinement.standing()):
        if os.environ.get("CI"):
            pytest.fail(lacking)
        pytest.skip(lacking)


def multiply() -> None:
    """Be many; not for ever, for the wall may have fallen when this fails."""
    for _ in range(20):
        if os.fork() == 0:
            os._exit(0)


ATTEMPTS: dict[str, Callable[[Path], object]] = {
    "to call an address": lambda folder: socket.create_connection(("127.0.0.1", int((folder / "port").read_text()))),
    "to call a server through a socket in the file system": lambda folder: socket.socket(socket.AF_UNIX).connect(
        str(folder / "server.sock")
    ),
    "to send a datagram": lambda folder: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("::1", 9)),
    "to listen": lambda folder: socket.create_server(("127.0.0.1", 0)),
    "to be many processes": lambda folder: multiply(),
    "to start a program": lambda folder: subprocess.run(["/bin/true"], check=True),
    "to become a program": lambda folder: os.execv("/bin/true", ["true"]),
    "to end the work horse": lambda folder: os.kill(HERE, 9),
    "to trace the work horse": lambda folder: os.open(f"/proc/{HERE}/mem", os.O_RDWR),
    "to read the work horse's secrets": lambda folder: Path(f"/proc/{HERE}/environ").read_bytes(),
    "to read a file of the server": lambda folder: Path("/etc/passwd").read_bytes(),
    "to read what lies beside the documents": lambda folder: (folder.parent / "secret").read_bytes(),
    "to see which documents there are": lambda folder: list(folder.iterdir()),
    "to write a file": lambda folder: (folder / "new").write_bytes(b"x"),
    "to change a document": lambda folder: (folder / "upload").write_bytes(b"x"),
    "to delete a document": lambda folder: (folder / "upload").unlink(),
    "to shut a document up": lambda folder: (folder / "upload").chmod(0),
    "to leave its group": lambda folder: os.setpgid(0, os.getpgid(HERE)),
}


def trying(path: Path, name: str, *, ocr: str = "auto") -> Iterator[Portion]:
    """A loader that attempts what the document says, and lets the error of the system pass."""
    told = path.read_text()
    if told in ATTEMPTS:
        ATTEMPTS[told](path.parent)
    yield Portion([document(f"did {told}", None)], 1, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the documents lie, as in DATA."""
    (tmp_path / "secret").write_text("the secret of the server")
    made = tmp_path / "uploads"
    made.mkdir()
    return made


def asked(reader: Reader, folder: Path, text: str) -> str:
    path = folder / "upload"
    path.write_text(text)
    return "".join(part.text for portion in reader.portions(path, "a.bin") for part in portion.documents)


@pytest.mark.parametrize("what", ATTEMPTS)
def test_a_document_that_tries_it_fails_alone_with_a_sentence(folder: Path, what: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as address,
        socket.socket(socket.AF_UNIX) as server,
        Reader(LIMITS, lambda: None, trying) as reader,
    ):
        server.bind(str(folder / "server.sock"))
        server.listen()
        (folder / "port").write_text(str(address.getsockname()[1]))
        before = sorted(folder.iterdir())
        with pytest.raises(DocumentFailed) as failed:
            asked(reader, folder, what)
        assert str(failed.value) == REFUSED
        assert (folder / "upload").read_text() == what
        assert sorted(folder.iterdir()) == sorted({*before, folder / "upload"})
        for listening in (address, server):
            listening.setblocking(False)
            with pytest.raises(BlockingIOError):
                listening.accept()
        # And the next document has a reader that nobody has taken over.
        assert asked(reader, folder, "something good") == "did something good"


@pytest.mark.parametrize("what", ["to be many processes", "to call an address", "to read a file of the server"])
def test_where_it_is_switched_off_nothing_holds_it(folder: Path, what: str) -> None:
    free = Limits(LIMITS.deadline_s, LIMITS.silence_s, LIMITS.memory_mb, confined=False)
    with socket.create_server(("127.0.0.1", 0)) as address, Reader(free, lambda: None, trying) as reader:
        (folder / "port").write_text(str(address.getsockname()[1]))
        assert asked(reader, folder, what) == f"did {what}"


def test_threads_and_its_own_abort_are_left_to_it(folder: Path) -> None:
    """Text recognition runs on threads, and a parser in C++ that gives up must not hang instead."""

    def threading_(path: Path, name: str, *, ocr: str = "auto") -> Iterator[Portion]:
        found: list[str] = []
        threads = [threading.Thread(target=found.append, args=("x",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.kill(os.getpid(), 0)
        yield Portion([document("".join(found), None)], 1, 1)

    with Reader(LIMITS, lambda: None, threading_) as reader:
        assert asked(reader, folder, "") == "xxxx"


def test_a_thread_of_the_reader_is_held_too(folder: Path) -> None:
    def calling(path: Path, name: str, *, ocr: str = "auto") -> Iterator[Portion]:
        found: list[str] = []

        def call() -> None:
            try:
                socket.socket()
            except PermissionError:
                found.append("refused")

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        yield Portion([document("".join(found), None)], 1, 1)

    with Reader(LIMITS, lambda: None, calling) as reader:
        assert asked(reader, folder, "") == "refused"


@pytest.mark.parametrize("name", sorted(seeds.GOOD))
def test_what_is_harmless_is_read_as_it_is_without_walls(folder: Path, name: str) -> None:
    """Text recognition too, which loads its libraries and models within them."""
    path = folder / "upload"
    path.write_bytes(seeds.GOOD[name])
    roomy = Limits(deadline_s=120, silence_s=60, memory_mb=2048)

    def outcome(read: Callable[[], Iterator[Portion]]) -> str:
        try:
            return "".join(part.text for portion in read() for part in portion.documents)
        except DocumentFailed as error:
            return str(error)

    with Reader(roomy, lambda: None) as reader:
        assert outcome(lambda: reader.portions(path, name)) == outcome(lambda: load.read(path, name))


def test_the_work_horse_s_connections_are_not_handed_down(folder: Path) -> None:
    """Through the open connection to Redis a document could do all that a worker may."""

    def shouting(path: Path, name: str, *, ocr: str = "auto") -> Iterator[Portion]:
        for number in range(3, 256):
            with suppress(OSError):
                if stat.S_ISSOCK(os.fstat(number).st_mode):
                    os.write(number, b"FLUSHALL\r\n")
        yield Portion([document("shouted", None)], 1, 1)

    name = folder / "server.sock"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(str(name))
        unix.listen()
        with (
            socket.create_connection(tcp.getsockname()) as one,
            tcp.accept()[0] as its,
            socket.socket(socket.AF_UNIX) as other,
        ):
            other.connect(str(name))
            with unix.accept()[0] as other_s:
                free = Limits(LIMITS.deadline_s, LIMITS.silence_s, LIMITS.memory_mb, confined=False)
                for limits in (LIMITS, free):
                    with Reader(limits, lambda: None, shouting) as reader:
                        assert asked(reader, folder, "") == "shouted"
                for end in (its, other_s):
                    end.setblocking(False)
                    with pytest.raises(BlockingIOError):
                        end.recv(10)
                # Here they are as open as before.
                one.sendall(b"x")
                other.sendall(b"x")
                wait_until(lambda: its.recv(1) == other_s.recv(1) == b"x", what="our own words")


def test_the_chunk_preview_is_held_as_well(folder: Path) -> None:
    code = (
        "import socket, sys; from tasks.ingest import preview; "
        "preview.preview = lambda *_: socket.create_connection(('127.0.0.1', 9)); sys.exit(preview.main())"
    )
    (folder / "upload").write_text("harbour")
    asking = f'{{"path": "{folder / "upload"}", "name": "a.txt", "recipe": {{}}}}'
    done = subprocess.run(
        [sys.executable, "-c", code], input=asking, capture_output=True, text=True, check=True, timeout=60
    )
    assert REFUSED in done.stdout


def test_the_doctor_says_whether_the_walls_stand(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examination._readers(settings).verdict == "works"
    monkeypatch.setattr(calls, "hold", lambda: False)
    one = examination._readers(settings)
    assert (one.verdict, CALLS in one.found) == ("warns", True)
    assert examination._readers(settings.model_copy(update={"confine_readers": False})).verdict == "warns"
    assert confinement.standing() == {FILES}


def test_the_filter_refuses_the_calls_of_another_machine() -> None:
    """A 32-bit call on a 64-bit kernel has other numbers: it ends the process (seccomp(2), caveats)."""
    for architecture, column in calls._MACHINES.values():
        program = calls.filter_of(architecture, column, 1)
        assert len(program) % 8 == 0
        assert len(program) // 8 < 4096
        assert architecture.to_bytes(4, "little") in program[:24]
