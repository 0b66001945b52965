"""Runs many `ingestboard` commands in one process, each as its own start would: arguments come in as JSON, what each
said goes out as JSON. A start of Python for each would cost a second apiece."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys

from tasks.cli.main import main


def said(arguments: list[str]) -> dict[str, object]:
    """The exit code of a command and all that it printed."""
    out, err = io.StringIO(), io.StringIO()
    logging.getLogger().handlers.clear()  # those of the command before write to where nobody looks any more
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return {"command": arguments, "code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    json.dump([said(arguments) for arguments in json.load(sys.stdin)], sys.stdout)
