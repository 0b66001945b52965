"""The recipe: the settings that decide an artifact, with their fingerprint.

Pure and light, because the pages show and edit recipes. Two equal recipes have equal fingerprints on
every machine, so that an artifact made anywhere is found everywhere.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Raise it when a loader or splitter changes what it gives for the same bytes.
RECIPE_VERSION = 2

Splitter = Literal["characters", "sentence", "markdown"]
Ocr = Literal["auto", "on", "off"]


class Recipe(BaseModel):
    """How documents become chunks and vectors.

    `chunk_size` and `chunk_overlap` are characters for the splitters `characters` and `markdown`, tokens
    for `sentence` (LlamaIndex's SentenceSplitter). `embedder` is the fingerprint of the embedding model,
    filled in by whoever submits from the settings. `ocr` says whose text is recognised from pixels: with
    `auto` pictures and PDF pages without text, with `on` also pictures on PDF pages with text, with `off` none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    splitter: Splitter = "characters"
    chunk_size: int = Field(default=1200, ge=100, le=20_000)
    chunk_overlap: int = Field(default=120, ge=0, le=5_000)
    embedder: str = "wordllama"
    ocr: Ocr = "auto"

    @model_validator(mode="after")
    def _overlap_below_size(self) -> Recipe:
        if self.chunk_overlap * 2 > self.chunk_size:
            raise ValueError("the overlap may be at most half of the chunk size")
        return self

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 over the recipe's canonical JSON."""
        body = json.dumps({"version": RECIPE_VERSION, **self.model_dump()}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(body.encode()).hexdigest()[:16]
