"""`ingestboard up` as a person runs it: everything starts, works through the command line, and ends clean."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.programs import Up
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    started = Up(tmp_path / "data")
    started.ready()
    yield started
    started.kill()


def test_it_serves_works_ends_without_a_trace_and_knows_its_jobs_when_it_starts_again(up: Up, tmp_path: Path) -> None:
    with urllib.request.urlopen(f"{up.address}/healthz", timeout=5) as answer:
        assert answer.status == 200
    papers = tmp_path / "papers"
    papers.mkdir()
    (papers / "lease.md").write_text("# Lease\n\nThe notice period for the warehouse is three months.")
    (papers / "menu.txt").write_text("Soup of the day is pumpkin.")
    (papers / "broken.pdf").write_bytes(b"%PDF-1.7 nothing more")

    done = up.run("submit", str(papers), "--collection", "papers", "--wait", "--json")
    assert done.returncode == 3, done.stderr
    job = json.loads(done.stdout)
    assert (job["state"], job["documents_done"], job["documents_failed"]) == ("partial", 2, 1)

    seen = json.loads(up.run("job", job["id"], "--json").stdout)
    files = {row["name"]: row for row in seen["files"]}
    assert set(files) == {"papers/lease.md", "papers/menu.txt", "papers/broken.pdf"} or set(files) == {
        "lease.md",
        "menu.txt",
        "broken.pdf",
    }
    assert {"name", "state", "error", "chunks", "cached"} <= set(seen["files"][0])

    found = json.loads(up.run("search", "papers", "how long is the notice period", "-k", "1", "--json").stdout)
    hits = found["hits"] if isinstance(found, dict) else found
    assert hits[0]["document"].endswith("lease.md")

    assert up.run("cancel", job["id"]).returncode == 1
    assert "Traceback" not in up.run("job", "nothing").stderr
    assert up.run("doctor").returncode == 0, up.run("doctor").stdout

    again = up.run("up")
    assert again.returncode == 1
    assert up.address in again.stderr

    family = up.family()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(30) == 0
    assert [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
    assert list(up.data.rglob("*.sock")) == []
    assert list(up.data.rglob("*.pid")) == []
    assert not (up.data / "up.lock").exists()

    second = Up(up.data)
    try:
        second.ready()
        assert json.loads(second.run("job", job["id"], "--json").stdout)["state"] == "partial"
        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(30) == 0
    finally:
        second.kill()


def test_a_dashboard_that_dies_is_started_again_and_a_killed_supervisor_takes_all_with_it(up: Up) -> None:
    (board,) = [process for process in up.family() if "dashboard" in process.cmdline()]
    board.kill()
    wait_until(lambda: up.said("dashboard ended"), what="the sentence")

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{up.address}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    wait_until(answers, timeout_s=30, what="the board again")

    family = up.family()
    up.process.kill()
    wait_until(
        lambda: not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family),
        timeout_s=30,
        what="the end of its programs",
    )
