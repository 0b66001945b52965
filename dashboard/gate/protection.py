"""What every answer of the web process carries, and what it refuses before anything of ours or Streamlit's runs.

Plain ASGI around the whole application, WebSocket and static files included, so that no route can be forgotten.
It refuses a host that is not ours (DNS rebinding) and whatever another site's page sends (Origin, Fetch Metadata);
it adds the content security policy and the headers of the OWASP Secure Headers list, and closes cookies. Who may
do what is decided elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit

from tasks.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Pairs = Iterable[tuple[bytes, bytes]]

log = logging.getLogger("ingestboard.protection")

LOOPBACK = ("localhost", "127.0.0.1", "::1")
ANYWHERE = ("0.0.0.0", "::", "")
INDEX = Path(streamlit.__file__).parent / "static" / "index.html"
# Streamlit's pages read it to send it back with an upload (double submit), so it alone stays open to scripts.
XSRF_COOKIE = "_streamlit_xsrf"

NOT_OUR_HOST = (
    "This board does not answer to that host name. Whoever runs it can add the name to INGESTBOARD_ALLOWED_HOSTS.\n"
)
FROM_ELSEWHERE = "This request comes from a page of another site, which may not use this board.\n"


def _inline_scripts(page: str) -> list[str]:
    """The sources of a policy that allow the inline scripts of a page and no other (CSP 3, 6.7.3)."""
    found = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    return [f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in found]


def policy(index: Path = INDEX) -> str:
    """The content security policy. No script runs that is not a file of this server or Streamlit's own line."""
    rules = {
        "default-src": "'none'",
        # Vega evaluates its charts by an interpreter (Streamlit asks for it), so nothing needs eval.
        # WebAssembly is how long.js, under Streamlit's protobuf, counts 64 bits; it takes a script that runs to use it.
        "script-src": " ".join(("'self'", "'wasm-unsafe-eval'", *_inline_scripts(index.read_text("utf-8")))),
        # Emotion, which draws Streamlit's pages, writes style elements as it goes; our bars have their width in style.
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "media-src": "'self' blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "manifest-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-src": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def headers() -> dict[str, str]:
    """What every answer carries. Strict-Transport-Security is for who ends TLS: it binds all ports of a host."""
    return {
        "Content-Security-Policy": policy(),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Permitted-Cross-Domain-Policies": "none",
        "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    }


class Hosts:
    """The names under which the board is reached: loopback, the address it listens on, and those of the settings.

    Only a name can be rebound to our address, so where we listen everywhere any literal address is fine.
    """

    def __init__(self, using: Settings) -> None:
        self._everywhere = using.host in ANYWHERE
        own = (socket.gethostname(),) if self._everywhere else (using.host,)
        self._names = {name.lower().rstrip(".") for name in (*LOOPBACK, *own, *using.allowed_hosts)}

    def __contains__(self, header: object) -> bool:
        """Whether a Host header names us; its port does not matter."""
        name = hostname(header) if isinstance(header, str) else ""
        if not name:
            return False
        if name in self._names or "*" in self._names:
            return True
        if any(f"*.{parent}" in self._names for parent in _parents(name)):
            return True
        return self._everywhere and _literal(name)


def _parents(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[at:]) for at in range(1, len(labels))]


def _literal(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def hostname(header: str) -> str:
    """The name in a Host header, in small letters; '' for what is no host (RFC 9110, 7.2)."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?", header):
        return ""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower().rstrip(".")
    except ValueError:
        return ""


def same_origin(origin: str, host: str, *, secure: bool) -> bool:
    """Whether an Origin header is that of our own pages, as the browser that sent the Host header sees them.

    Streamlit's own check lets any page of the same machine in, whatever its port, and asks the internet for our
    address when it does not know an origin; with this in front of it neither happens.
    """
    scheme, parted, netloc = origin.partition("://")
    # A proxy that ends TLS need not tell us, so https is fine over http; the other way round somebody lies.
    if not parted or scheme not in (("https",) if secure else ("http", "https")):
        return False
    default = ":443" if scheme == "https" else ":80"
    return netloc.lower().removesuffix(default) == host.lower().removesuffix(default)


class Protected:
    """An application that is reached as ourselves alone, by our own pages alone, and whose answers carry the headers.

    A WebSocket without an Origin header is let through: every browser sends one, so it is a program, and a program
    can say any Origin it likes.
    """

    def __init__(self, app: Asgi, using: Settings, *, secure: bool = False) -> None:
        self._app = app
        self._hosts = Hosts(using)
        self._secure = secure  # every browser reaches us over https, whether the proxy tells us or not
        self._headers = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers().items()]
        self._names = {name for name, _ in self._headers}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reason = self._refused(scope)
        secure = self._secure or scope.get("scheme") == "https"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._closed(message.get("headers", ()), secure=secure)
            await send(message)

        if reason:
            await deny(scope, receive, sending, 403, reason)
        else:
            await self._app(scope, receive, sending)

    def _refused(self, scope: Scope) -> str:
        """Why a request goes no further; '' when it may."""
        sent: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            sent.setdefault(name.lower(), []).append(value.decode("latin-1"))
        said = sent.get(b"host", [])
        if len(said) != 1 or said[0] not in self._hosts:
            log.debug("Refused a request for a host that is not ours.")
            return NOT_OUR_HOST
        secure = scope.get("scheme") in ("https", "wss")
        if not all(same_origin(origin, said[0], secure=secure) for origin in sent.get(b"origin", ())):
            return FROM_ELSEWHERE
        return FROM_ELSEWHERE if _cross_site(scope, sent) else ""

    def _closed(self, pairs: Pairs, *, secure: bool) -> list[tuple[bytes, bytes]]:
        kept = [pair for pair in pairs if pair[0].lower() not in self._names]
        return [
            *(
                (name, _cookie(value, secure=secure) if name.lower() == b"set-cookie" else value)
                for name, value in kept
            ),
            *self._headers,
        ]


def _cross_site(scope: Scope, sent: dict[bytes, list[str]]) -> bool:
    """Whether a page of another site asks for one of our files; a link to a page of ours is fine.

    The resource isolation policy of https://web.dev/articles/fetch-metadata; another port of a machine is 'same-site'.
    """
    if sent.get(b"sec-fetch-site", ["none"])[0] in ("same-origin", "none"):
        return False
    follows = sent.get(b"sec-fetch-mode") == ["navigate"] and sent.get(b"sec-fetch-dest") == ["document"]
    return scope["type"] == "http" and not (follows and scope["method"] in ("GET", "HEAD"))


def _cookie(value: bytes, *, secure: bool) -> bytes:
    """A Set-Cookie header with what is missing of SameSite, HttpOnly and, over https, Secure."""
    name = value.split(b"=", 1)[0].strip().decode("latin-1")
    has = {part.split(b"=", 1)[0].strip().lower() for part in value.split(b";")[1:]}
    adds = [] if b"samesite" in has else [b"SameSite=Lax"]
    if b"httponly" not in has and name != XSRF_COOKIE:
        adds.append(b"HttpOnly")
    if secure and b"secure" not in has:
        adds.append(b"Secure")
    return b"; ".join((value, *adds))


async def deny(scope: Scope, receive: Receive, send: Send, status: int, reason: str, *, close: bool = False) -> None:
    """Answer with a sentence in the place of the application. `close`: what else was to be sent is not waited for."""
    if scope["type"] == "websocket":
        # Before it is accepted, this is an answer of 403 (ASGI, "Close - send event").
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    body = reason.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})
