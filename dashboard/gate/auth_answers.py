"""What Streamlit's routes of the sign-in answer, made ours: errors become a sentence on the sign-in page, whoever came
with an address returns to it, the cookie goes when the session is over, and signing out ends every copy of it.

The exchange with the provider itself is Streamlit's and Authlib's; nothing of it is read here.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote

from starlette.requests import HTTPConnection

from dashboard.gate import places, sessions, who
from dashboard.gate.protection import Asgi, Message, Receive, Scope, Send, deny
from tasks.settings import Settings

LOGIN, LOGOUT, CALLBACK = "/auth/login", "/auth/logout", "/oauth2callback"
ROUTES = frozenset((LOGIN, LOGOUT, CALLBACK))
# The sign-in page reads why somebody is back there.
NOTICE, UNREACHABLE, REFUSED = "sign-in", "unreachable", "refused"
RETURN = "ingestboard_return"
RETURN_S = 600

FROM_ELSEWHERE = "This address is for the button of the board alone.\n"
MAX_AGE = re.compile(rb"Max-Age=(\d+)", re.IGNORECASE)

Pairs = list[tuple[bytes, bytes]]


class AuthAnswers:
    """An application whose sign-in answers as this board does."""

    def __init__(self, app: Asgi, using: Settings) -> None:
        self._app = app
        self._using = using
        self._session_s = int(using.session_hours * 3600)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if scope["type"] != "http" or path not in ROUTES:
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        if path == LOGOUT:
            # Another site could sign people out by a link; the way in is safe from it by its state.
            if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
                await deny(scope, receive, send, 403, FROM_ELSEWHERE)
                return
            self._end(request)
        failed = False

        async def answering(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start":
                failed = path == LOGIN and message["status"] >= 400
                if failed:
                    headers = [(b"location", f"/?{NOTICE}={UNREACHABLE}".encode()), (b"content-length", b"0")]
                    message = {**message, "status": 302, "headers": headers}
                else:
                    message["headers"] = self._headers(request, list(message.get("headers", ())))
            elif failed:
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, receive, answering)

    def _headers(self, request: HTTPConnection, pairs: Pairs) -> Pairs:
        kept = [
            (name, self._shortened(value) if name.lower() == b"set-cookie" and _is_session(value) else value)
            for name, value in pairs
        ]
        if request.url.path != CALLBACK:
            return kept
        if any(
            name.lower() == b"set-cookie" and _is_session(value) and not _is_deletion(value) for name, value in kept
        ):
            return _to(kept, self._wanted(request), (b"set-cookie", f"{RETURN}=; Max-Age=0; Path=/".encode()))
        asked = parse_qs(request.url.query)
        # The provider sends people back here after they signed out as well, then without an answer.
        return _to(kept, f"/?{NOTICE}={REFUSED}") if "code" in asked or "error" in asked else kept

    def _shortened(self, value: bytes) -> bytes:
        return MAX_AGE.sub(lambda found: b"Max-Age=%d" % min(int(found[1]), self._session_s), value)

    def _wanted(self, request: HTTPConnection) -> str:
        """Where somebody wanted to go before they were asked who they are."""
        address = unquote(request.cookies.get(RETURN, ""))
        return address if places.is_ours(address) else "/"

    def _end(self, request: HTTPConnection) -> None:
        claims = sessions.claims(who.provider(self._using), request.cookies)
        sessions.end(claims, hours=self._using.session_hours)


def _is_session(cookie: bytes) -> bool:
    return cookie.startswith(tuple(name.encode() for name in sessions.COOKIES))


def _is_deletion(cookie: bytes) -> bool:
    found = MAX_AGE.search(cookie)
    return found is not None and int(found[1]) == 0


def _to(pairs: Pairs, address: str, *more: tuple[bytes, bytes]) -> Pairs:
    """The same answer, but it leads there."""
    return [*(pair for pair in pairs if pair[0].lower() != b"location"), (b"location", address.encode("ascii")), *more]
