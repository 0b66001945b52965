"""Processes that end with their parent, or with whoever adopts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tasks.lineage import below
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")

ROOT = Path(__file__).parents[2]
SCATTERED = """
import os, signal, subprocess, sys, time
from tasks import lineage
lineage.adopt_orphans()
horse = os.fork()
if horse == 0:
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    subprocess.Popen(["sh", "-c", "setsid sleep 600 & sleep 600"])
    time.sleep(600)
while len(lineage.below(os.getpid())) < 5:
    time.sleep(0.01)
found = lineage.below(os.getpid())
os.kill(horse, signal.SIGKILL)
assert lineage.end_all_below()
assert lineage.childless()
print(*found)
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_nothing_that_a_killed_child_has_started_is_left() -> None:
    done = run(SCATTERED)
    assert done.returncode == 0, done.stderr
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 5
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_what_is_spared_lives_on_with_all_below_it() -> None:
    program = """
import os, subprocess, time
from tasks import lineage
lineage.adopt_orphans()
kept = subprocess.Popen(["sh", "-c", "sleep 600 & wait"])
gone = subprocess.Popen(["sh", "-c", "sleep 600 & wait"])
while len(lineage.below(os.getpid())) < 4:
    time.sleep(0.01)
assert lineage.end_all_below(spare=[kept.pid])
assert kept.poll() is None and len(lineage.below(kept.pid)) == 1 and lineage.below(os.getpid())[0] == kept.pid
assert len(lineage.below(os.getpid())) == 2
assert lineage.end_all_below()
"""
    done = run(program)
    assert done.returncode == 0, done.stderr


def test_a_child_ends_with_its_parent() -> None:
    program = """
import os, sys, time
from tasks.lineage import end_with_parent
parent = os.getpid()
child = os.fork()
if child == 0:
    end_with_parent(parent)
    print(os.getpid(), flush=True)
    time.sleep(600)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert child in below(parent.pid)
    parent.kill()
    parent.wait(10)
    parent.stdout.close()
    wait_until(lambda: not psutil.pid_exists(child), what="the child's end")


def test_a_parent_that_is_gone_already_is_noticed() -> None:
    from tasks.lineage import end_with_parent

    pid = os.fork()
    if pid == 0:
        os._exit(0 if not end_with_parent(2**22) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
