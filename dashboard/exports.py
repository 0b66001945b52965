"""The file of a finished export: offered on its job's page, and streamed from disk by a route beside the pages.

Streamlit's own download button reads a file whole into this process, however it is given; an export may be larger
than its memory.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from dashboard import connection, format
from dashboard.gate import door
from dashboard.markup import safe
from tasks.access import Person
from tasks.errors import IngestboardError, SubmissionRefused
from tasks.kinds import EXPORT, ExportArguments, export_path
from tasks.ledger import monitor
from tasks.ledger.records import JobRow
from tasks.ledger.states import State

ROUTE = "/exports/{job}"


def path_of(data: Path, row: JobRow) -> Path | None:
    """Where the file of an export lies; None for any other job and for one that is not done."""
    if row.kind != EXPORT.name or row.state is not State.COMPLETED:
        return None
    try:
        arguments = EXPORT.check(row.arguments)
    except SubmissionRefused:
        return None
    assert isinstance(arguments, ExportArguments)
    return export_path(data, row.id, row.collection, arguments.format)


def offer(data: Path, row: JobRow) -> str:
    """The way to the file as HTML, or the sentence that it is gone; '' for a job without one."""
    path = path_of(data, row)
    if path is None:
        return ""
    try:
        size = path.stat().st_size
    except OSError:
        return '<p class="ib ib-soft">The exported file is no longer there; export the snapshot again.</p>'
    return (
        f'<p class="ib ib-download"><a class="ib-button" href="exports/{quote(row.id, safe="")}" download '
        f'target="_self">Download {safe(path.name)}</a> <span class="ib-soft">{safe(format.size(size))}</span></p>'
    )


async def download(request: Request) -> Response:
    """The file, in pieces as the browser takes them; it can ask for a part of it."""
    path = await run_in_threadpool(_found, str(request.path_params["job"]), door.person_of(request))
    if path is None:
        return PlainTextResponse("There is no such export any more; export the snapshot again.\n", 404)
    return FileResponse(path, filename=path.name, headers={"Cache-Control": "no-store"})


def _found(job: str, person: Person) -> Path | None:
    try:
        shared = connection.shared()
        path = path_of(shared.settings.data, monitor.job(shared.ledger.held_by(person), job))
    except (IngestboardError, RedisError):
        return None
    return path if path is not None and path.is_file() else None
