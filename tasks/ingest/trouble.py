"""What an exception of an embedder's client says, without knowing the client: its reason, whether it will pass, when.

HTTP status first (RFC 9110), then the kind of exception by its own and its bases' names. The message is never
read for words and never shown: it may hold a key.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic import ValidationError

# 408 request timeout, 425 too early, 429 too many requests; 529 is how some services say that they are overloaded.
_PASSING = {408, 425, 429}
_LIMITED = re.compile("RateLimit|TooManyRequests|Throttl|ResourceExhausted|RESOURCE_EXHAUSTED")
_AWAY = re.compile(
    "Timeout|TimedOut|ConnectError|ConnectionError|Connection(Reset|Refused|Aborted)|RemoteProtocolError|RemoteDisconnected"
    "|ServiceUnavailable|ServerError|ReadError|WriteError|DeadlineExceeded|UNAVAILABLE|DEADLINE_EXCEEDED"
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """`reason` is the exception's type and HTTP status; `after_s` what the service asked to wait, if it did."""

    reason: str
    passing: bool
    limited: bool
    after_s: float | None


def read(error: Exception) -> Trouble:
    """What an exception says."""
    if isinstance(error, ValidationError):
        fields = sorted({str(part["loc"][0]) for part in error.errors(include_input=False) if part["loc"]})
        return Trouble(f"ValidationError of {', '.join(fields)}" if fields else "ValidationError", False, False, None)
    name = type(error).__name__
    for each in _chain(error):
        status = _status(each)
        if status is not None:
            passing = status in _PASSING or status >= 500
            return Trouble(f"{name}, HTTP {status}", passing, status == 429, _after_s(each) if passing else None)
    for each in _chain(error):
        names = " ".join([*(kind.__name__ for kind in type(each).__mro__), _grpc_code(each)])
        limited = bool(_LIMITED.search(names))
        if limited or isinstance(each, TimeoutError | ConnectionError) or _AWAY.search(names):
            return Trouble(name, True, limited, _after_s(each))
    return Trouble(name, False, False, None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that it was raised from, which clients wrap."""
    seen = 0
    current: BaseException | None = error
    while current is not None and seen < 5:
        yield current
        current, seen = current.__cause__, seen + 1


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    found = [
        getattr(error, "status_code", None),
        getattr(error, "status", None),
        getattr(error, "code", None),
        getattr(error, "http_status", None),
        getattr(response, "status_code", None),
        # botocore's ClientError carries a dictionary.
        response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None,
    ]
    return next((int(each) for each in found if isinstance(each, int) and 400 <= each < 600), None)


def _grpc_code(error: BaseException) -> str:
    code = getattr(error, "code", None)
    found: Any = code() if callable(code) and type(error).__module__.startswith("grpc") else code
    return str(getattr(found, "name", ""))


def _after_s(error: BaseException) -> float | None:
    """Retry-After, in seconds or as a date (RFC 9110, 10.2.3), or its form in milliseconds."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or getattr(error, "headers", None)
    if headers is None or not hasattr(headers, "get"):
        return _seconds(getattr(error, "retry_after", None))
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after") or headers.get("Retry-After")
    seconds = _seconds(value)
    if seconds is not None or not isinstance(value, str):
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _seconds(value: object) -> float | None:
    if not isinstance(value, str | int | float):
        return None
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86_400 else None
