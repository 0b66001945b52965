"""Embedders that take their time: one passes no checkpoint for long, one moves on steadily."""

from __future__ import annotations

import time

from llama_index.core.embeddings import BaseEmbedding

CALL_S = 120.0
TEXT_S = 0.01


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


class SteadyEmbedding(BaseEmbedding):
    """A hundred texts a second on any machine: work that goes on for as long as a measurement needs."""

    def _get_text_embedding(self, text: str) -> list[float]:
        time.sleep(TEXT_S)
        return [1.0, float(len(text))]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [self._get_text_embedding(text) for text in texts]
