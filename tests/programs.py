"""The whole product as its users start it: `ingestboard up` on a scratch DATA and a free port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]


class Up:
    """One run of `up` on a scratch DATA."""

    def __init__(self, data: Path, **settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.data = data
        self.environment = {**os.environ, "INGESTBOARD_DATA": str(data), "PORT": str(self.port), **settings}
        self.output = data.parent / "up.log"
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tasks.cli", "up", "-n", "2"],
                cwd=ROOT,
                env=self.environment,
                stdout=out,
                stderr=out,
                process_group=0,
            )

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self, words: str) -> bool:
        assert self.process.poll() is None or words in self.output.read_text(), self.output.read_text()
        return words in self.output.read_text()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command beside it."""
        return subprocess.run(
            [sys.executable, "-m", "tasks.cli", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def ready(self) -> None:
        wait_until(lambda: self.said(self.address), timeout_s=60, what="its address")

    def kill(self) -> None:
        """End it and all below it, however a test left it."""
        if self.process.poll() is None:
            for process in [*self.family(), psutil.Process(self.process.pid)]:
                if process.is_running():
                    process.kill()
        self.process.wait(10)
