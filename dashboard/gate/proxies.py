"""Who really sent a request, and what the proxies that are believed say of it.

Outermost of all, because whoever comes later sees the address that a proxy told. Headers are believed from the
addresses of the settings alone: X-Forwarded-For and X-Forwarded-Proto here, the person's in `who`.
"""

from __future__ import annotations

import ipaddress
from typing import Any, cast

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from dashboard.gate.protection import Asgi, Receive, Scope, Send
from tasks.settings import Settings

PEER = "ingestboard.peer"
# Where no proxy is named, one on this machine may tell the address and that TLS ended at it; never who somebody is.
OWN_MACHINE = ("127.0.0.1", "::1")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Peers:
    """The addresses of the proxies that are believed."""

    def __init__(self, using: Settings) -> None:
        self._networks: list[Network] = [ipaddress.ip_network(one) for one in using.proxies]

    def __contains__(self, host: object) -> bool:
        try:
            address = ipaddress.ip_address(str(host))
        except ValueError:
            return False
        # A socket for both families says ::ffff:10.0.0.1 for 10.0.0.1.
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


class Behind:
    """An application that finds the real peer under PEER, and as its client whom a believed proxy names."""

    def __init__(self, app: Asgi, using: Settings) -> None:
        trusted = list(using.proxies or OWN_MACHINE)
        trusted += [f"::ffff:{one}" for one in trusted if "/" not in one and ":" not in one]
        self._app = ProxyHeadersMiddleware(cast(Any, app), trusted_hosts=trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            client = scope.get("client")
            scope[PEER] = client[0] if client else ""
        await self._app(cast(Any, scope), cast(Any, receive), cast(Any, send))
