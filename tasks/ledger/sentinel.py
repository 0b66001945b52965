"""Redis behind Sentinel, by address: `redis+sentinel://[[user]:password@]host[:port][,host[:port]...]/service[/db]`.

`rediss+sentinel://` speaks TLS with both. The user and password are those of Redis; those of the sentinels follow as
`?sentinel_username=...&sentinel_password=...`, and so do the options of TLS, for both. The master is
asked for anew with each connection that is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
from redis.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection

from tasks.ledger import addresses
from tasks.ledger.client import Client

PORT = 26379
SCHEMES = ("redis+sentinel", "rediss+sentinel")


@dataclass(frozen=True, slots=True)
class Address:
    """What such an address says."""

    hosts: tuple[tuple[str, int], ...]
    service: str
    db: int
    username: str | None
    password: str | None
    sentinel_username: str | None
    sentinel_password: str | None
    tls: bool
    tls_options: dict[str, Any]


class _Following(SentinelManagedConnection):
    """A connection that asks for the master whenever it connects.

    redis-py's does so for a new connection; one that was cut goes back to the host that it knew (8.1,
    `send_packed_command`), which after a fail-over is nobody's or a replica's.
    """

    def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        if not self._sock:
            self.host, self.port = self.connection_pool.get_master_address()
        super().connect_check_health(check_health, retry_socket_connect)

    def _connect_retry(self) -> None:
        if not self._sock:
            self.connect_check_health(self.connection_pool.check_connection, retry_socket_connect=False)


class _FollowingTLS(_Following, SentinelManagedSSLConnection):
    """The same over TLS."""


def is_sentinel(url: str) -> bool:
    """Whether the address names sentinels and not a server."""
    return url.partition("://")[0] in SCHEMES


def parse(url: str) -> Address:
    """Read an address. Raises ValueError with what is wrong, never with a password."""
    parts = urlsplit(url)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    service, _, db = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("the name of the service is missing, as in redis+sentinel://host:26379/mymaster")
    if db and not db.isdigit():
        raise ValueError(f"{db!r} is no number of a database")
    asked = addresses.asked(url)
    unknown = set(asked) - {"sentinel_username", "sentinel_password"} - addresses.TLS
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))} is no option of a Sentinel address")
    return Address(
        hosts=tuple(_host(part) for part in hosts.split(",") if part.strip()) or (("localhost", PORT),),
        service=unquote(service),
        db=int(db or 0),
        username=unquote(username) or None,
        password=unquote(password) or None,
        sentinel_username=asked.get("sentinel_username"),
        sentinel_password=asked.get("sentinel_password"),
        tls=parts.scheme.startswith("rediss"),
        tls_options=_tls(asked, speaks_tls=parts.scheme.startswith("rediss")),
    )


def _tls(asked: dict[str, str], *, speaks_tls: bool) -> dict[str, Any]:
    """Those of TLS, of the types that redis-py turns them into itself in an address of its own."""
    addresses.check_tls(asked, speaks_tls=speaks_tls)
    found: dict[str, Any] = {name: value for name, value in asked.items() if name in addresses.TLS}
    if "ssl_check_hostname" in found:
        found["ssl_check_hostname"] = found["ssl_check_hostname"].lower() in ("1", "true", "yes")
    if "ssl_min_version" in found:
        found["ssl_min_version"] = int(found["ssl_min_version"])
    return found


def client(url: str, **options: Any) -> redis.Redis:
    """A client of the service's master; `options` are those of redis.Redis. Raises ValueError."""
    address = parse(url)
    waits = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout") if name in options}
    tls = {"ssl": True, **address.tls_options} if address.tls else {}
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        list(address.hosts),
        sentinel_kwargs={
            **{name: min(2.0, value) for name, value in waits.items()},  # one that is silent must not hold up the next
            **tls,
            "username": address.sentinel_username,
            "password": address.sentinel_password,
            "retry": None,
        },
    )
    made: redis.Redis = sentinels.master_for(  # type: ignore[no-untyped-call]
        address.service,
        redis_class=Client,
        db=address.db,
        username=address.username,
        password=address.password,
        connection_class=_FollowingTLS if address.tls else _Following,
        **tls,
        **options,
    )
    return made


def _host(part: str) -> tuple[str, int]:
    text = part.strip()
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text.strip("[]"), PORT
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{port!r} is no port")
    return host.strip("[]"), int(port)
