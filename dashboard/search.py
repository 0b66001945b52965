"""Search for the pages: a child process that holds the embedder and LanceDB, spoken to in JSON lines.

The dashboard imports neither. The child is `python -m tasks.ingest.answer`; it is started by the first
question (or at server start), started again when it has died, and ends when its stdin closes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass, field
from typing import IO, Any

from pydantic import BaseModel, ValidationError

from tasks.access import Person
from tasks.errors import CollectionNotFound, SearchFailed

log = logging.getLogger("ingestboard.search")

COMMAND = (sys.executable, "-m", "tasks.ingest.answer")
TIMEOUT_S = 20.0


class Hit(BaseModel):
    """One passage: where it stands and how near it is (cosine similarity, 0 to 1)."""

    document: str
    score: float
    text: str
    chunk: int
    page: int | None = None
    sha256: str = ""


class Answer(BaseModel):
    """What a search found in one snapshot."""

    hits: tuple[Hit, ...]
    version: str
    took_ms: float


@dataclass
class _Child:
    process: subprocess.Popen[str]
    waiting: dict[int, Future[Answer]]
    listener: threading.Thread = field(init=False)
    ended: bool = False


class Answers:
    """Asks the child. Thread-safe; many questions may be under way at once."""

    def __init__(self, command: Sequence[str] = COMMAND, *, timeout_s: float = TIMEOUT_S) -> None:
        self._command = list(command)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._child: _Child | None = None
        self._closed = False

    def start(self) -> None:
        """Start the child if there is none, without waiting until it is ready."""
        with self._lock:
            self._running()

    def ask(
        self,
        person: Person,
        collection: str,
        query: str,
        *,
        k: int = 10,
        version: str | None = None,
        held: str | None = None,
    ) -> Answer:
        """Search one collection for somebody, or what a gate held back of it for the job `held`.

        Raises SearchFailed with a sentence for the person.
        """
        if not person.sees(collection):
            raise SearchFailed(reason=str(CollectionNotFound(name=collection)))
        future: Future[Answer] = Future()
        with self._lock:
            child = self._running()
            number = next(self._ids)
            child.waiting[number] = future
            wanted = {"collection": collection, "query": query, "k": k, "version": version, "held": held}
            try:
                _pipe(child.process.stdin).write(json.dumps({"id": number, **wanted}) + "\n")
                _pipe(child.process.stdin).flush()
            except OSError:
                child.waiting.pop(number, None)
                raise SearchFailed(reason="The search process ended; search again.") from None
        try:
            return future.result(self._timeout_s)
        except NoAnswer:
            child.waiting.pop(number, None)
            # It may hang for good: the next question gets a new child.
            child.process.kill()
            raise SearchFailed(
                reason=f"The search did not answer within {self._timeout_s:g} seconds; search again."
            ) from None

    def close(self) -> None:
        """End the child; it only reads, so nothing is lost."""
        with self._lock:
            self._closed = True
            child, self._child = self._child, None
        if child is not None:
            child.process.kill()
            child.listener.join(5)

    def _running(self) -> _Child:
        """The child, started when there is none alive. The caller holds the lock."""
        if self._closed:
            raise SearchFailed(reason="The dashboard is shutting down; search again in a moment.")
        if self._child is None or self._child.ended or self._child.process.poll() is not None:
            try:
                process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
                )
            except OSError as error:
                raise SearchFailed(reason=f"The search process cannot be started ({error.strerror}).") from None
            child = self._child = _Child(process, {})
            child.listener = threading.Thread(target=self._listen, args=(child,), name="search-answers", daemon=True)
            child.listener.start()
        return self._child

    def _listen(self, child: _Child) -> None:
        """Hand each answer to the one who waits for it, until the child ends."""
        with _pipe(child.process.stdout) as lines:
            for line in lines:
                try:
                    message = json.loads(line)
                except ValueError:
                    log.warning("The search process said something that is no JSON; it is ignored.")
                    continue
                if isinstance(message, dict):
                    _deliver(child, message)
        child.process.wait()
        with self._lock:  # from here on nobody adds a question to this child
            child.ended = True
            with contextlib.suppress(OSError):
                _pipe(child.process.stdin).close()
            waiting = list(child.waiting.values())
            child.waiting.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(SearchFailed(reason="The search process ended without an answer; search again."))


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None, "the child is started with pipes"
    return stream


def _deliver(child: _Child, message: dict[str, Any]) -> None:
    # Its first line, {"ready": true}, answers nobody.
    future = child.waiting.pop(message.get("id", 0), None)
    if future is None or future.done():
        return
    if message.get("error"):
        future.set_exception(SearchFailed(reason=str(message["error"])))
        return
    try:
        future.set_result(Answer.model_validate(message))
    except ValidationError:
        future.set_exception(SearchFailed(reason="The search gave an answer that cannot be read; see the log."))
        log.exception("The search process gave an answer of an unknown form.")
