"""WordLlama as a LlamaIndex embedding: the embedded default, which needs no network and no key."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.normalizers import Replace

# Its import sets the root logger up, which `logging.basicConfig` leaves alone once there is a handler.
_quiet = logging.NullHandler()
logging.root.addHandler(_quiet)
try:
    import wordllama
finally:
    logging.root.removeHandler(_quiet)

# Workers are processes, one a core: threads inside a tokenizer would only fight over the cores.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # noqa: TID251 - no setting of ours: the library reads it

Vectors = NDArray[np.float32]

DIMENSION = 256

_WORDS_MAX = 50_000  # words whose tokens are remembered
_WORD_MAX = 48  # characters of a word that is worth remembering
# A word with the spaces before it, or a line break. No token of the vocabulary has a space after another
# character, or a line break in it, so the tokens of the parts are the tokens of the whole.
_PARTS = re.compile(r" *[^ \n]+| +|\n")
# What the tokenizer takes for a control token or a space mark wherever it stands.
_SPECIAL = re.compile("<s>|</s>|<unk>|\u2581")


class WordLlamaEmbedding(BaseEmbedding):
    """WordLlama's 256-dimension model, which is part of its wheel, as a LlamaIndex embedding.

    The vectors are those of `WordLlamaInference.embed(texts, norm=True)`, made faster: the tokens of a word
    are remembered, which helps as much as words repeat, and nothing is padded. Loading it does not run its
    tokenizer, so a parent may load it before it forks.
    """

    _weights: Vectors = PrivateAttr()
    _tokenizer: Any = PrivateAttr()
    _plain: Any = PrivateAttr()
    _known: dict[str, list[int]] = PrivateAttr(default_factory=dict)

    def __init__(self, **arguments: Any) -> None:
        arguments.setdefault("model_name", f"wordllama-{DIMENSION}")
        super().__init__(**arguments)
        package = Path(wordllama.__file__).parent
        model = wordllama.WordLlama.load(cache_dir=package, disable_download=True, dim=DIMENSION)
        self._weights = model.embedding
        self._plain = model.tokenizer
        self._plain.no_padding()
        self._tokenizer = Tokenizer.from_str(self._plain.to_str())
        # The model's own normalizer also puts a space before each text; here that is done once a text.
        self._tokenizer.normalizer = Replace(" ", "\u2581")

    @classmethod
    def class_name(cls) -> str:
        return "WordLlamaEmbedding"

    @property
    def dimension(self) -> int:
        return int(self._weights.shape[1])

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """One vector of length one per text; NaN for a text without a token."""
        rows = np.full((len(texts), self.dimension), np.nan, dtype=np.float32)
        for row, tokens in zip(rows, self._tokens(texts), strict=True):
            if tokens:
                found = self._weights.take(np.asarray(tokens, dtype=np.intp), axis=0)
                np.einsum("ij->j", found, out=row)
        return normalised(rows)

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The token numbers of each text, the same as the library's."""
        if len(self._known) > _WORDS_MAX:
            self._known.clear()
        parts = [[] if not text or _SPECIAL.search(text) else _PARTS.findall(f" {text}") for text in texts]
        known = self._known
        unseen = list({part for found in parts for part in found if part not in known})
        encoded = self._tokenizer.encode_batch_fast(unseen, add_special_tokens=False) if unseen else ()
        fresh = {part: code.ids for part, code in zip(unseen, encoded, strict=True)}
        tokens: list[list[int]] = []
        for text, found in zip(texts, parts, strict=True):
            if text and not found:
                tokens.append(self._plain.encode(text, add_special_tokens=False).ids)
                continue
            ids: list[int] = []
            for part in found:
                ids += known.get(part) or fresh[part]
            tokens.append(ids)
        known.update((part, ids) for part, ids in fresh.items() if len(part) <= _WORD_MAX)
        return tokens

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.vectors(texts).tolist()
        return vectors

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def normalised(vectors: Vectors) -> Vectors:
    """Rows of length one; what is zero or not finite becomes NaN."""
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[~np.isfinite(lengths) | (lengths == 0)] = np.nan
        scaled: Vectors = (vectors / lengths).astype(np.float32, copy=False)
    return scaled
