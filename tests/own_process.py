"""Runs a test's body in a process of its own, forked from a server that has imported lancedb and never used it.

Lance runs threads, and a process that has used it must not fork; pytest's own process starts workers and
servers, so Lance is never used there. A fork of the prepared server costs 10 ms where a fresh import costs a second.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import multiprocessing
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, ParamSpec

LIMIT_S = 120.0

P = ParamSpec("P")

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["pytest", "lancedb", "pyarrow.compute", "tasks.snapshots.staging"])


def in_own_process(test: Callable[P, None]) -> Callable[P, None]:
    """Decorate a test whose body uses lancedb. Its arguments must pickle, and it keeps its module-level name."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        outcome = call(test, *args, **kwargs)
        assert outcome == 0, f"the test's process ended with {outcome}"

    return run


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> int:
    """Run a module-level function in a process of its own; its exit code (-9 when it was killed).

    An exception in it is raised here as an AssertionError with its traceback.
    """
    ours, theirs = _server.Pipe(duplex=False)
    process = _server.Process(target=_run, args=(function.__module__, function.__qualname__, args, kwargs, theirs))
    with _without_main():
        process.start()
    theirs.close()
    try:
        process.join(LIMIT_S)
        assert process.exitcode is not None, f"{function.__name__} did not end in {LIMIT_S:.0f} s"
        if process.exitcode == 1 and ours.poll():
            raise AssertionError("in a process of its own:\n" + ours.recv())
        return process.exitcode
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Keep multiprocessing from running this process's main module again in the child.

    Streamlit's AppTest leaves its script there, which is no module that can be imported.
    """
    ours = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = ours


def _run(module: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], failures: Connection) -> None:
    function = getattr(importlib.import_module(module), name)
    try:
        getattr(function, "__wrapped__", function)(*args, **kwargs)
    except BaseException:  # noqa: BLE001 (the outermost frame of a process: what it caught is raised in the other)
        failures.send(traceback.format_exc()[-30_000:])  # a pipe holds 64 KB unread
        raise SystemExit(1) from None
