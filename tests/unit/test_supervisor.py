"""The parts of `ingestboard up`: its children, its lock, its wake-ups, and the address it checks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tasks import settings as settings_of
from tasks.child import LOG_KEPT_BYTES, Child, python_module
from tasks.errors import AlreadyRunning, PortUnusable
from tasks.running import UpLock
from tasks.supervisor import Supervisor, address, answers, check_address
from tasks.wake import Wake
from tests.waiting import wait_until


def python(log: Path, code: str) -> Child:
    return Child("stub", [sys.executable, "-c", code], log, stop_s=5)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Child]:
    child = python(tmp_path / "sleeper.log", "import time; print('ready', flush=True); time.sleep(600)")
    child.start()
    wait_until(lambda: child.last_line() == "ready", what="the child")
    yield child
    child.kill()


def test_ctrl_c_in_a_terminal_reaches_the_parent_alone(sleeper: Child) -> None:
    assert os.getpgid(sleeper.pid) != os.getpgid(0)


def test_a_child_that_ended_tells_how(tmp_path: Path, sleeper: Child) -> None:
    failing = python(tmp_path / "failing.log", "print('something else'); raise SystemExit('The port is taken.')")
    failing.start()
    wait_until(lambda: not failing.alive, what="the end of the child")
    assert (failing.ending, failing.last_line()) == ("exit code 1", "The port is taken.")
    sleeper.kill()
    assert sleeper.ending == "SIGKILL"


def test_the_last_line_is_never_one_of_an_earlier_run(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    log.write_text("an old complaint\n")
    child = python(log, "pass")
    child.start()
    wait_until(lambda: not child.alive, what="the end of the child")
    assert child.last_line() == ""


def test_a_long_log_is_put_aside_at_the_start(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    log.write_bytes(b"x" * (LOG_KEPT_BYTES + 1))
    child = python(log, "print('new')")
    child.start()
    wait_until(lambda: not child.alive, what="the end of the child")
    assert log.read_text() == "new\n"
    assert (tmp_path / "child.log.1").stat().st_size == LOG_KEPT_BYTES + 1


def test_killing_a_child_ends_what_it_started(tmp_path: Path) -> None:
    code = "import subprocess; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()"
    child = python(tmp_path / "parent.log", code)
    child.start()
    grandchild = int(wait_until(child.last_line, what="the grandchild"))
    child.kill()
    wait_until(lambda: _gone(grandchild), what="the end of the grandchild")


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_child_ends_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from tasks.child import Child
child = Child("stub", ["sleep", "600"], Path({str(tmp_path / "child.log")!r}), stop_s=1)
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: _gone(child), what="the end of the child")


def test_the_programs_of_somebody_else_in_the_working_folder_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    assert python_module("workers", "-n", "2") == [sys.executable, "-m", "workers", "-n", "2"]
    monkeypatch.chdir(tmp_path)
    assert python_module("workers") == [sys.executable, "-P", "-m", "workers"]


def test_a_second_up_is_told_the_address_of_the_first(tmp_path: Path) -> None:
    with (
        UpLock(tmp_path, "http://127.0.0.1:8501"),
        pytest.raises(AlreadyRunning, match=r"at http://127\.0\.0\.1:8501;"),
    ):
        UpLock(tmp_path, "http://127.0.0.1:9000").__enter__()
    assert not (tmp_path / "up.lock").exists()
    with UpLock(tmp_path, "http://127.0.0.1:9000"):
        assert (tmp_path / "up.lock").read_text() == "http://127.0.0.1:9000\n"


def test_the_lock_of_a_killed_up_is_free(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from tasks.running import UpLock
with UpLock(Path({str(tmp_path)!r}), "http://old"):
    print("held", flush=True)
    time.sleep(600)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(AlreadyRunning):
        UpLock(tmp_path, "http://new").__enter__()
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with UpLock(tmp_path, "http://new"):
        assert (tmp_path / "up.lock").read_text() == "http://new\n"


def test_a_lock_file_that_was_removed_meanwhile_is_not_mistaken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open
    removed: list[Path] = []

    def open_and_lose_the_file(path: Path, *arguments: int) -> int:
        handle = real(path, *arguments)
        if not removed:
            removed.append(path)
            Path(path).unlink()
        return handle

    monkeypatch.setattr("tasks.running.os.open", open_and_lose_the_file)
    with UpLock(tmp_path, "http://here"):
        assert (tmp_path / "up.lock").read_text() == "http://here\n"


def test_a_signal_ends_a_wait_and_asks_for_the_stop() -> None:
    asked: list[bool] = []
    before = signal.getsignal(signal.SIGTERM)
    with Wake(lambda: asked.append(True)) as wake:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        began = time.monotonic()
        wake.wait(30)
        assert time.monotonic() - began < 10
    assert asked == [True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Wake(lambda: pytest.fail("asked to stop")):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_port_in_use_is_told_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortUnusable, match=f"127.0.0.1:{port} .another program listens there already"):
            check_address("127.0.0.1", port)
        taken_settings = settings_of.read(port=port, redis_url="redis://unused")
    check_address("127.0.0.1", port)
    assert not answers(taken_settings)


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "http://127.0.0.1:8501"), ("0.0.0.0", "http://127.0.0.1:8501"), ("::", "http://[::1]:8501")],
)
def test_the_address_is_one_that_a_browser_on_this_machine_can_open(host: str, shown: str) -> None:
    assert address(settings_of.read(host=host)) == shown


def test_a_child_that_keeps_ending_starts_again_after_longer_and_longer_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.supervisor.PAUSES_S", (0.0, 0.01, 0.02))
    said: list[str] = []
    supervisor = Supervisor(settings_of.read(data=tmp_path), workers=1, say=said.append)
    child = python(tmp_path / "child.log", "raise SystemExit(7)")
    child.start()
    supervisor.children.append(child)

    def mended_often() -> bool:
        supervisor._mend()
        return len(said) == 4

    wait_until(mended_often, what="four ends of the child")
    assert [sentence.split(" and ")[1].split(";")[0] for sentence in said] == [
        "starts again in 0 s",
        "starts again in 0.01 s",
        "starts again in 0.02 s",
        "starts again in 0.02 s",
    ]
    assert said[0].startswith("The stub ended (exit code 7)")


def test_children_are_stopped_from_the_last_to_the_first(tmp_path: Path) -> None:
    supervisor = Supervisor(settings_of.read(data=tmp_path), workers=1, say=lambda sentence: None)
    ends = tmp_path / "ends"
    code = """
import signal, sys, time
def end(*_):
    with open({ends!r}, "a") as file:
        file.write({name!r} + " ")
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    time.sleep(1)
"""
    for name in ("redis", "workers", "dashboard"):
        child = python(tmp_path / f"{name}.log", code.format(ends=str(ends), name=name))
        child.start()
        supervisor.children.append(child)
    for child in supervisor.children:
        wait_until(lambda child=child: child.last_line() == "ready", what="the child")  # type: ignore[misc]
    supervisor._stop()
    assert ends.read_text().split() == ["dashboard", "workers", "redis"]


def test_a_child_that_does_not_stop_in_time_is_killed(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(settings_of.read(data=tmp_path), workers=1, say=said.append)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    code = f"{deaf}print('ready', flush=True); time.sleep(600)"
    child = Child("stub", [sys.executable, "-c", code], tmp_path / "child.log", stop_s=0.1)
    child.start()
    wait_until(lambda: child.last_line() == "ready", what="the child")
    supervisor.children.append(child)
    supervisor._stop()
    assert not child.alive
    assert said == ["The stub did not stop in time and was killed."]


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
