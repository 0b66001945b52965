"""Files of a sign-in, cookies of its sessions, and an application behind the door that says whom it let in."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from starlette.responses import PlainTextResponse
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from dashboard.gate.door import PERSON
from dashboard.gate.protection import Asgi, Receive, Scope, Send
from dashboard.gate.proxies import PEER
from tasks import settings as settings_of
from tasks.settings import Settings

T = TypeVar("T")

SECRET = "a secret of forty characters, or some more"
ORIGIN = "http://127.0.0.1:8501"
ROLES = """
[roles]
admin = ["ada@example.com"]
operator = ["group:operators"]
viewer = ["vera@example.com"]
"""
FILE: Mapping[str, str] = {
    "redirect_uri": f"{ORIGIN}/oauth2callback",
    "cookie_secret": SECRET,
    "client_id": "ingestboard",
    "client_secret": "of the client",
    "server_metadata_url": "https://id.example.com/.well-known/openid-configuration",
}


def sign_in_file(folder: Path, **changes: str | None) -> Path:
    """A file of a provider for its owner alone; None leaves a name out."""
    told = {**FILE, **changes}
    path = folder / "sign-in.toml"
    path.write_text(
        "[auth]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in told.items() if value is not None)
    )
    path.chmod(0o600)
    return path


def roles_file(folder: Path, content: str = ROLES) -> Path:
    path = folder / "roles.toml"
    path.write_text(content)
    return path


def with_oidc(folder: Path, **changes: Any) -> Settings:
    return settings_of.read(
        data=folder / "data", auth="oidc", sign_in=sign_in_file(folder), roles=roles_file(folder), **changes
    )


def with_proxy(folder: Path, **changes: Any) -> Settings:
    told = {"proxies": "10.0.0.0/24", **changes}
    return settings_of.read(data=folder / "data", auth="proxy", roles=roles_file(folder), **told)


def session(name: str = "ada", *groups: str, **changes: object) -> str:
    """The cookie of somebody who signed in just now."""
    told: dict[str, object] = {
        **{"iss": "https://id.example.com", "sub": name, "aud": "ingestboard", "iat": int(time.time())},
        **{"email": f"{name}@example.com", "email_verified": True, "groups": list(groups)},
        **{"origin": ORIGIN, "is_logged_in": True, "provider": "default", **changes},
    }
    return f"{USER_COOKIE_NAME}={create_signed_value(SECRET, USER_COOKIE_NAME, json.dumps(told)).decode()}"


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers to everything, with the name of who asks."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        return
    someone = scope.get(PERSON)
    await PlainTextResponse(f"inside {someone.name if someone else '-'}")(scope, receive, send)


def asked(app: Asgi, path: str, method: str = "GET", **more: Any) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of the answer to one request."""
    return alone(_asked(app, path, method, **more))


def alone(work: Coroutine[Any, Any, T]) -> T:
    """Run it in a loop and a thread of its own: where a browser is open, Playwright has a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result(60)


async def _asked(
    app: Asgi, path: str, method: str = "GET", *, kind: str = "http", peer: str = "10.0.0.7", headers: Any = ()
) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of the answer to one request, as a server would hand it on."""
    scope: Scope = {
        **{"type": kind, "method": method, "path": path, "raw_path": path.encode(), "query_string": b""},
        **{"scheme": "http", "client": (peer, 40_000), "server": ("127.0.0.1", 8501), PEER: peer},
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    if kind == "websocket":
        del scope["method"]
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if kind == "websocket":
        return (101 if sent[0]["type"] == "websocket.accept" else 403), "", {}
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:]).decode(), told
