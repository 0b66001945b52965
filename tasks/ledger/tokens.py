"""Personal tokens for the command line and the HTTP API: made, listed, revoked, and turned into their person.

A token is `ibt_<id>_<secret>`, shown once. Its secret has 256 random bits, so that a plain SHA-256 keeps it; Redis
holds that alone. A token never opens more than its owner may by now: the roles file decides, each time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from tasks.access import Person, Right, Role
from tasks.access.rights import lower
from tasks.access.roles import Roles
from tasks.errors import TokenRefused
from tasks.ledger import keys
from tasks.ledger.connection import Ledger
from tasks.ledger.control import permit, record
from tasks.ledger.records import fields_of, moment, number, text

EACH = 50  # tokens of one person
DAY_S = 86_400
DAYS_MOST = 365
LONGEST_LABEL = 60
KEPT_S = 30 * 86_400.0  # so long an expired token is still listed, so that its owner sees why it opens nothing
FORGOTTEN = 500  # tokens that one turn of the janitor drops
USED_EVERY_S = 60.0  # the last use is written down so often at most
SPELLED = re.compile(r"ibt_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
UNKNOWN = "it is unknown or was revoked; make a new one on the page Access"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it may be shown. Times are aware; `used_at` is None before its first use."""

    id: str
    owner: str
    label: str
    role: Role
    created_at: datetime | None
    expires_at: datetime | None
    used_at: datetime | None
    expired: bool = False


def make(ledger: Ledger, label: str, *, role: Role, days: float, made_with: str = "") -> tuple[str, Token]:
    """A new token of the person in whose hands the ledger is: the words to hand out, once, and what is kept of it.

    `made_with` is the id of the token that asks for it: what leaked for a day must not become one for a year. Raises
    NotAllowed or TokenRefused.
    """
    person = ledger.person
    by = permit(ledger, Right.MAKE_TOKENS, label, action="make token")
    label = " ".join(label.split())
    if not label or len(label) > LONGEST_LABEL or not label.isprintable():
        raise TokenRefused(reason=f"say in 1 to {LONGEST_LABEL} letters what it is for")
    if not 0 < days <= DAYS_MOST:
        raise TokenRefused(reason=f"it lives for up to {DAYS_MOST} days; choose a time within that")
    held = Role.ADMIN if person.program else person.role
    if lower(role, held) is not role:
        raise TokenRefused(reason=f"it cannot hold the role {role.value}, which is more than yours")
    known = _all(ledger)
    if made_with:
        ends = next((one.expires_at for one in known if one.id == made_with and one.owner == by), None)
        left = (ends.timestamp() - ledger.now()) / DAY_S if ends is not None else 0.0
        if days > left:
            raise TokenRefused(
                reason=f"it would outlive yours, which has {max(0.0, left):.1f} days left; ask for fewer"
            )
    if sum(one.owner == by for one in known) >= EACH:
        raise TokenRefused(reason=f"you have {EACH} tokens already; revoke one that nobody uses")
    token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    now = ledger.now()
    kept = {
        "hash": _hashed(secret),
        "owner": by,
        "email": person.email,
        "groups": sorted(person.groups),
        "role": role.value,
        "label": label,
        "created_at": now,
        "expires_at": now + days * DAY_S,
    }
    ledger.redis.hset(keys.TOKENS, token_id, json.dumps(kept))
    record(ledger, "make token", token_id, by=by, result=f"A token of {by} as {role.value} was made: {label}.")
    made = Token(token_id, by, label, role, moment(now), moment(kept["expires_at"]), None)
    return f"ibt_{token_id}_{secret}", made


def tokens(ledger: Ledger, *, everybodys: bool = False) -> list[Token]:
    """The tokens of this person, or of everybody for who may revoke them; the newest first."""
    mine = ledger.person.signs()
    all_of_them = everybodys and ledger.person.may(Right.REVOKE_TOKENS)
    return [one for one in _all(ledger) if all_of_them or one.owner == mine]


def revoke(ledger: Ledger, token_id: str) -> str:
    """Let a token open nothing from now on; the sentence of its audit row. Raises NotAllowed or TokenRefused."""
    mine = any(one.id == token_id and one.owner == ledger.person.signs() for one in _all(ledger))
    by = permit(ledger, Right.MAKE_TOKENS if mine else Right.REVOKE_TOKENS, token_id, action="revoke token")
    if not ledger.redis.hdel(keys.TOKENS, token_id):
        raise TokenRefused(reason="there is no such token any more")
    ledger.redis.hdel(keys.TOKENS_USED, token_id)
    sentence = f"The token {token_id} was revoked and opens nothing any more."
    record(ledger, "revoke token", token_id, by=by, result=sentence)
    return sentence


