"""Who asks: the person of the token in the Authorization header, by what is so now. Nothing else is looked at.

A cookie opens nothing here, so no page of another site can make a browser ask for something. Whoever tries tokens is
held to so many a minute, from each address.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict

from starlette.requests import Request

from dashboard import connection
from dashboard.gate import who
from tasks.access import Person, Role
from tasks.errors import RequestRefused, TokenRefused
from tasks.ledger import Ledger, tokens

TRIES = 20  # wrong tokens from one address within:
WITHIN_S = 60.0
ADDRESSES = 10_000  # that are remembered
TRUSTED = 1_000  # tokens that were right are remembered by their hash, so that others at an address shut nobody out
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="ingestboard"'}
WRONG = {"WWW-Authenticate": 'Bearer realm="ingestboard", error="invalid_token"'}
ANYBODY = Person("this machine", Role.VIEWER)


class Tries:
    """Wrong tokens by address, of the last minute. Thread-safe and bounded: the address seen longest ago goes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._right: OrderedDict[bytes, None] = OrderedDict()

    def wait_s(self, address: str, spelled: str) -> int:
        """Seconds until this address may try another token; 0 when it may now, and for one that was right before."""
        with self._lock:
            since, count = self._wrong.get(address, (0.0, 0))
            left = since + WITHIN_S - time.monotonic()
            if count < TRIES or left <= 0 or _hashed(spelled) in self._right:
                return 0
            return int(left) + 1

    def right(self, spelled: str) -> None:
        with self._lock:
            self._right[_hashed(spelled)] = None
            self._right.move_to_end(_hashed(spelled))
            while len(self._right) > TRUSTED:
                self._right.popitem(last=False)

    def wrong(self, address: str) -> None:
        with self._lock:
            now = time.monotonic()
            since, count = self._wrong.get(address, (now, 0))
            self._wrong[address] = (since, count + 1) if now - since < WITHIN_S else (now, 1)
            self._wrong.move_to_end(address)
            while len(self._wrong) > ADDRESSES:
                self._wrong.popitem(last=False)


tries = Tries()


def enter(request: Request) -> tuple[Ledger, str]:
    """The ledger in the hands of whoever asks, and the id of their token.

    Raises RequestRefused (401, 429), or RedisUnreachable while nobody can tell who it is.
    """
    spelled = spelled_of(request)
    if not spelled:
        reason = "Send a personal token as 'Authorization: Bearer ibt_...'; `ingestboard token make` makes one."
        raise RequestRefused(status=401, code="not_signed_in", reason=reason, headers=CHALLENGE)
    return _of_token(request, spelled)


def enter_or_local(request: Request) -> tuple[Ledger, str]:
    """The same, and where nobody signs in, which is on loopback alone, no token is needed to see what a viewer sees."""
    shared = connection.shared()
    if shared.settings.auth == "local" and not request.headers.get("authorization"):
        return shared.ledger.held_by(ANYBODY), ""
    return enter(request)


def spelled_of(request: Request) -> str:
    """The token as it was sent; '' without one."""
    sent = request.headers.getlist("authorization")
    scheme, _, spelled = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
    return spelled.strip() if scheme.lower() == "bearer" else ""


def address_of(request: Request) -> str:
    return request.client.host if request.client else ""


def _of_token(request: Request, spelled: str) -> tuple[Ledger, str]:
    address = address_of(request)
    if wait_s := tries.wait_s(address, spelled):
        reason = f"Too many wrong tokens came from this address; try again in {wait_s} s."
        raise RequestRefused(status=429, code="too_many", reason=reason, headers={"Retry-After": str(wait_s)})
    shared = connection.shared()
    roles = None if shared.settings.auth == "local" else who.roles(shared.settings).current
    try:
        person = tokens.person_of(shared.ledger, spelled, roles)
    except TokenRefused as error:
        tries.wrong(address)
        raise RequestRefused(status=401, code="token_refused", reason=str(error), headers=WRONG) from None
    tries.right(spelled)
    return shared.ledger.held_by(person), tokens.id_of(spelled)


def _hashed(spelled: str) -> bytes:
    return hashlib.sha256(spelled.encode()).digest()
