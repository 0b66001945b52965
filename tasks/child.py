"""One program that `ingestboard up` runs: started with a log, tied to the life of its parent, stopped for sure."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tasks.lineage import end_with_parent

LOG_KEPT_BYTES = 10 * 1024 * 1024
TAIL_BYTES = 8192


class Child:
    """A program by its name for people ("workers"), its command and its log."""

    def __init__(self, name: str, command: Sequence[str], log: Path, *, stop_s: float, umask: int = -1) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.stop_s = stop_s
        self.umask = umask
        self.started_at = 0.0  # monotonic, seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._log_from = 0

    def start(self) -> None:
        """Start it in a process group of its own, so that Ctrl-C in a terminal reaches the parent alone."""
        if self.log.exists() and self.log.stat().st_size > LOG_KEPT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        parent = os.getpid()
        with self.log.open("ab") as log:
            self._log_from = log.tell()
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                umask=self.umask,
                preexec_fn=lambda: _end_with(parent),
            )
        self.started_at = time.monotonic()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def ending(self) -> str:
        """How it ended, as a phrase: 'exit code 1' or 'SIGKILL'."""
        code = self._process.returncode if self._process else None
        if code is None:
            return "still running"
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    def last_line(self) -> str:
        """The last line that it wrote to its log since it was started, or an empty text."""
        with contextlib.suppress(OSError), self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_from, size - TAIL_BYTES))
            lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines()]
            return next((line for line in reversed(lines) if line), "")
        return ""

    def ask_to_stop(self) -> None:
        """SIGTERM, to the program alone: it stops its own children in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it and everything below it at once."""
        if self._process is None or self._process.poll() is not None:
            return
        import psutil  # only an unclean stop needs it, and it is not light

        with contextlib.suppress(psutil.NoSuchProcess):
            below = psutil.Process(self._process.pid).children(recursive=True)
            self._process.kill()
            for process in below:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait()


def _end_with(parent: int) -> None:
    """In the child before exec: end when the parent does."""
    if not end_with_parent(parent, signal.SIGTERM):
        os._exit(1)


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs one of our packages with this Python.

    Outside of the project's folder Python must not look into the working folder (-P): a `workers` or
    `tasks` of somebody else may lie there.
    """
    here = Path.cwd() == Path(__file__).resolve().parent.parent
    return [sys.executable, *([] if here else ["-P"]), "-m", module, *arguments]
