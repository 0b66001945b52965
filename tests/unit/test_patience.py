"""Trouble of an embedder is told apart by what its client raises, and what may pass is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, ClassVar

import httpx
import openai
import pytest
from llama_index.core.embeddings import MockEmbedding

from tasks import settings as settings_of
from tasks.errors import Canceled, EmbedderFailed
from tasks.ingest import embed, trouble
from tasks.ingest.patience import Patient
from tasks.ledger import Ledger

REQUEST = httpx.Request("POST", "https://example.org/v1/embeddings")


def answer(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(
        status, headers={name.replace("_", "-"): value for name, value in headers.items()}, request=REQUEST
    )


def with_status(status: int, cls: type[Exception] = RuntimeError) -> Exception:
    error = cls("sk-secret")
    error.status_code = status  # type: ignore[attr-defined]
    return error


class ThrottlingException(Exception):
    pass


class ClientError(Exception):
    """As botocore's."""

    response: ClassVar[dict[str, Any]] = {"ResponseMetadata": {"HTTPStatusCode": 429}}


@pytest.mark.parametrize(
    ("error", "passing", "limited"),
    [
        (openai.RateLimitError("sk-secret", response=answer(429), body=None), True, True),
        (openai.AuthenticationError("sk-secret", response=answer(401), body=None), False, False),
        (openai.BadRequestError("sk-secret", response=answer(400), body=None), False, False),
        (openai.InternalServerError("sk-secret", response=answer(503), body=None), True, False),
        (openai.APITimeoutError(REQUEST), True, False),
        (openai.APIConnectionError(request=REQUEST), True, False),
        (httpx.ReadTimeout("sk-secret"), True, False),
        (httpx.HTTPStatusError("sk-secret", request=REQUEST, response=answer(404)), False, False),
        (httpx.HTTPStatusError("sk-secret", request=REQUEST, response=answer(429)), True, True),
        (with_status(408), True, False),
        (with_status(529), True, False),
        (with_status(413), False, False),
        (TimeoutError("sk-secret"), True, False),
        (ConnectionResetError("sk-secret"), True, False),
        (ThrottlingException("sk-secret"), True, True),
        (ClientError("sk-secret"), True, True),
        (ValueError("sk-secret"), False, False),
        (RuntimeError("sk-secret"), False, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_trouble_is_told_apart_without_knowing_the_client(error: Exception, passing: bool, limited: bool) -> None:
    found = trouble.read(error)
    assert (found.passing, found.limited) == (passing, limited)
    assert "sk-secret" not in found.reason


def test_what_a_client_wraps_is_looked_at_too() -> None:
    wrapped = ValueError("wrapped")
    wrapped.__cause__ = with_status(429)
    assert trouble.read(wrapped).limited


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry_after": "12"}, 12.0),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-1"}, None),
        ({}, None),
    ],
)
def test_the_time_that_a_service_asks_for_is_read(headers: dict[str, str], expected: float | None) -> None:
    found = trouble.read(openai.RateLimitError("no", response=answer(429, **headers), body=None)).after_s
    assert found == (None if expected is None else pytest.approx(expected, abs=120))


def test_a_service_may_name_the_moment_instead() -> None:
    headers = {"retry_after": formatdate(time.time() + 3600, usegmt=True)}
    found = trouble.read(openai.RateLimitError("no", response=answer(429, **headers), body=None)).after_s
    assert found == pytest.approx(3600, abs=120)


def test_a_client_with_retries_of_its_own_leaves_them_to_us() -> None:
    model = embed.load_embedder(
        settings_of.read(
            embedder="llama_index.embeddings.openai.OpenAIEmbedding", embedder_args='{"api_key": "sk-secret"}'
        )
    )
    embed.leave_retries_to_us(model)
    assert model.max_retries == 0  # type: ignore[attr-defined]
    embed.leave_retries_to_us(MockEmbedding(embed_dim=2))


