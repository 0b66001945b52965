"""The session of somebody who signed in: what the signed cookie of a request says, and which sessions were ended.

Streamlit makes the cookie and reads it for the pages; this reads it for the routes beside them, by the same signature.
Who that somebody is here, `who` decides.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

from streamlit.auth_util import get_cookie_with_chunks
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import TOKENS_COOKIE_NAME, USER_COOKIE_NAME

from tasks.access.sign_in import Provider

COOKIES = (USER_COOKIE_NAME, TOKENS_COOKIE_NAME)
# A provider's clock may be so far ahead of ours; Authlib allows the same.
SKEW_S = 120.0
KEPT = 100_000

Key = tuple[str, ...]

_lock = threading.Lock()
_ended: dict[Key, float] = {}


def claims(provider: Provider, cookies: Mapping[str, str]) -> Mapping[str, Any]:
    """What the provider said of whoever sends these cookies; nothing when we did not sign it, or for another board."""

    def single(name: str) -> bytes | None:
        value = cookies.get(name)
        if value is None:
            return None
        try:
            return decode_signed_value(provider.cookie_secret.get_secret_value(), name, value.encode("latin-1"))
        except UnicodeEncodeError:
            return None

    signed = get_cookie_with_chunks(single, USER_COOKIE_NAME)
    if signed is None:
        return {}
    try:
        found = json.loads(signed)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("origin") == provider.origin else {}


def began_at(claims: Mapping[str, Any]) -> float | None:
    """When somebody signed in here, epoch seconds: when the provider wrote the token for us (OpenID Connect Core, 2).

    Not auth_time: whoever is signed in at the provider since yesterday would be sent there again for ever.
    """
    since = claims.get("iat")
    if isinstance(since, bool) or not isinstance(since, int | float) or since > time.time() + SKEW_S:
        return None
    return float(since)


def end(claims: Mapping[str, Any], *, hours: float) -> None:
    """End the session of these claims for every page and every copy of its cookie, as long as it could have lasted."""
    since = began_at(claims)
    if since is None:
        return
    now = time.time()
    with _lock:
        for gone in [key for key, until in _ended.items() if until < now]:
            del _ended[gone]
        while len(_ended) >= KEPT:
            del _ended[next(iter(_ended))]
        _ended[_key(claims)] = since + hours * 3600


def over(claims: Mapping[str, Any], *, hours: float) -> bool:
    """Whether the session of these claims is over: signed out, too long ago, or without a beginning."""
    since = began_at(claims)
    return since is None or time.time() - since > hours * 3600 or (bool(_ended) and _key(claims) in _ended)


def _key(claims: Mapping[str, Any]) -> Key:
    return tuple(str(claims.get(name, "")) for name in ("iss", "sub", "iat", "nonce"))
