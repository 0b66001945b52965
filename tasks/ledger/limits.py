"""How often an embedder may be called: requests and tokens a minute, over all workers, by the server's clock."""

from __future__ import annotations

from tasks.ledger import keys
from tasks.ledger.connection import Ledger


def limited(ledger: Ledger) -> bool:
    """Whether the settings hold a limit at all."""
    return ledger.settings.embed_requests_per_minute > 0 or ledger.settings.embed_tokens_per_minute > 0


def admit(ledger: Ledger, embedder: str, tokens: int) -> float:
    """Seconds to wait before the embedder of that fingerprint may be called; 0 when it may, and the call is counted."""
    settings = ledger.settings
    wait_ms = ledger.run(
        "limit",
        [keys.embedder_limit(embedder)],
        [settings.embed_requests_per_minute, settings.embed_tokens_per_minute, tokens],
    )
    return float(wait_ms) / 1000
