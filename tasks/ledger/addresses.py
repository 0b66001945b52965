"""What a Redis address may say beside host and database: TLS and its files, by redis-py's names, and a few waits.

Checked before a client is made: redis-py takes any name for an argument of a connection, and a missing file for a
server that does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS = frozenset(
    {*TLS_FILES, "ssl_ca_path", "ssl_password", "ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version", "ssl_ciphers"}
)
OTHERS = frozenset(
    {"db", "username", "password", "socket_timeout", "socket_connect_timeout", "socket_keepalive", "max_connections"}
)


def asked(url: str) -> dict[str, str]:
    """The options after the question mark, the last of each name."""
    return {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}


def check(url: str) -> None:
    """Raises ValueError, without any secret, for what cannot be an address of a server."""
    try:
        parts, options = urlsplit(url), asked(url)
        readable = parts.port is None or parts.port > 0
    except ValueError:  # its words hold what it took for the port, which may be a part of the password
        readable = False
    if not readable or (parts.fragment and "@" in parts.fragment):
        raise ValueError("host and port cannot be read; a password with one of / @ : # % in it is percent-encoded")
    unknown = set(options) - TLS - OTHERS
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))} is no option of a Redis address")
    check_tls(options, speaks_tls=url.startswith("rediss://"))


def check_tls(options: Mapping[str, str], *, speaks_tls: bool) -> None:
    """Raises ValueError for options without TLS, and for files that cannot be read."""
    tls = sorted(set(options) & TLS)
    if tls and not speaks_tls:
        raise ValueError(f"{', '.join(tls)} is for an address that begins with rediss")
    for name in TLS_FILES:
        if name in options:
            try:
                Path(options[name]).open("rb").close()
            except OSError as error:
                raise ValueError(f"the file of {name} cannot be read ({error.strerror})") from None
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ValueError("ssl_keyfile goes with ssl_certfile, the certificate that the key is for")
    if options.get("ssl_cert_reqs", "required") not in ("none", "optional", "required"):
        raise ValueError("ssl_cert_reqs is none, optional or required")
