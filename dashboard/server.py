"""The web process: Streamlit's app under uvicorn on our host and port, with /healthz and /exports beside the pages.

Owns the socket, the signals, the collection of garbage on a timer and the child process that answers
searches. Everything that a page shows is decided elsewhere.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
import uvicorn
from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from streamlit import config

from dashboard import api, browser_side, connection, exports, lighter, outage
from dashboard.gate import protection, proxies, who
from dashboard.gate.door import HEALTH, Door
from tasks import settings
from tasks.access import sign_in
from tasks.errors import IngestboardError, PortUnusable
from tasks.settings import Settings

log = logging.getLogger("ingestboard.dashboard")

SCRIPT = Path(__file__).parent / "app.py"
# A full collection holds all viewers up while it lasts; with one a minute memory levels off (benchmarks.viewers).
COLLECT_EVERY_S = 60.0
# Open WebSockets are told to go; a script run in hand gets this long.
STOP_WITHIN_S = 1
# One message to a browser at most; uploads do not travel this way.
MESSAGE_BYTES = 64 * 1024 * 1024
# Uploads take the token of our own page, no other origin is told anything, and no program drives our pages.
FIXED = {"server.enableXsrfProtection": True, "server.enableCORS": True, "server.enableAgentApi": False}


async def healthz(request: Request) -> JSONResponse:
    """Alive, and whether Redis is. Without Redis the pages still answer, so the code stays 200."""
    up = await run_in_threadpool(connection.up)
    return JSONResponse({"ok": True, "redis": "up" if up else "down"}, headers={"Cache-Control": "no-store"})


@asynccontextmanager
async def _life(app: st.App) -> AsyncIterator[None]:
    """What lives as long as the server."""
    answers = connection.answers()
    stopping = threading.Event()
    threading.Thread(target=_warm, name="warm", daemon=True).start()
    threading.Thread(target=_collect, args=(stopping,), name="collect", daemon=True).start()
    try:
        yield
    finally:
        stopping.set()
        answers.close()


def _warm() -> None:
    """Read the board and start the search process before the first person needs them; either may fail for now."""
    try:
        connection.shared().feed.look()
    except (IngestboardError, RedisError) as error:
        log.warning("%s", error)
    try:
        connection.answers().start()
    except IngestboardError as error:
        log.warning("%s", error)


def _collect(stopping: threading.Event) -> None:
    """Collect garbage on a timer: after every script run it would cost 40 ms for each viewer and tick."""
    gc.collect()
    gc.freeze()  # what the imports made stays for good and need not be looked through again
    while not stopping.wait(COLLECT_EVERY_S):
        gc.collect()


def app(using: Settings) -> protection.Asgi:
    """The ASGI application, protected. Streamlit's options come from .streamlit/config.toml beside the script."""
    routes = [
        Route(HEALTH, healthz),
        Route(browser_side.ROUTE, browser_side.script),
        Route(exports.ROUTE, exports.download),
        *api.routes(),
    ]
    made = st.App(SCRIPT, lifespan=_life, routes=routes, on_script_error=outage.on_script_error)
    megabytes = -(-using.upload_max_bytes // (1024 * 1024))
    config.set_option("server.maxUploadSize", megabytes)
    config.set_option("server.port", using.port)
    # Whatever the Streamlit of this machine or its environment says.
    for option, value in FIXED.items():
        config.set_option(option, value)
    for option, setting in signing_in(using).items():
        config.set_option(option, setting)
    lighter.keep_options()
    lighter.keep_themes()
    lighter.tidy_less_often()
    secure = using.auth == "oidc" and who.provider(using).secure
    return proxies.Behind(protection.Protected(Door(made, using), using, secure=secure), using)


def signing_in(using: Settings) -> dict[str, object]:
    """Streamlit's options of who signs in, all of them: what lies around on this machine must not open another way."""
    files = [str(sign_in.file_of(using))] if using.auth == "oidc" else []
    # From the headers of a proxy, whose requests alone pass the door then.
    headers = {using.proxy_email_header: who.EMAIL, using.proxy_groups_header: who.GROUPS}
    return {"secrets.files": files, "server.trustedUserHeaders": headers if using.auth == "proxy" else {}}


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortUnusable with what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)
    except (OSError, UnicodeError) as error:
        listener.close()
        number = error.errno if isinstance(error, OSError) else None
        reason = {
            errno.EADDRINUSE: "another program listens there already",
            errno.EACCES: "this user may not use that port",
            errno.EADDRNOTAVAIL: "this machine has no such address",
        }.get(number or 0, os.strerror(number) if number and number > 0 else "the address is not known")
        raise PortUnusable(host=host, port=port, reason=reason) from None
    return listener


def serve() -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    try:
        using = settings.current()
        logging.basicConfig(level=using.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        sign_in.ready(using)
        listener = bind(using.host, using.port)
    except IngestboardError as error:
        print(error, file=sys.stderr)
        return 1
    server = uvicorn.Server(
        uvicorn.Config(
            app(using),
            ws="websockets-sansio",
            ws_max_size=MESSAGE_BYTES,
            ws_per_message_deflate=bool(config.get_option("server.enableWebsocketCompression")),
            access_log=False,
            server_header=False,
            proxy_headers=False,  # dashboard.gate.proxies reads them, where they are believed
            log_level="warning",
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )
    )
    # uvicorn raises the signal again once it has stopped; a stop that was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    with listener:
        server.run(sockets=[listener])
    return 0 if server.started else 3