def person_of(ledger: Ledger, spelled: str, roles: Callable[[], Roles] | None) -> Person:
    """Whose token this is, with the lower of its role and the one that its owner has by now.

    `roles` gives the roles file; None where nobody signs in, so that the token's own role counts. Raises TokenRefused.
    """
    found = SPELLED.fullmatch(spelled.strip())
    if found is None:
        raise TokenRefused(reason=UNKNOWN)
    token_id, secret = found.groups()
    with ledger.redis.pipeline(transaction=False) as pipe:
        pipe.hget(keys.TOKENS, token_id)
        pipe.hget(keys.TOKENS_USED, token_id)
        raw, used = pipe.execute()
    kept = fields_of(raw)
    role = _role(kept.get("role"))
    # Compared for an unknown token as well, so that the time that it takes tells nothing.
    if not hmac.compare_digest(text(kept.get("hash")).encode(), _hashed(secret).encode()) or role is None:
        raise TokenRefused(reason=UNKNOWN)
    now = ledger.now()
    if number(kept.get("expires_at")) <= now:
        raise TokenRefused(reason="its time is over; make a new one on the page Access")
    if now - number(used) > USED_EVERY_S:
        ledger.redis.hset(keys.TOKENS_USED, token_id, f"{now:.0f}")
    owner, groups = text(kept.get("owner")), kept.get("groups")
    if roles is None:
        return Person(owner, role)
    named = map(text, groups) if isinstance(groups, list) else ()
    known = roles().person(name=owner, email=text(kept.get("email")), groups=named)
    return replace(known, name=owner, role=lower(role, known.role))


def id_of(spelled: str) -> str:
    """The id in a token as it is written, which is no secret; '' for what is none."""
    found = SPELLED.fullmatch(spelled.strip())
    return found[1] if found else ""


def long_expired(ledger: Ledger, *, kept_s: float = KEPT_S) -> list[str]:
    """Ids of the tokens whose time is long over, and of what is no token; the oldest first, some hundreds at most."""
    with ledger.redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.TOKENS)
        pipe.hkeys(keys.TOKENS_USED)
        found, used = pipe.execute()
    oldest = ledger.now() - kept_s
    ends = {text(token_id): number(fields_of(raw).get("expires_at")) for token_id, raw in found.items()}
    ends |= {token_id: 0.0 for token_id in map(text, used) if token_id not in ends}
    return sorted((one for one, end in ends.items() if end < oldest), key=lambda one: (ends[one], one))[:FORGOTTEN]


def forget_expired(ledger: Ledger, *, kept_s: float = KEPT_S) -> int:
    """Drop tokens whose time is long over; how many. For the janitor."""
    permit(ledger, Right.UPKEEP, "tokens")
    old = long_expired(ledger, kept_s=kept_s)
    if old:
        ledger.redis.hdel(keys.TOKENS, *old)
        ledger.redis.hdel(keys.TOKENS_USED, *old)
    return len(old)


def _all(ledger: Ledger) -> list[Token]:
    """Every token, the newest first; what is damaged is left out and opens nothing."""
    with ledger.redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.TOKENS)
        pipe.hgetall(keys.TOKENS_USED)
        found, used = pipe.execute()
    now = ledger.now()
    made = [_shown(text(token_id), fields_of(raw), used.get(token_id), now) for token_id, raw in found.items()]
    known = [one for one in made if one is not None]
    return sorted(known, key=lambda one: (one.created_at.timestamp() if one.created_at else 0.0, one.id), reverse=True)


def _shown(token_id: str, kept: dict[str, object], used: bytes | None, now: float) -> Token | None:
    role = _role(kept.get("role"))
    if role is None:
        return None
    return Token(
        token_id,
        text(kept.get("owner")),
        text(kept.get("label")),
        role,
        moment(kept.get("created_at")),
        moment(kept.get("expires_at")),
        moment(used) if used else None,
        number(kept.get("expires_at")) <= now,
    )


def _role(value: object) -> Role | None:
    return Role(value) if isinstance(value, str) and value in set(Role) else None


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
