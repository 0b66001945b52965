"""Embedders that misbehave on demand: what they do is written in the text they are given. For tests of real workers."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from llama_index.core.embeddings import BaseEmbedding

DIMENSION = 8


class RateLimited(Exception):
    """What a client raises for HTTP 429."""

    status_code = 429
    headers: ClassVar[dict[str, str]] = {"retry-after": "1"}


class ScriptedEmbedding(BaseEmbedding):
    """Embeds by hash. `SLEEP 3` in a text sleeps that long first; `DIE` ends the process by SIGKILL; `BUSY 2` is
    refused with a rate limit the first two times; `SPAWN` starts a process that wants to outlive us. Each call is a
    line of the file `seen`, where one is named.
    """

    seen: str = ""

    def _get_text_embedding(self, text: str) -> list[float]:
        self._count(text)
        if "SPAWN" in text:
            code = "import subprocess; subprocess.run(['sleep', '600'])"
            subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True)
        pause = re.search(r"SLEEP (\d+(?:\.\d+)?)", text)
        if pause:
            time.sleep(float(pause[1]))
        if "DIE" in text:
            os.kill(os.getpid(), signal.SIGKILL)
        if "RAISE" in text:
            raise RuntimeError("the key is sk-secret")
        digest = hashlib.sha256(text.encode()).digest()
        return [1.0 + byte for byte in digest[:DIMENSION]]

    def _count(self, text: str) -> None:
        if not self.seen:
            return
        line = hashlib.sha256(text.encode()).hexdigest()
        busy = re.search(r"BUSY (\d+)", text)
        with Path(self.seen).open("a+") as seen:  # one line is one write, which O_APPEND keeps whole
            seen.seek(0)
            if busy and seen.read().count(f"busy {line}") < int(busy[1]):
                seen.write(f"busy {line}\n")
                raise RateLimited("the key is sk-secret")
            seen.write(f"{line}\n")

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embeddings(self, texts: list[str], **kwargs: Any) -> list[list[float]]:
        return [self._get_text_embedding(text) for text in texts]
