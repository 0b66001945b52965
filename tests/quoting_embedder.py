"""An embedder with a key of its own that says everything it knows when it fails, as clients of services do."""

from __future__ import annotations

from pathlib import Path

from tests.embedders import RateLimited, ScriptedEmbedding


class QuotingEmbedding(ScriptedEmbedding):
    """`REFUSE` in a text fails with a message that quotes the text and the key; `LIMITED` with a rate limit that does
    so once, `seen` being the file that remembers it. The rest is as `ScriptedEmbedding` has it."""

    api_key: str = ""

    def _get_text_embedding(self, text: str) -> list[float]:
        if "REFUSE" in text:
            raise RuntimeError(f"400: cannot embed {text!r} with the key {self.api_key}")
        if "LIMITED" in text:
            with Path(self.seen).open("a+") as seen:
                seen.seek(0)
                if "limited" not in seen.read():
                    seen.write("limited\n")
                    raise RateLimited(f"429 for {text!r} with the key {self.api_key}")
        return super()._get_text_embedding(text)
