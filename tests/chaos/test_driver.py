"""A short run of the driver: real programs, faults of a fixed seed, and nothing may be wrong in the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos import schedule
from tests.chaos.world import ROOT

pytestmark = pytest.mark.acceptance

SEED = 5
SECONDS = 14.0
EVERY_S = 0.9


def test_a_short_run_holds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--seed", str(SEED), "--seconds", str(SECONDS)]
    done = subprocess.run(
        [*command, "--every", str(EVERY_S), "--keep", str(tmp_path / "kept")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "VERDICT: everything held." in done.stdout


def test_a_seed_draws_the_same_faults_again() -> None:
    drawn = schedule.draw(7, 60, hosts=2, every_s=1.0)
    assert drawn == schedule.draw(7, 60, hosts=2, every_s=1.0)
    assert drawn != schedule.draw(8, 60, hosts=2, every_s=1.0)
    assert {fault.kind for fault in drawn} == set(schedule.KINDS)
    assert drawn == sorted(drawn, key=lambda fault: fault.at_s)
