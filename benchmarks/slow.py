"""An embedder that passes no checkpoint for a long time, for measuring what a cancel does then."""

from __future__ import annotations

import time

from llama_index.core.embeddings import BaseEmbedding

CALL_S = 120.0


class SlowEmbedding(BaseEmbedding):
    """Each call takes two minutes: as a remote service that does not answer."""

    def _get_text_embedding(self, text: str) -> list[float]:
        time.sleep(CALL_S)
        return [1.0, 0.0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [self._get_text_embedding(text) for text in texts]
