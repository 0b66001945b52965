"""The routes of the API: each lets somebody in, asks their right, takes what they say within limits, and does it.

Whoever may not is told so before their body is read. What waits for Redis or a disk runs in a thread, in the name of
the address and the token that it came from.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard import connection
from dashboard.api import answers, entering, metrics, uploading
from dashboard.api.door import Asked, Door
from dashboard.api.doors import DOORS
from dashboard.api.jobs import JOB, Submitting
from dashboard.api.openapi import ROOT
from tasks.access import Right
from tasks.errors import CollectionNotFound, JobNotFound, NotAllowed, RequestRefused
from tasks.ledger import Ledger, control, origin
from tasks.ledger.control import COLLECTION_NAME

BODY_BYTES = 1024 * 1024  # of JSON
AT_ONCE = 4  # submissions of one person that are under way here
NAME = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")
UNKNOWN = "There is nothing at that address; GET /api/v1/openapi.json lists what there is."

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


def routes() -> list[Route]:
    """Every path of the table, and an answer of ours for what lies beside them."""
    by_path: dict[str, dict[str, Door]] = {}
    for door in DOORS:
        by_path.setdefault(door.path, {})[door.method] = door
    # A word goes before what stands for any word.
    ordered = sorted(by_path, key=lambda path: ["{" in part for part in path.split("/")])
    return [
        *(_route(ROOT + path, _path(by_path[path])) for path in ordered),
        _route("/metrics", _guarded(metrics.answer)),
        _beside(),
    ]


def _route(path: str, handler: Handler) -> Route:
    return Route(path, handler, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])


def _beside() -> Route:
    """Whatever else is asked below /api/, which would be a page of Streamlit's; a line break in it as well."""
    rest = _route("/api/{rest:path}", _guarded(_unknown))
    rest.path_regex = re.compile(r"^/api/(?P<rest>.*)\Z", re.DOTALL)
    return rest


def _path(doors: Mapping[str, Door]) -> Handler:
    allowed = ", ".join(sorted({*doors, *(["HEAD"] if "GET" in doors else [])}))

    async def answer(request: Request) -> Response:
        door = doors.get("GET" if request.method == "HEAD" else request.method)
        if door is None:
            reason = f"That address takes {allowed}."
            raise RequestRefused(status=405, code="not_that_way", reason=reason, headers={"Allow": allowed})
        return await _through(door, request)

    return _guarded(answer)


def _guarded(handler: Handler) -> Handler:
    """The outermost loop of a request: whatever it meets becomes an answer."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Exception as error:  # noqa: BLE001 logged with its traceback by refusal, unless it is a sentence
            return answers.refusal(error)

    return answer


async def _unknown(request: Request) -> Response:
    raise RequestRefused(status=404, code="not_found", reason=UNKNOWN)


async def _through(door: Door, request: Request) -> Response:
    ledger, token = await run_in_threadpool(entering.enter, request)
    here = f"api {entering.address_of(request)} token {token}"
    await run_in_threadpool(_from, here, _let_in, door, ledger, request)
    query = _asks(door, request)
    asked = Asked(ledger, token, request.path_params, query)
    if door.files:
        return await _with_files(door, request, asked, here)
    if door.method != "GET":
        asked = replace(asked, body=await _said(door, request))
    return await run_in_threadpool(_from, here, _done, door, asked)


def _let_in(door: Door, ledger: Ledger, request: Request) -> None:
    """Whether they may, and whether what the path names can be there at all."""
    person, path = ledger.person, request.path_params
    if not person.may(door.right):
        if door.right is Right.SEE:  # looking is no action, and is not recorded
            role = person.role.value if person.role else "none"
            raise NotAllowed(person=person.signs(), right=door.right.value, role=role, needed="viewer")
        control.permit(ledger, door.right, next(iter(path.values()), door.path.strip("/")))
    for name, value in path.items():
        if name == "job" and not re.fullmatch(JOB, value):
            raise JobNotFound(job=value[:40])
        if name == "collection" and not COLLECTION_NAME.fullmatch(value):
            raise CollectionNotFound(name=value[:40])
        if not NAME.fullmatch(value):
            raise RequestRefused(status=404, code="not_found", reason=UNKNOWN)


def _asks(door: Door, request: Request) -> BaseModel | None:
    """The parameters of the address, understood."""
    if door.query is not None:
        return door.query.model_validate(dict(request.query_params))
    if request.query_params:
        reason = "That address takes no parameters; put what it says into the body."
        raise RequestRefused(status=422, code="invalid", reason=reason)
    return None


async def _said(door: Door, request: Request) -> BaseModel | None:
    """The body of a request, read and understood."""
    uploading.declared(request, BODY_BYTES)
    body = b"".join([piece async for piece in uploading.pieces(request, BODY_BYTES)])
    if not body.strip():
        body = b"{}"
    elif request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RequestRefused(status=415, code="unsupported", reason="Send the body as application/json.")
    if door.body is None:
        if body != b"{}":
            raise RequestRefused(status=422, code="invalid", reason="That address takes no body.")
        return None
    return await run_in_threadpool(door.body.model_validate_json, body)


async def _with_files(door: Door, request: Request, asked: Asked, here: str) -> Response:
    uploading.declared(request, uploading.most_bytes(asked.settings))
    again = request.headers.get("idempotency-key", "")
    # What is refused already need not travel; it is asked again where it is counted.
    await run_in_threadpool(_from, here, control.look_for_room, asked.ledger, "upload", size_bytes=1, token=again)
    with _one_of_few(asked.person.signs()):
        async with uploading.form_of(request, asked.settings) as form:
            body = Submitting.model_validate(({"token": again} if again else {}) | form.fields)
            return await run_in_threadpool(_from, here, _done, door, replace(asked, form=form, body=body))


def _done(door: Door, asked: Asked) -> Response:
    found = door.work(asked)
    if door.method != "GET":
        connection.shared().feed.hurry()  # boards, and the next question of this program, see the effect
    if isinstance(found, Response):
        return found
    return answers.told(found.model_dump() if isinstance(found, BaseModel) else found, door.status)


def _from(here: str, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
    with origin.acting_from(here):
        return work(*arguments, **named)


_under_way: Counter[str] = Counter()
_lock = threading.Lock()


@contextmanager
def _one_of_few(person: str) -> Iterator[None]:
    """A place among the submissions of one person that are under way in this process."""
    with _lock:
        if _under_way[person] >= AT_ONCE:
            reason = f"{AT_ONCE} submissions of {person} are under way here; send the next when one is done."
            raise RequestRefused(status=429, code="too_many", reason=reason, headers={"Retry-After": "5"})
        _under_way[person] += 1
    try:
        yield
    finally:
        with _lock:
            _under_way[person] -= 1
            if not _under_way[person]:
                del _under_way[person]
