"""The child that reads documents: takes a request, reads, answers in portions, and obeys limits that the kernel keeps.

It is forked from a work horse by tasks.ingest.reader and shares nothing with it but two pipes. What travels
there is JSON behind its length (4 bytes, network order): {path, name, ocr} one way; portions, then one ending, the
other. It ends with its parent, however that ends. Once it is set up it is kept from files, programs and network
(tasks.confinement): what it reads may take it over.
"""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import resource
import signal
import socket
import stat
import struct
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

from tasks.confinement import confine
from tasks.errors import DocumentFailed
from tasks.ingest.loading.portions import Portion
from tasks.lineage import end_with_parent
from tasks.settings import Settings

log = logging.getLogger(__name__)

PAGE_S = 10.0
FILE_BYTES = 1024**3  # the largest file that the child may write
LENGTH = struct.Struct("!I")
UNFIT = frozenset({"memory", "refused"})  # endings after which a child is trusted with no other document


class Read(Protocol):
    """How a document is read: tasks.ingest.load.read, or what a test puts in its place."""

    def __call__(self, path: Path, name: str, *, ocr: str = ...) -> Iterator[Portion]: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may cost: seconds of waiting for it, seconds without news of it, MB of memory.

    A long document may take PAGE_S a page: text recognition of a thousand pages is slow and no fault. `confined`
    keeps its reader from files, programs and network, where the kernel can.
    """

    deadline_s: float
    silence_s: float
    memory_mb: int
    confined: bool = True

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(
            settings.document_deadline_s,
            settings.document_silence_s,
            settings.document_memory_mb,
            settings.confine_readers,
        )


def live(
    requests: int, answers: int, others: Sequence[int], parent: int, read: Read, limits: Limits, folder: Path
) -> NoReturn:
    """The child, from its birth to its end; never returns. `others` are the parent's ends of the pipes.

    The documents lie in `folder`, of which it can open what it can name and nothing else.
    """
    code = 1
    try:
        os.setpgid(0, 0)
        if end_with_parent(parent):
            for ignored in (signal.SIGINT, signal.SIGUSR1):
                signal.signal(ignored, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for other in others:
                os.close(other)
            _let_go()
            gc.freeze()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
            if limits.confined:
                confine([folder])
            _serve(requests, answers, read, limits)
        code = 0
    except BaseException as error:  # noqa: BLE001 - the outermost frame of a process
        # Frames and type only: the message of a parser's exception may quote the document.
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("the reader ended with an unexpected %s\n%s", type(error).__name__, frames)
    finally:
        os._exit(code)


def _serve(requests: int, answers: int, read: Read, limits: Limits) -> None:
    born = _address_space()
    room = limits.memory_mb * 1024**2
    while (request := _receive(requests)) is not None:
        _limit(resource.RLIMIT_AS, _address_space() + room)
        try:
            ending = _read(answers, read, request, limits)
        except BrokenPipeError:
            return
        _limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
        # What a parser keeps for good is bounded too.
        ending["fit"] = not ending.keys() & UNFIT and _address_space() - born < room // 2
        send(answers, ending)


def _read(answers: int, read: Read, request: dict[str, str], limits: Limits) -> dict[str, Any]:
    try:
        _limit_work(limits)
        os.close(os.open(request["path"], os.O_RDONLY))  # what is wrong with our own folder shows here
    except OSError as error:
        return {"disk": [error.errno, error.strerror]}
    try:
        for portion in read(Path(request["path"]), request["name"], ocr=request["ocr"]):
            texts = [[part.text, part.metadata.get("page")] for part in portion.documents]
            send(answers, {"texts": texts, "done": portion.done, "total": portion.total})
            _limit_work(limits)
    except DocumentFailed as error:
        return {"failed": str(error)}
    except MemoryError:
        return {"memory": True}
    except BrokenPipeError:
        raise
    except PermissionError:
        return {"refused": True}
    except OSError as error:
        if error.errno == errno.EFBIG:
            return {"refused": True}
        return {"disk": [error.errno, error.strerror]}
    return {}


def _limit_work(limits: Limits) -> None:
    """From here on, so much processor time up to the next portion; it ends a child whose parent is stopped."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    room = (limits.deadline_s + limits.silence_s) * (os.cpu_count() or 1)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + room) + 1)


def _limit(which: int, soft: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        soft = hard if soft == resource.RLIM_INFINITY else min(soft, hard)
    resource.setrlimit(which, (soft, hard))


def _address_space() -> int:
    """Bytes of address space in use."""
    return _statm(0)


def resident_bytes() -> int:
    """Bytes of memory in use by this process."""
    return _statm(1)


def _statm(figure: int) -> int:
    """A figure of proc(5)'s statm, told in pages."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[figure]) * resource.getpagesize()


def _let_go() -> None:
    """Give up what the parent holds open: its files, whose locks would outlive it in here, and its connections.

    A connection to Redis would let a document that takes its reader over do all that a worker may. The number stays
    taken, for the parent's objects in our memory would close what comes to it later.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for entry in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):
            if int(entry.name) > 2 and _leads_outside(int(entry.name)):
                os.dup2(nothing, int(entry.name), inheritable=False)
    os.close(nothing)


def _leads_outside(descriptor: int) -> bool:
    """Whether it is a file, or a socket with a name at either end. The others stay, such as nameless pairs of sockets:
    threads that libraries start anew in every forked process wait on them."""
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISSOCK(mode):
        return stat.S_ISREG(mode)
    one = socket.socket(fileno=descriptor)
    try:
        if one.family != socket.AF_UNIX or one.getsockname():
            return True
        with suppress(OSError):
            return bool(one.getpeername())
        return False
    finally:
        one.detach()


def send(target: int, message: dict[str, Any]) -> None:
    """Write one message whole. Raises BrokenPipeError when the other side is gone."""
    body = json.dumps(message, ensure_ascii=False).encode()
    rest = memoryview(LENGTH.pack(len(body)) + body)
    while rest:
        rest = rest[os.write(target, rest) :]


def _receive(source: int) -> dict[str, str] | None:
    """The next request; None when the parent has closed its end."""
    head = os.read(source, LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    body = b""
    while len(body) < LENGTH.unpack(head)[0]:
        part = os.read(source, LENGTH.unpack(head)[0] - len(body))
        if not part:
            return None
        body += part
    request: dict[str, str] = json.loads(body)
    return request
