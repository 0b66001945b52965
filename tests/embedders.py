"""Embedders that misbehave on demand: what they do is written in the text they are given. For tests of real workers."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import time
from typing import Any

from llama_index.core.embeddings import BaseEmbedding

DIMENSION = 8


class ScriptedEmbedding(BaseEmbedding):
    """Embeds by hash. `SLEEP 3` in a text sleeps that long first; `DIE` ends the process by SIGKILL."""

    def _get_text_embedding(self, text: str) -> list[float]:
        pause = re.search(r"SLEEP (\d+(?:\.\d+)?)", text)
        if pause:
            time.sleep(float(pause[1]))
        if "DIE" in text:
            os.kill(os.getpid(), signal.SIGKILL)
        if "RAISE" in text:
            raise RuntimeError("the key is sk-secret")
        digest = hashlib.sha256(text.encode()).digest()
        return [1.0 + byte for byte in digest[:DIMENSION]]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embeddings(self, texts: list[str], **kwargs: Any) -> list[list[float]]:
        return [self._get_text_embedding(text) for text in texts]
