"""Functions as a user of RQ has them: for tests of workers that run them beside ingestion."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any


def note(path: str, line: str) -> int:
    """Append a line; how many there are now."""
    with Path(path).open("a") as file:
        file.write(f"{line}\n")
    return len(Path(path).read_text().splitlines())


def fail_at_first(path: str, times: int) -> str:
    """Fails so many times."""
    tries = note(path, "tried")
    if tries <= times:
        raise RuntimeError(f"try {tries} of {times} that fail")
    return f"done at try {tries}"


def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "awake"


def after_success(job: Any, connection: Any, result: Any) -> None:
    note(job.args[0], f"success {result}")


def after_failure(job: Any, connection: Any, kind: type[BaseException], error: BaseException, trace: Any) -> None:
    note(job.args[0], f"failure {kind.__name__}")


def after_stop(job: Any, connection: Any) -> None:
    connection.set("test:stopped", job.id)


def not_registered(path: str) -> None:
    note(path, "it ran")
