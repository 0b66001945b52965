"""Documents are read in a child process that can be killed: a parser that hangs, crashes or eats memory costs
its document and nothing else.

One child reads all documents of a shard, for a fork costs more than a small file, and reads ahead while its
parent embeds. Only small plain text, which has no parser, is read in the parent. This is the parent's side;
the child's is tasks.ingest.reading.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from tasks.errors import DocumentFailed, ReaderLost
from tasks.ingest import load
from tasks.ingest.loading.kinds import is_plain
from tasks.ingest.loading.portions import Portion, document
from tasks.ingest.loading.sentences import REFUSED
from tasks.ingest.reading import LENGTH, PAGE_S, Limits, Read, live, resident_bytes, send

PLAIN = frozenset({"md", "txt"})
PLAIN_MAX = 1024 * 1024
POLL_S = 0.2  # how often the parent looks up from waiting
PIPE_BYTES = 1024 * 1024  # what the child may read ahead
SAVE_AGAIN = "open it, save it again and upload that"


class Reader:
    """Reads documents one after the other; used as a context, which leaves no child behind.

    `waiting` is called at least every 0.2 s while the parent waits and may raise: then the child is killed.
    """

    def __init__(self, limits: Limits, waiting: Callable[[], None], read: Read = load.read) -> None:
        self._limits = limits
        self._waiting = waiting
        self._read = read
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def portions(self, path: Path, name: str, *, ocr: str = "auto") -> Generator[Portion, None, None]:
        """As load.read. Raises ReaderLost too, when the child ended or was ended before it was done."""
        if _is_plain(path, name):
            yield from self._read(path, name, ocr=ocr)
            return
        if self._child is not None and self._child.folder != path.parent:
            self.close()
        child = self._child or _Child(self._read, self._limits, path.parent)
        self._child = None  # it is put back when it is free again
        try:
            child.ask({"path": str(path), "name": name, "ocr": ocr})
            waited, deadline_s = 0.0, self._limits.deadline_s
            while True:
                answer, spent = self._answer(child, waited, deadline_s)
                waited += spent
                if "texts" not in answer:
                    break
                pages = [document(text, page) for text, page in answer["texts"]]
                yield Portion(pages, answer["done"], answer["total"])
                deadline_s = max(self._limits.deadline_s, PAGE_S * answer["total"])
        except BaseException:
            child.end()
            raise
        if answer.get("fit"):
            self._child = child
        else:
            child.end()
        self._raise(answer)

    def _answer(self, child: _Child, waited: float, deadline_s: float) -> tuple[dict[str, Any], float]:
        """The child's next answer, and the seconds that the parent had nothing to do but wait for it."""
        spent = 0.0
        while (answer := child.received()) is None:
            began = time.monotonic()
            news = child.wait(POLL_S)
            spent += time.monotonic() - began
            if news is None:
                raise self._death(child)
            if waited + spent > deadline_s:
                raise ReaderLost(
                    what=f"took longer than {deadline_s:g} s to read",
                    remedy="split it, or raise INGESTBOARD_DOCUMENT_DEADLINE_S",
                )
            if spent > self._limits.silence_s:
                raise ReaderLost(
                    what=f"made no progress for {self._limits.silence_s:g} s while it was read", remedy=SAVE_AGAIN
                )
            if not news:
                self._waiting()
        return answer, spent

    def _death(self, child: _Child) -> ReaderLost:
        code, grown = child.end()
        # Out of memory, C++ aborts and PDFium traps: what they share is a high water mark.
        if grown > 0.8 * self._limits.memory_mb * 1024**2:
            return self._too_large()
        if code == -signal.SIGKILL:
            return ReaderLost(
                what="had its reader killed by the system, most likely because memory ran out",
                remedy="split it, or give the machine more memory",
            )
        if code == -signal.SIGXCPU:
            return ReaderLost(what="kept a processor busy for too long", remedy=SAVE_AGAIN)
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        return ReaderLost(what=f"made its reader crash ({how})", remedy=SAVE_AGAIN)

    def _too_large(self) -> ReaderLost:
        return ReaderLost(
            what=f"needs more than {self._limits.memory_mb} MB to read",
            remedy="split it, or raise INGESTBOARD_DOCUMENT_MEMORY_MB",
        )

    def _raise(self, answer: dict[str, Any]) -> None:
        """The ending of a document, where it is no good one."""
        if "failed" in answer:
            raise DocumentFailed(reason=answer["failed"])
        if "memory" in answer:
            raise self._too_large()
        if "refused" in answer:
            raise DocumentFailed(reason=REFUSED)
        if "disk" in answer:
            raise OSError(*answer["disk"])

    def close(self) -> None:
        """End the child that waits for its next document."""
        if self._child is not None:
            self._child.end()
            self._child = None


def _is_plain(path: Path, name: str) -> bool:
    if load.SUPPORTED.get(PurePosixPath(name).suffix.lower()) not in PLAIN or path.stat().st_size > PLAIN_MAX:
        return False
    return is_plain(path, name)


class _Child:
    """The parent's end of one child."""

    def __init__(self, read: Read, limits: Limits, folder: Path) -> None:
        self.folder = folder
        theirs, self._requests = os.pipe()
        self._answers, ours = os.pipe()
        parent, self._born_bytes = os.getpid(), resident_bytes()
        self._pid = os.fork()
        if self._pid == 0:
            live(theirs, ours, (self._requests, self._answers), parent, read, limits, folder)
        os.close(theirs)
        os.close(ours)
        with suppress(OSError):  # both sides do it, so that neither has to wait for the other
            os.setpgid(self._pid, self._pid)
        with suppress(OSError):
            fcntl.fcntl(self._answers, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN)
        self._buffer = bytearray()
        self._ended: tuple[int, int] | None = None

    def ask(self, request: dict[str, str]) -> None:
        """Have it read a document. One that died in the meantime is found out by the answer."""
        with suppress(BrokenPipeError):
            send(self._requests, request)

    def wait(self, seconds: float) -> bool | None:
        """Whether something came in that time; None when nothing will come any more."""
        if not self._poll.poll(seconds * 1000):
            return False
        part = os.read(self._answers, PIPE_BYTES)
        self._buffer += part
        return bool(part) or None

    def received(self) -> dict[str, Any] | None:
        """The next answer that is complete."""
        if len(self._buffer) < LENGTH.size:
            return None
        end = LENGTH.size + LENGTH.unpack_from(self._buffer)[0]
        if len(self._buffer) < end:
            return None
        answer: dict[str, Any] = json.loads(self._buffer[LENGTH.size : end])
        del self._buffer[:end]
        return answer

    def end(self) -> tuple[int, int]:
        """Kill it with what it started: how it had ended (as subprocess tells it), and how many bytes it had grown."""
        if self._ended is None:
            # A child that died by itself is a zombie until it is waited for: its group is still its own.
            for kill in (os.killpg, os.kill):  # it may have left its group
                with suppress(ProcessLookupError):
                    kill(self._pid, signal.SIGKILL)
            _, status, usage = os.wait4(self._pid, 0)
            os.close(self._requests)
            os.close(self._answers)
            self._ended = os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024 - self._born_bytes
        return self._ended
