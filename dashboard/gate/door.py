"""The door of every route: who may pass to what, before anything of ours or Streamlit's runs. Closed unless named here.

Somebody who has not signed in reaches what the sign-in page is made of and nothing else: files of Streamlit's and ours,
its WebSocket, and the way to the provider and back. The rest takes a role. /api/ and /metrics pass: they ask for a
token themselves and know neither cookie nor proxy. What a person may do behind the door is not decided here.
"""

from __future__ import annotations

import logging

from starlette.requests import HTTPConnection

from dashboard import browser_side
from dashboard.gate import auth_answers, places, uploads, who
from dashboard.gate.protection import Asgi, Receive, Scope, Send, deny
from dashboard.gate.proxies import PEER, Peers
from tasks.access import Person, Right
from tasks.errors import IngestboardError
from tasks.settings import Settings

log = logging.getLogger("ingestboard.door")

PERSON = "ingestboard.person"  # where a route finds who asks
HEALTH, STREAM = "/healthz", "/_stcore/stream"
METRICS, API = "/metrics", "/api/"
LOOKING = ("GET", "HEAD", "OPTIONS")
# A page is empty without the WebSocket, which asks again.
OPEN = places.PAGES | {
    *("/", "/index.html", "/favicon.png", "/manifest.json", HEALTH, browser_side.ROUTE),
    *("/_stcore/health", "/_stcore/host-config"),
}
STATIC = "/static/"
NOTED = 100

STRANGER = "This board is reached through its proxy alone; open its address there.\n"
TWICE = "The request names its person more than once, so nobody can tell who sent it.\n"
NOT_SIGNED_IN = "Nobody is signed in here; open the board and sign in first.\n"
NO_ROLE = "You are signed in and have no role on this board; ask an administrator of it.\n"
NO_UPLOAD = "Your role does not let you submit documents; ask an administrator of this board.\n"


def person_of(request: HTTPConnection) -> Person:
    """Who sent a request that came through the door."""
    found: Person = request.scope[PERSON]
    return found


class Door:
    """An application that is reached only by who may."""

    def __init__(self, app: Asgi, using: Settings) -> None:
        self._using = using
        self._peers = Peers(using)
        self._strangers: set[str] = set()
        self._open = OPEN | (auth_answers.ROUTES if using.auth == "oidc" else frozenset())
        self._uploads = uploads.Uploads(app, using)
        self._app = auth_answers.AuthAnswers(app, using) if using.auth == "oidc" else app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or _asks_for_a_token(scope):
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        refused = self._refused(scope, request)
        if refused:
            await deny(scope, receive, send, *refused)
        elif uploads.is_upload(scope):
            someone, client = person_of(request), scope.get("client")
            by = someone.name if self._using.auth != "local" else client[0] if client else ""
            await self._uploads(scope, receive, send, by=by)
        else:
            await self._app(scope, receive, send)

    def _refused(self, scope: Scope, request: HTTPConnection) -> tuple[int, str] | None:
        """With which status and sentence a request goes no further; None when it may. Notes its person in the scope."""
        path, using = scope["path"], self._using
        if using.auth == "proxy":
            if path != HEALTH and scope.get(PEER) not in self._peers:
                self._note(str(scope.get(PEER)))
                return 403, STRANGER
            headers = (using.proxy_email_header, using.proxy_groups_header)
            if any(len(request.headers.getlist(name)) > 1 for name in headers):
                return 403, TWICE
        if scope["type"] == "websocket":
            # Whoever has not signed in is shown so through it.
            return None if path == STREAM else (403, NOT_SIGNED_IN)
        if scope["method"] in LOOKING and ((path.removesuffix("/") or "/") in self._open or _is_static(path)):
            return None
        try:
            someone = who.of_request(using, request)
        except IngestboardError as error:
            log.error("%s", error)
            return 503, f"{error}\n"
        scope[PERSON] = someone
        if someone == who.UNKNOWN:
            return 401, NOT_SIGNED_IN
        if someone.role is None:
            return 403, NO_ROLE
        if uploads.is_upload(scope) and not someone.may(Right.SUBMIT):
            return 403, NO_UPLOAD
        return None

    def _note(self, peer: str) -> None:
        """Tell whoever runs the board, once for each stranger: a proxy that was not named is one, too."""
        if peer not in self._strangers and len(self._strangers) < NOTED:
            self._strangers.add(peer)
            log.warning("Refused a request from %s, which is not in INGESTBOARD_PROXIES.", peer)


def _asks_for_a_token(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["type"] == "http" and (path == METRICS or path.startswith(API))


def _is_static(path: str) -> bool:
    """Whether a path, decoded as the router gets it, is a file of Streamlit's pages and cannot mean anything else."""
    return path.startswith(STATIC) and not any(odd in path for odd in ("..", "//", "\\", "\0"))