class Troubled(MockEmbedding):
    """Raises each of its troubles in turn, then embeds."""

    troubles: list[Any]
    calls: int = 0

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        self.calls += 1
        if self.troubles:
            raise self.troubles.pop(0)
        return [[1.0, 2.0] for _ in texts]


@dataclass
class Watched:
    """What a person is told, and how often the work was stoppable."""

    said: list[str] = field(default_factory=list)
    checks: int = 0
    stop: Callable[[], bool] = lambda: False

    def check(self) -> None:
        self.checks += 1
        if self.stop():
            raise Canceled(job="j")


def patient(ledger: Ledger, model: MockEmbedding, watched: Watched, **settings: Any) -> Patient:
    ledger.settings = settings_of.read(data=ledger.settings.data, **settings)
    return Patient(model, ledger, "mock", "Embedding a.txt", watched.said.append, watched.check)


def test_a_rate_limit_is_waited_for_and_shown(fake_ledger: Ledger) -> None:
    limit = openai.RateLimitError("no", response=answer(429, retry_after="1"), body=None)
    model, watched = Troubled(embed_dim=2, troubles=[limit]), Watched()
    started = time.monotonic()
    vectors = patient(fake_ledger, model, watched).embed(["a", "b"])
    assert vectors.shape == (2, 2)
    assert 1.0 <= time.monotonic() - started < 2.5
    assert watched.said[0] == "Waiting for the embedder (rate limit), 2 s"
    assert watched.said[-1] == "Embedding a.txt"
    assert watched.checks >= 2


def test_trouble_that_stays_ends_after_the_retries(fake_ledger: Ledger) -> None:
    model = Troubled(embed_dim=2, troubles=[with_status(503) for _ in range(9)])
    with pytest.raises(EmbedderFailed, match="RuntimeError, HTTP 503, 3 times in a row"):
        patient(fake_ledger, model, Watched(), embed_retries=2, embed_retry_max_s=0.01).embed(["a"])
    assert model.calls == 3


def test_what_is_our_fault_is_not_tried_again(fake_ledger: Ledger) -> None:
    model = Troubled(embed_dim=2, troubles=[with_status(401)])
    with pytest.raises(EmbedderFailed, match="HTTP 401"):
        patient(fake_ledger, model, Watched()).embed(["a"])
    assert model.calls == 1


def test_a_stop_while_it_waits_is_seen_within_half_a_second(fake_ledger: Ledger) -> None:
    limit = openai.RateLimitError("no", response=answer(429, retry_after="60"), body=None)
    began = time.monotonic()
    watched = Watched(stop=lambda: time.monotonic() - began > 0.7)
    with pytest.raises(Canceled):
        patient(fake_ledger, Troubled(embed_dim=2, troubles=[limit]), watched).embed(["a"])
    assert time.monotonic() - began < 1.5


def test_waits_grow_and_differ_and_have_an_end(fake_ledger: Ledger) -> None:
    waits = patient(fake_ledger, Troubled(embed_dim=2, troubles=[]), Watched(), embed_retry_max_s=10)
    assert all(0.5 <= waits._pause_s(0, None) <= 1 for _ in range(20))
    assert all(4 <= waits._pause_s(3, None) <= 8 for _ in range(20))
    assert waits._pause_s(30, None) == 10
    assert waits._pause_s(0, 300) == 10


def test_a_limit_a_minute_is_waited_for(fake_ledger: Ledger) -> None:
    model, watched = Troubled(embed_dim=2, troubles=[]), Watched()
    waits = patient(fake_ledger, model, watched, embed_tokens_per_minute=6000)
    started = time.monotonic()
    for _ in range(3):
        waits.embed(["x" * 800])  # 200 tokens, 2.1 s of the minute, of which 3 s were to spare
    assert 1.0 < time.monotonic() - started < 3
    assert any("rate limit" in sentence for sentence in watched.said)
