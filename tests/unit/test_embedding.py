"""Embedding: the default gives the library's own vectors, any other tells no secret when it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wordllama
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.embeddings import MockEmbedding

from tasks import settings as settings_of
from tasks.errors import EmbedderFailed, EmbedderUnusable
from tasks.ingest.embed import embed, embed_query, fingerprint, load_embedder
from tasks.ingest.wordvectors import WordLlamaEmbedding

KEY = "sk-very-secret"


@lru_cache
def default() -> BaseEmbedding:
    return load_embedder(settings_of.read())


@lru_cache
def library() -> wordllama.WordLlamaInference:
    package = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=package, disable_download=True)


def expected(texts: list[str]) -> Any:
    with np.errstate(invalid="ignore"):  # it divides by zero for a text without a token
        return library().embed(texts, norm=True)


def named(embedder: str, **arguments: Any) -> settings_of.Settings:
    return settings_of.read(embedder=embedder, embedder_args=json.dumps(arguments))


class Failing(MockEmbedding):
    """Raises as a client library does, with its key in the message."""

    def _get_text_embedding(self, text: str) -> list[float]:
        error = RuntimeError(f"401 for {KEY}")
        error.status_code = 401  # type: ignore[attr-defined]
        raise error

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


class Refusing(MockEmbedding):
    """Raises when it is made, with its argument in the message."""

    def __init__(self, api_key: str) -> None:
        raise ValueError(f"bad key {api_key}")


class Odd(MockEmbedding):
    """Gives vectors of a zero length, no length, and two."""

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        rows = {"zero": [0.0, 0.0], "nan": [float("nan"), 1.0], "inf": [float("inf"), 1.0], "ragged": [1.0]}
        return [rows.get(text, [3.0, 4.0]) for text in texts]


TEXTS = [
    "The committee met on Tuesday.",
    "short",
    " two  spaces   and\n\nlines\tand tabs \n",
    "",
    "   ",
    "æøå Привет 日本語 🙂 👩‍👩‍👧",
    "<s> control </s> and ▁ marks <unk>",
    "x" * 3000,
    "word " * 500,
    "\x00\x07\u200b",
]


def test_the_default_gives_the_vectors_of_the_library() -> None:
    np.testing.assert_allclose(embed(default(), TEXTS), expected(TEXTS), atol=1e-5)


@given(texts=st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_the_default_gives_the_vectors_of_the_library_for_any_text(texts: list[str]) -> None:
    np.testing.assert_allclose(embed(default(), texts), expected(texts), atol=1e-5)


def test_a_word_has_the_same_tokens_the_second_time() -> None:
    first = embed(default(), ["harbour harbour town"])
    np.testing.assert_array_equal(first, embed(default(), ["harbour harbour town"]))


def test_remembered_words_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.ingest.wordvectors._WORDS_MAX", 3)
    embedder = WordLlamaEmbedding()
    texts = [f"harbour number {number} of many" for number in range(20)]
    one_by_one = np.stack([embed(embedder, [text])[0] for text in texts])
    np.testing.assert_allclose(one_by_one, embed(default(), texts), atol=1e-6)
    assert len(embedder._known) <= 3 + 6


def test_vectors_are_float32_of_length_one() -> None:
    vectors = embed(default(), ["The harbour is old.", "So is the town."])
    assert vectors.shape == (2, 256)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_text_without_a_token_is_a_row_of_nan_and_spoils_no_other() -> None:
    vectors = embed(default(), ["", "harbour"])
    assert np.isnan(vectors[0]).all()
    assert np.isfinite(vectors[1]).all()


def test_no_texts_give_no_rows() -> None:
    assert len(embed(default(), [])) == len(embed(load_embedder(named(MOCK, embed_dim=3)), [])) == 0


def test_the_default_serves_llamaindex_too() -> None:
    embedder = default()
    (vector,) = embed(embedder, ["harbour"])
    assert embedder.get_text_embedding("harbour") == pytest.approx(vector.tolist())
    assert embedder.get_query_embedding("harbour") == pytest.approx(embed_query(embedder, "harbour").tolist())
    assert embedder.get_text_embedding_batch(["harbour", "town"])[0] == pytest.approx(vector.tolist())


def test_a_model_loaded_before_a_fork_works_in_every_child() -> None:
    embedder = WordLlamaEmbedding()
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            os._exit(0 if np.isfinite(embed(embedder, ["The harbour is old."] * 40)).all() else 1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]


def test_importing_it_leaves_the_root_logger_alone_and_keeps_the_tokenizer_single_threaded() -> None:
    program = (
        "import logging, os; import tasks.ingest; tasks.ingest.preload();"
        "assert not logging.root.handlers, logging.root.handlers;"
        "assert os.environ['TOKENIZERS_PARALLELISM'] == 'false'"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


# Other embedders

MOCK = "llama_index.core.embeddings.MockEmbedding"


def test_an_embedder_is_taken_by_its_dotted_name_with_its_arguments() -> None:
    embedder = load_embedder(named(MOCK, embed_dim=3))
    np.testing.assert_allclose(embed(embedder, ["a", "b"]), np.full((2, 3), 3**-0.5), atol=1e-6)
    assert embedder.embed_batch_size == settings_of.read().embed_batch


def test_openai_is_taken_by_its_dotted_name_without_a_call() -> None:
    embedder = load_embedder(named("llama_index.embeddings.openai.OpenAIEmbedding", api_key=KEY))
    assert embedder.class_name() == "OpenAIEmbedding"


@pytest.mark.parametrize(
    ("embedder", "said"),
    [
        ("no.such.Thing", "there is no such class"),
        ("nonsense", "there is no such class"),
        ("llama_index.core.embeddings.NoSuch", "there is no such class"),
        ("json.JSONDecoder", "no LlamaIndex embedding"),
        (MOCK, "TypeError"),
    ],
)
def test_an_embedder_that_cannot_be_loaded_is_named(embedder: str, said: str) -> None:
    with pytest.raises(EmbedderUnusable, match=said) as failure:
        load_embedder(named(embedder))
    assert embedder in str(failure.value)


def test_an_embedder_that_refuses_its_arguments_does_not_tell_them() -> None:
    with pytest.raises(EmbedderUnusable, match="ValueError") as failure:
        load_embedder(named(f"{__name__}.Refusing", api_key=KEY))
    assert KEY not in str(failure.value)


@pytest.mark.parametrize("ask", [lambda embedder: embed(embedder, ["a"]), lambda embedder: embed_query(embedder, "a")])
def test_an_embedder_that_fails_tells_its_type_and_http_status_but_not_its_message(ask: Any) -> None:
    with pytest.raises(EmbedderFailed) as failure:
        ask(Failing(embed_dim=2))
    assert "RuntimeError, HTTP 401" in str(failure.value)
    assert KEY not in str(failure.value)
    assert failure.value.__suppress_context__


def test_vectors_of_other_embedders_are_made_one_long_and_bad_ones_nan() -> None:
    vectors = embed(Odd(embed_dim=2), ["good", "zero", "nan", "inf"])
    np.testing.assert_allclose(vectors[0], [0.6, 0.8], atol=1e-6)
    assert np.isnan(vectors[1:]).all()


def test_vectors_of_different_sizes_are_refused() -> None:
    with pytest.raises(EmbedderFailed, match="not of one size"):
        embed(Odd(embed_dim=2), ["good", "ragged"])


def test_the_fingerprint_is_the_one_of_the_settings() -> None:
    settings = named(MOCK, embed_dim=3)
    assert fingerprint(settings) == settings.embedder_fingerprint
