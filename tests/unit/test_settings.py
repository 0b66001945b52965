"""Settings are read once, refused with their variable's name, and show no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks import settings as settings_of
from tasks.errors import RedisTooOld, RedisUnreachable, SettingsError
from tasks.ledger import connect, connection
from tasks.recipe import Recipe
from tasks.settings import masked


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "no number"),
        ("PORT", "70000"),
        ("INGESTBOARD_WORKERS", "0"),
        ("INGESTBOARD_EMBEDDER_ARGS", "{not json sk-secret"),
        ("INGESTBOARD_EMBEDDER_ARGS", "[]"),
        ("INGESTBOARD_LOG_LEVEL", "loud"),
        ("INGESTBOARD_QUEUE_PREFIX", "a b"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"The setting {variable} cannot be used") as refused:
        settings_of.read()
    assert "sk-secret" not in str(refused.value)


def test_folders_are_a_list_of_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INGESTBOARD_FOLDERS", f"{tmp_path}:/srv/papers")
    assert settings_of.read().folders == (tmp_path, Path("/srv/papers"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:hunter2@db:6379/1", "redis://:***@db:6379/1"),
        ("rediss://ana:hunter2@db/1", "rediss://ana:***@db/1"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("rediss://ana:hunter2@db/1?ssl_password=hunter3", "rediss://ana:***@db/1?ssl_password=***"),
        ("redis://ana:hunt/er2@db:6379/1", "redis://***@db:6379/1"),
        ("redis://ana:hunt#er2@db:6379/1", "redis://***@db:6379/1"),
        ("redis://:hunter2@[::1", "redis://***"),
    ],
)
def test_a_redis_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://ana:hunter2@127.0.0.1:1/0",
        "unix:///nowhere/redis.sock",
        "http://x",
        "redis://127.0.0.1/0?decode_responses=yes",
        "redis://127.0.0.1/0?ssl_ca_certs=/etc/hosts",
        "rediss://127.0.0.1/0?ssl_ca_certs=/nowhere/ca.pem",
        "rediss://127.0.0.1/0?ssl_cert_reqs=perhaps",
        "redis://ana:hunter2/x@127.0.0.1/0",
        "redis://ana:hunter2#x@127.0.0.1/0",
    ],
)
def test_a_wrong_redis_url_is_one_sentence_without_its_password(url: str) -> None:
    with pytest.raises(RedisUnreachable, match="check REDIS_URL") as refused:
        connect(settings_of.read(redis_url=url))
    assert "hunter2" not in str(refused.value)


def test_a_redis_that_is_too_old_is_refused(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "NEEDED", (99, 0))
    with pytest.raises(RedisTooOld, match=r"needs 99\.0 or newer"):
        connect(settings_of.read(redis_url=redis_url))


def test_the_socket_of_a_deep_data_folder_is_short_enough_for_unix(tmp_path: Path) -> None:
    deep = settings_of.read(data=tmp_path / ("x" * 120))
    assert len(str(deep.redis_socket)) < 108
    assert deep.redis_socket == settings_of.read(data=tmp_path / ("x" * 120)).redis_socket


def test_a_secret_decides_no_fingerprint_and_is_in_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for key in ("sk-one", "sk-two"):
        monkeypatch.setenv("INGESTBOARD_EMBEDDER", "a.b.Embedding")
        monkeypatch.setenv("INGESTBOARD_EMBEDDER_ARGS", f'{{"model": "m", "api_key": "{key}"}}')
        settings = settings_of.read()
        made.append(settings.embedder_fingerprint)
        assert key not in repr(settings)
    assert made[0] == made[1]


def test_a_recipes_fingerprint_tells_recipes_apart() -> None:
    assert Recipe().fingerprint == Recipe().fingerprint
    assert Recipe(chunk_size=500).fingerprint != Recipe().fingerprint


def test_an_overlap_of_more_than_half_a_chunk_is_refused() -> None:
    with pytest.raises(ValueError, match="half of the chunk size"):
        Recipe(chunk_size=200, chunk_overlap=150)
