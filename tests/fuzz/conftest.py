"""What was tried, at the end of a long run."""

from __future__ import annotations

import os

import pytest

from tests.fuzz.outcomes import tried


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if "FUZZ_CASES" in os.environ:
        for what, count in sorted(tried.items()):
            terminalreporter.write_line(f"{count:>8,} {what}")
