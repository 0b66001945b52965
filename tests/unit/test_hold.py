"""Equal content is made by one worker at a time, and nobody waits for one that is gone."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tasks.ingest.hold import Hold
from tests.waiting import wait_until


class Stop(Exception):
    """What ends the waiting."""


def nothing() -> None:
    """What is called while waiting, where that does not matter."""


def stop() -> None:
    raise Stop


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "upload"
    path.write_bytes(b"some bytes")
    return path


def test_the_second_waits_until_the_first_is_done(upload: Path) -> None:
    order: list[str] = []
    asked = threading.Event()

    def second() -> None:
        with Hold(upload, "recipe", asked.set) as hold:
            order.append(f"second, waited {hold.waited}")

    with Hold(upload, "recipe", nothing) as hold:
        assert not hold.waited
        thread = threading.Thread(target=second)
        thread.start()
        wait_until(asked.is_set, what="the second to wait")
        order.append("first")
    thread.join(10)
    assert order == ["first", "second, waited True"]


def test_it_leaves_no_file_and_the_upload_as_it_was(upload: Path) -> None:
    with Hold(upload, "recipe", nothing):
        pass
    assert upload.read_bytes() == b"some bytes"
    assert list(upload.parent.iterdir()) == [upload]


def test_another_recipe_does_not_wait(upload: Path) -> None:
    with Hold(upload, "recipe", nothing), Hold(upload, "another", stop) as other:
        assert not other.waited


def test_a_stop_while_waiting_passes_through_and_the_next_one_gets_it(upload: Path) -> None:
    with Hold(upload, "recipe", nothing), pytest.raises(Stop), Hold(upload, "recipe", stop):
        pass
    with Hold(upload, "recipe", stop) as hold:
        assert not hold.waited


def test_a_holder_that_was_killed_keeps_nobody_waiting(upload: Path) -> None:
    child = os.fork()
    if child == 0:
        Hold(upload, "recipe", nothing).__enter__()
        os._exit(9)
    os.waitpid(child, 0)
    with Hold(upload, "recipe", stop) as hold:
        assert not hold.waited


def test_a_holder_that_does_not_move_is_not_waited_for_for_ever(upload: Path) -> None:
    with Hold(upload, "recipe", nothing), Hold(upload, "recipe", nothing, stalled_s=0.3) as second:
        assert second.waited


def test_a_holder_that_moves_is_waited_for(upload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.ingest.hold.BEAT_S", 0)
    waits = 0
    with Hold(upload, "recipe", nothing) as first:

        def beat() -> None:
            nonlocal waits
            waits += 1
            first.beat()
            if waits > 8:
                raise Stop

        with pytest.raises(Stop), Hold(upload, "recipe", beat, stalled_s=0.3):
            pass
    assert waits == 9
