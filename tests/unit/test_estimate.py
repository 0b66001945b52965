"""Estimates before paying: from history where there is one, said to be a rule of thumb where there is none."""

from __future__ import annotations

from io import BytesIO

import pytest

from tasks.estimate import Candidate, estimate, look
from tasks.ledger import Ledger, keys, store
from tasks.ledger.states import DocumentState
from tasks.recipe import Recipe
from tests.factories import claimed, new_documents, submitted


def candidates(count: int, size: int = 1000, ending: str = "txt") -> list[Candidate]:
    return [Candidate(f"n{at}.{ending}", size, f"{at + 1000:064x}") for at in range(count)]


def embedded(ledger: Ledger, count: int, *, chunks: int, seconds: float) -> None:
    """A history of documents of about 1,000 bytes."""
    for _ in range(count):
        claim = claimed(ledger, submitted(ledger, documents=new_documents(1)))
        reporter = store.Reporter(ledger, claim)
        reporter.document(0, DocumentState.COMPLETED, chunks=chunks, seconds=seconds, cached=False)
        reporter.check(now=True)


def test_without_a_history_it_is_a_rule_of_thumb_and_says_so(fake_ledger: Ledger) -> None:
    made = estimate(fake_ledger, candidates(3, 2400), Recipe(chunk_size=1200))
    assert (made.documents, made.known, made.to_embed, made.chunks) == (3, 0, 3, 6)
    assert made.tokens == 1800
    assert not made.from_history
    assert made.seconds is None  # no worker is alive


def test_with_a_history_chunks_and_time_come_from_it(fake_ledger: Ledger) -> None:
    embedded(fake_ledger, 2, chunks=5, seconds=0.5)
    embedded(fake_ledger, 2, chunks=5, seconds=0.5)
    fake_ledger.redis.zadd(keys.WORKERS, {"w1": fake_ledger.now(), "w2": fake_ledger.now()})
    made = estimate(fake_ledger, candidates(10, 1000), Recipe())
    assert made.from_history
    assert made.chunks == pytest.approx(50, abs=1)
    assert made.seconds == pytest.approx(2.5, rel=0.02)


def test_an_ending_of_its_own_counts_before_the_rest(fake_ledger: Ledger) -> None:
    embedded(fake_ledger, 8, chunks=5, seconds=0.5)
    made = estimate(fake_ledger, candidates(4, 1000, "pdf"), Recipe())
    assert made.from_history  # nothing is known of PDFs, something of documents
    assert made.chunks == pytest.approx(20, abs=1)


def test_what_is_known_already_costs_nothing(fake_ledger: Ledger) -> None:
    recipe = Recipe()
    folder = fake_ledger.settings.data / "artifacts" / recipe.fingerprint
    folder.mkdir(parents=True)
    given = candidates(3)
    (folder / f"{given[0].sha256}.arrow").touch()
    made = estimate(fake_ledger, [*given, given[1]], recipe)
    assert (made.documents, made.known, made.to_embed) == (4, 2, 2)


def test_a_price_gives_a_cost(fake_ledger: Ledger) -> None:
    fake_ledger.settings = fake_ledger.settings.model_copy(update={"embed_price": 0.13})
    made = estimate(fake_ledger, candidates(1000, 4000), Recipe())
    assert made.cost == pytest.approx(made.tokens / 1e6 * 0.13)


def test_looking_at_files_saves_nothing(fake_ledger: Ledger) -> None:
    (found,) = look([("a.txt", BytesIO(b"abc"))])
    assert (found.size_bytes, found.sha256[:8]) == (3, "ba7816bf")
    assert not fake_ledger.settings.data.exists()


def test_old_figures_fade(fake_ledger: Ledger) -> None:
    fake_ledger.redis.hset(
        keys.RATES, mapping={"txt:documents": 9999, "txt:bytes": 1e7, "txt:chunks": 1e5, "txt:seconds": 1e4}
    )
    embedded(fake_ledger, 1, chunks=1, seconds=0.1)
    documents = fake_ledger.redis.hget(keys.RATES, "txt:documents")
    assert documents is not None
    assert int(documents) == 5000
