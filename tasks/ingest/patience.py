"""Calls of an embedder that may be busy: within its limits a minute, again after trouble that passes, and never deaf.

While it waits it says so, checks whether to stop, and so keeps its lease: a cancel is seen within half a second.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import redis
from llama_index.core.base.embeddings.base import BaseEmbedding

from tasks.errors import EmbedderBusy, EmbedderFailed
from tasks.ingest import embed
from tasks.ingest.wordvectors import Vectors
from tasks.ledger import Ledger, limits
from tasks.ledger.trouble import passes

CHECK_S = 0.5
FIRST_S = 1.0  # the first wait after a failed call; each next one is twice as long
CHARACTERS_A_TOKEN = 4


@runtime_checkable
class CountsTokens(Protocol):
    """An embedder that can tell what a call will cost."""

    def count_tokens(self, texts: Sequence[str]) -> int: ...


class Patient:
    """One embedder as one document's worker calls it.

    `say` tells a person what it does, which is `doing` while it does not wait; `check` is a checkpoint and may raise.
    """

    def __init__(
        self,
        model: BaseEmbedding,
        ledger: Ledger,
        fingerprint: str,
        doing: str,
        say: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        self._model = model
        self._ledger = ledger
        self._fingerprint = fingerprint
        self._doing = doing
        self._say = say
        self._check = check
        self._limited = limits.limited(ledger)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """As embed.embed, once it may be called. Raises EmbedderFailed when trouble did not pass in time."""
        retries = self._ledger.settings.embed_retries
        tried = 0
        while True:
            if self._limited:
                self._wait_for_a_turn(texts)
            try:
                return embed.embed(self._model, texts)
            except EmbedderBusy as error:
                if tried >= retries:
                    times = f"{tried + 1} times in a row" if tried else "once"
                    raise EmbedderFailed(
                        embedder=error.data["embedder"], reason=f"{error.data['reason']}, {times}"
                    ) from None
                why = "rate limit" if error.data["limited"] else error.data["reason"]
                self._wait(self._pause_s(tried, error.data["after_s"]), why)
                tried += 1

    def _pause_s(self, tried: int, after_s: float | None) -> float:
        """Twice as long each time, a part of it at random so that workers do not come back all at once."""
        longest = self._ledger.settings.embed_retry_max_s
        pause = FIRST_S * 2.0**tried * random.uniform(0.5, 1.0)
        if after_s is not None:
            pause = after_s + random.uniform(0.0, 0.5)
        return min(pause, longest)

    def _wait_for_a_turn(self, texts: Sequence[str]) -> None:
        if isinstance(self._model, CountsTokens):
            tokens = self._model.count_tokens(texts)
        else:
            tokens = math.ceil(sum(map(len, texts)) / CHARACTERS_A_TOKEN)
        while True:
            try:
                with self._ledger.hurried():
                    wait_s = limits.admit(self._ledger, self._fingerprint, tokens)
            except redis.RedisError as error:
                if not passes(error):
                    raise
                wait_s = 1.0  # how long the work may go on without Redis is for the check to say
            if wait_s <= 0:
                return
            self._wait(wait_s, "rate limit")

    def _wait(self, seconds: float, why: str) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if seconds >= CHECK_S:
                self._say(f"Waiting for the embedder ({why}), {math.ceil(left)} s")
            self._check()
            time.sleep(min(left, CHECK_S))
        self._say(self._doing)
