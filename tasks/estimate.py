"""What a submission would cost, before it is one: documents already known, chunks, tokens, time and price.

Time and chunks come from this installation's own history, by file ending; without one they are a rule of thumb
and are said to be. Nothing is written and nothing is submitted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from tasks.ledger import Ledger, monitor
from tasks.ledger import rates as rates_of
from tasks.recipe import Recipe
from tasks.uploads import BLOCK

CHARACTERS_A_TOKEN = 4  # the usual rule for English text
BYTES_A_SECOND = 1_000_000.0  # before there is a history: one worker and the embedded model on plain text


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document that might be submitted."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a submission would take. `seconds` is with the workers alive now; None while there are none.

    `cost` is in the currency of INGESTBOARD_EMBED_PRICE; None where no price is set.
    """

    documents: int
    bytes: int
    known: int
    to_embed: int
    chunks: int
    tokens: int
    seconds: float | None
    cost: float | None
    from_history: bool


def look(files: Iterable[tuple[str, BinaryIO]]) -> list[Candidate]:
    """Read the files for their sizes and hashes; nothing is saved."""
    found = []
    for name, stream in files:
        digest, size = hashlib.sha256(), 0
        while block := stream.read(BLOCK):
            digest.update(block)
            size += len(block)
        found.append(Candidate(name, size, digest.hexdigest()))
    return found


def estimate(ledger: Ledger, candidates: Iterable[Candidate], recipe: Recipe) -> Estimate:
    """Estimate a submission of these documents under a recipe whose embedder is filled in."""
    given = list(candidates)
    artifacts = ledger.settings.data / "artifacts" / recipe.fingerprint
    known: set[str] = {one.sha256 for one in given if (artifacts / f"{one.sha256}.arrow").exists()}
    rates = monitor.rates(ledger)
    everything = rates_of.overall(rates)
    size_of_chunk = recipe.chunk_size * (CHARACTERS_A_TOKEN if recipe.splitter == "sentence" else 1)
    chunks = work_s = 0.0
    from_history = True
    to_embed = 0
    seen = set(known)
    for one in given:
        if one.sha256 in seen:
            continue
        seen.add(one.sha256)  # equal bytes are embedded once
        to_embed += 1
        rate = rates_of.of(one.name, rates, everything)
        if rate is not None:
            chunks += one.size_bytes * rate.chunks / rate.bytes
            work_s += one.size_bytes * rate.seconds / rate.bytes
        else:
            from_history = False
            chunks += max(1.0, one.size_bytes / size_of_chunk)
            work_s += one.size_bytes / BYTES_A_SECOND
    workers = len(monitor.worker_names(ledger))
    tokens = round(chunks * size_of_chunk / CHARACTERS_A_TOKEN)
    price = ledger.settings.embed_price
    return Estimate(
        documents=len(given),
        bytes=sum(one.size_bytes for one in given),
        known=len(given) - to_embed,
        to_embed=to_embed,
        chunks=round(chunks),
        tokens=tokens,
        seconds=work_s / workers if workers else None,
        cost=tokens / 1e6 * price if price else None,
        from_history=from_history,
    )
