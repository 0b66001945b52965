"""The doors to who asks: oneself, and one's tokens."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from dashboard.api.door import Asked, Door, Said
from dashboard.gate import who
from tasks.access import Right, Role
from tasks.ledger import control, tokens
from tasks.telling import person_object


class Whose(Said):
    everybodys: bool = Field(default=False, description="of everybody, for who may revoke them")


class Making(Said):
    label: str = Field(min_length=1, max_length=tokens.LONGEST_LABEL, description="what it is for")
    role: Role = Field(default=Role.VIEWER, description="at most that of the token that asks")
    days: float = Field(default=30, gt=0, le=tokens.DAYS_MOST, description="at most those that are left to that token")


class RolesSaid(Said):
    content: str = Field(description="the whole text of the roles file")
    before: str = Field(description="the text that it replaces, as it was read")


def me(asked: Asked) -> dict[str, Any]:
    return person_object(asked.person, asked.token)


def listed(asked: Asked) -> dict[str, Any]:
    return {"tokens": tokens.tokens(asked.ledger, everybodys=asked.asks(Whose).everybodys)}


def made(asked: Asked) -> dict[str, Any]:
    said = asked.says(Making)
    spelled, token = tokens.make(asked.ledger, said.label, role=said.role, days=said.days, made_with=asked.token)
    return {"secret": spelled, "token": token}


def revoked(asked: Asked) -> dict[str, str]:
    return {"sentence": tokens.revoke(asked.ledger, asked.path["token"])}


def roles(asked: Asked) -> dict[str, str]:
    control.permit(asked.ledger, Right.SET_ROLES, "roles", action="show roles")
    file = who.roles(asked.settings)
    return {"content": file.content() if file.path.exists() else "", "trouble": file.trouble}


def roles_set(asked: Asked) -> dict[str, str]:
    said = asked.says(RolesSaid)
    return {"sentence": control.set_roles(asked.ledger, who.roles(asked.settings), said.content, before=said.before)}


DOORS = [
    Door("GET", "/me", Right.SEE, me, "Who this token speaks for, and what they may do"),
    Door("GET", "/tokens", Right.MAKE_TOKENS, listed, "Your tokens, without their secrets", query=Whose),
    Door(
        "POST",
        "/tokens",
        Right.MAKE_TOKENS,
        made,
        "Make a token; its secret is told this once",
        body=Making,
        status=201,
        example={"label": "ci", "days": 0.001},
    ),
    Door(
        "DELETE",
        "/tokens/{token}",
        Right.MAKE_TOKENS,
        revoked,
        "Let a token open nothing from now on",
        also={Right.REVOKE_TOKENS: {}},
    ),
    Door("GET", "/roles", Right.SET_ROLES, roles, "The text of the roles file"),
    Door(
        "PUT",
        "/roles",
        Right.SET_ROLES,
        roles_set,
        "Put another text in its place",
        body=RolesSaid,
        example={"content": "[roles]", "before": ""},
    ),
]
