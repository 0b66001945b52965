"""How the API answers: JSON, and each error of ours as a status of HTTP, a code for programs and its sentence."""

from __future__ import annotations

import json
import logging
import math
from typing import Any

from pydantic import ValidationError
from redis.exceptions import RedisError
from starlette.responses import Response

from tasks import errors
from tasks.errors import IngestboardError, RequestRefused
from tasks.ledger.trouble import is_damage
from tasks.telling import plain

log = logging.getLogger("ingestboard.api")

HEADERS = {"Cache-Control": "no-store"}
AWAY_S = 5  # after that it is worth while to ask again

NOT_FOUND, CONFLICT, INVALID = (404, "not_found"), (409, "conflict"), (422, "invalid")
# Every error that a person may meet; one that is not here is ours, and a test wants each of them said.
CODES: dict[type[IngestboardError], tuple[int, str]] = {
    errors.NotAllowed: (403, "not_allowed"),
    errors.NotSignedIn: (401, "not_signed_in"),
    errors.TokenRefused: INVALID,
    errors.JobNotFound: NOT_FOUND,
    errors.WorkerNotFound: NOT_FOUND,
    errors.CollectionNotFound: NOT_FOUND,
    errors.SnapshotNotFound: NOT_FOUND,
    errors.HeldNotFound: NOT_FOUND,
    errors.ViewNotFound: NOT_FOUND,
    errors.ForeignJobNotFound: NOT_FOUND,
    errors.ActionRefused: CONFLICT,
    errors.TooLateToCancel: CONFLICT,
    errors.SteeringRefused: CONFLICT,
    errors.ViewExists: CONFLICT,
    errors.ForeignActionRefused: CONFLICT,
    errors.CollectionBusy: CONFLICT,
    errors.BaseMoved: CONFLICT,
    errors.SyncBraked: CONFLICT,
    errors.EmbedderMismatch: CONFLICT,
    errors.SubmissionRefused: INVALID,
    errors.CollectionNameRefused: INVALID,
    errors.ViewRefused: INVALID,
    errors.QueryRefused: INVALID,
    errors.ExportRefused: INVALID,
    errors.RolesUnreadable: INVALID,
    errors.RolesRefused: CONFLICT,
    errors.FileUnreadable: INVALID,
    errors.SearchFailed: (422, "search_failed"),
    errors.AllowanceUsed: (429, "allowance_used"),
    errors.RedisUnreachable: (503, "unavailable"),
    errors.RedisTooOld: (503, "unavailable"),
    errors.DataUnwritable: (503, "unavailable"),
    errors.RecordDamaged: (500, "damaged"),
    errors.SnapshotInvalid: (500, "damaged"),
}
FAILED = (500, "failed")


def told(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A value as JSON: rows become objects, times ISO 8601."""
    rows = plain(value)
    try:
        body = json.dumps(rows, allow_nan=False)
    except ValueError:
        body = json.dumps(_finite(rows))
    return Response(body, status, HEADERS | (headers or {}), "application/json")


def refused(sentence: str, status: int, code: str, headers: dict[str, str] | None = None) -> Response:
    return told({"error": sentence, "code": code}, status, headers)


def refusal(error: Exception) -> Response:
    """The answer to an error; what is none of ours is logged, and no more is said of it."""
    match error:
        case RequestRefused():
            return refused(str(error), error.data["status"], error.data["code"], error.data.get("headers"))
        case IngestboardError():
            status, code = code_of(type(error))
            wait_s = error.data.get("wait_s") if status == 429 else AWAY_S if status == 503 else None
            headers = {"Retry-After": str(wait_s)} if wait_s else None
            return refused(str(error), status, code, headers)
        case ValidationError():
            return refused(_wrong(error), 422, "invalid")
        case RedisError() if not is_damage(error):
            sentence = "Redis does not answer at the moment; ask again in a few seconds."
            return refused(sentence, 503, "unavailable", {"Retry-After": str(AWAY_S)})
        case RedisError():
            return refusal(errors.RecordDamaged(what="something that this needs"))
    log.error("a request ended with an error", exc_info=error)
    return refused("Something went wrong here; the log of the dashboard has the details.", *FAILED)


def code_of(kind: type[IngestboardError]) -> tuple[int, str]:
    """Status and code of a class of errors, or of the one that it is made from."""
    return next((CODES[one] for one in kind.__mro__ if one in CODES), FAILED)


def _wrong(error: ValidationError) -> str:
    """What is wrong with a request: where and why, never what it said."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))
    reason = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{where}: {reason[:1].lower()}{reason[1:]}." if where else f"{reason}."


def _finite(value: Any) -> Any:
    """The same with null for what JSON cannot say; only what somebody forged in Redis holds such."""
    match value:
        case dict():
            return {key: _finite(one) for key, one in value.items()}
        case list():
            return [_finite(one) for one in value]
        case float() if not math.isfinite(value):
            return None
    return value
