"""The entry: runs a command and turns whatever it meets into an exit code and at most one sentence.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 partial, 4 canceled, 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

# Each puts its commands into `app`, in the order of `--help`.
from tasks.cli import (  # noqa: F401
    acting,
    activity,
    audit,
    bulk,
    collections,
    jobs,
    previews,
    programs,
    roles,
    steering,
    tokens,
    upkeep,
    why,
)
from tasks.cli.app import app
from tasks.errors import IngestboardError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `ingestboard` with the arguments given, or those of the process; the exit code."""
    try:
        code = app(arguments, prog_name="ingestboard", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except IngestboardError as error:
        return _refuse(str(error))
    except typer.TyperException as error:
        return _misused(error)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left; the interpreter must not complain about it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 the outermost loop of this process; the traceback goes to the log
        if _is_redis_error(error):
            return _refuse(_trouble(error))
        return _refuse(f"Something went wrong ({type(error).__name__}); {_log(error)}")


def _refuse(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


def _misused(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split()).rstrip(".")
    command = context.command_path if context else "ingestboard"
    print(f"{message}{'' if message.endswith('?') else '.'} See `{command} --help`.", file=sys.stderr)
    return error.exit_code


def _is_redis_error(error: Exception) -> bool:
    # A command that never spoke to Redis has not imported it.
    redis = sys.modules.get("redis")
    return redis is not None and isinstance(error, redis.RedisError)


def _trouble(error: Exception) -> str:
    from tasks.ledger import trouble

    if trouble.passes(error) and not isinstance(error, sys.modules["redis"].ConnectionError):
        return f"Redis does not serve this command ({trouble.reason(error)}); ask again when that is over."
    return "Redis stopped answering; check that it runs, then ask again."


def _log(error: Exception) -> str:
    """Write the traceback where the sentence says it is."""
    from tasks import settings

    try:
        path: Path = settings.current().data / "logs" / "cli.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
    except (IngestboardError, OSError):
        return "its log could not be written either, because DATA cannot be."
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("ingestboard.cli")
    log.propagate = False
    log.addHandler(handler)
    # The arguments may hold a query, which is nobody's business.
    log.error("a command ended with an error", exc_info=error)
    log.removeHandler(handler)
    handler.close()
    return f"the details are in {path}."
