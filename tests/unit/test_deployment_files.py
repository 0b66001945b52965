"""The files that others start us with: they parse, name programs that exist, and publish nothing by accident."""

from __future__ import annotations

import importlib.util
import re
import shlex
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import __version__, settings

ROOT = Path(__file__).parents[2]
LOCKED = ("requirements.txt", "requirements-dev.txt")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def is_program(command: list[str]) -> bool:
    """Whether it is `python -m PACKAGE ...` with a package of ours that can be run."""
    return command[:2] == ["python", "-m"] and importlib.util.find_spec(f"{command[2]}.__main__") is not None


def test_the_procfile_names_a_web_and_a_worker_program() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    programs = dict(line.split(": ", 1) for line in lines)
    assert set(programs) == {"web", "worker"}
    assert all(is_program(shlex.split(command)) for command in programs.values())


def test_compose_has_redis_web_and_worker_with_health_checks(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"redis", "web", "worker"}
    assert all(service["healthcheck"]["test"] for service in services.values())
    assert "/healthz" in " ".join(services["web"]["healthcheck"]["test"])
    assert is_program(services["web"]["command"])
    assert is_program(services["worker"]["command"])
    for name in ("web", "worker"):
        assert services[name]["depends_on"] == {"redis": {"condition": "service_healthy"}}
        assert "data:/data" in services[name]["volumes"]
    assert set(compose["volumes"]) == {"data", "redis"}


def test_redis_keeps_every_job_and_is_reached_from_inside_alone(compose: dict[str, Any]) -> None:
    redis = compose["services"]["redis"]
    command = " ".join(redis["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "ports" not in redis
    assert redis["volumes"] == ["redis:/data"]


def test_the_board_is_published_on_loopback_alone(compose: dict[str, Any]) -> None:
    web = compose["services"]["web"]
    assert web["environment"]["INGESTBOARD_HOST"] == "0.0.0.0"
    assert all(port.startswith("127.0.0.1:") for port in web["ports"])


def test_the_board_in_its_container_demands_a_sign_in(compose: dict[str, Any]) -> None:
    auth = compose["services"]["web"]["environment"]["INGESTBOARD_AUTH"]
    assert re.fullmatch(r"\$\{INGESTBOARD_AUTH:\?.+docs/sign-in\.md.+\}", auth)
    # What signs people in holds secrets, and workers read what strangers wrote.
    assert not any("/config" in volume for volume in compose["services"]["worker"]["volumes"])


def test_workers_can_be_scaled(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker"]
    assert "container_name" not in worker
    assert "ports" not in worker
    grace = int(worker["stop_grace_period"].removesuffix("s"))
    assert grace > settings.read().cancel_grace_s


def test_every_image_is_pinned(compose: dict[str, Any]) -> None:
    images = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    images += [service["image"] for service in compose["services"].values()]
    assert all(re.search(r":\d+\.\d+\.\d+", image) for image in images)
    assert compose["services"]["web"]["image"] == f"ingestboard:{__version__}"


def test_every_variable_of_ours_in_the_files_is_a_setting() -> None:
    text = "".join((ROOT / name).read_text() for name in ("docker-compose.yml", "Dockerfile", "Procfile"))
    named = set(re.findall(r"INGESTBOARD_[A-Z_]+", text))
    assert named <= {f"INGESTBOARD_{name.upper()}" for name in settings.Settings.model_fields}


def test_the_image_runs_as_nobody_special_from_the_locked_requirements() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes -r /tmp/requirements.txt" in text
    assert text.rindex("USER ingestboard") > text.rindex("RUN ")
    copied = [part for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for part in line.split()[:-1]]
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert copied
    assert all((ROOT / name).exists() and f"!{name}" in kept for name in copied)


@pytest.mark.parametrize("name", LOCKED)
def test_every_requirement_is_locked_with_its_hash_and_no_place_is_named(name: str) -> None:
    text = (ROOT / name).read_text()
    entries = re.split(r"\n(?=\S)", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    requirements = [entry for entry in entries if entry.strip()]
    assert len(requirements) > 100
    assert all(re.match(r"[a-z0-9._-]+==\S+ \\\n +--hash=sha256:", entry) for entry in requirements)
    assert not re.search(r"://|/home|/tmp|/opt|--index|--find-links|--trusted", text)
    assert not re.search(r"^(torch|nvidia)", text, re.MULTILINE)


def test_what_is_tested_is_what_runs() -> None:
    runtime, dev = (
        dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)) for name in LOCKED
    )
    assert runtime.items() <= dev.items()


@pytest.mark.parametrize("name", [".ci/run", ".ci/tidy"])
def test_what_ci_calls_can_be_run(name: str) -> None:
    path = ROOT / name
    assert path.stat().st_mode & stat.S_IXUSR
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
