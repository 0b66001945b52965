"""Who somebody is, what the roles may do, tokens, and what a change of the roles means: as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from dashboard import format, markup
from dashboard.markup import Column, safe
from tasks.access import NEEDS, Person, Role, at_least
from tasks.access.comparing import Effect
from tasks.ledger.tokens import Token

SIGNED_IN = {
    "local": "Nobody signs in on this machine; the name is the one in the sidebar",
    "oidc": "Signed in with the provider",
    "proxy": "Signed in with the reverse proxy",
}
TOKENS = (
    Column("Token", "ib-title"),
    Column("Role"),
    Column("Made", "ib-num"),
    Column("Expires", "ib-num"),
    Column("Last used", "ib-num"),
)
EFFECTS = (Column("Who", "ib-title"), Column("Gains"), Column("Loses"))
EFFECTS_MOST = 50


def you(person: Person, auth: str) -> str:
    """Who looks, as a list of terms."""
    role = person.role.value if person.role else ""
    known = [
        ("Name", f"<b>{safe(person.name)}</b>"),
        ("Role", f'<span class="ib-badge ib-move">{safe(role.capitalize())}</span>' if role else ""),
        ("Address", safe(person.email) if person.email and person.email != person.name else ""),
        ("Groups", safe(", ".join(sorted(person.groups)))),
        ("How", safe(SIGNED_IN[auth])),
    ]
    pairs = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in known if value)
    return f'<div class="ib"><dl class="ib-facts ib-you">{pairs}</dl></div>'


def rights(mine: Role | None) -> str:
    """What each role may do, from the table that is asked; what takes more than this person's role is dimmed."""
    blocks = []
    for role in Role:
        held = at_least(mine, role)
        first = role is next(iter(Role))
        head = f"{role.value.capitalize()} {'may' if first else 'may also'}"
        yours = ' <span class="ib-chip">your role</span>' if role is mine else ""
        items = "".join(f"<li>{safe(right.value)}</li>" for right, needed in NEEDS.items() if needed is role)
        blocks.append(f'<div class="{"" if held else "ib-soft"}"><h4>{head}{yours}</h4><ul>{items}</ul></div>')
    return f'<div class="ib ib-rights">{"".join(blocks)}</div>'


def tokens(found: Sequence[Token], now: datetime, *, owners: bool) -> str:
    """The tokens, the newest first; with whose each is where there are those of others."""
    columns = (*TOKENS[:1], Column("Of"), *TOKENS[1:]) if owners else TOKENS
    return markup.table(columns, (_token(one, now, owners) for one in found), kind="ib-tokens", label="Tokens")


def _token(one: Token, now: datetime, owners: bool) -> tuple[str, ...]:
    label = f'<b>{safe(one.label)}</b> <span class="ib-soft ib-note">{safe(one.id)}</span>'
    if one.expired:
        ends = '<span class="ib-badge ib-quiet">Expired</span>'
    else:
        ends = safe(ahead(one.expires_at, now)) if one.expires_at else format.NOTHING
    return (
        label,
        *((safe(one.owner),) if owners else ()),
        safe(one.role.value),
        markup.when(one.created_at, now),
        ends,
        markup.when(one.used_at, now) if one.used_at else "never",
    )


def ahead(at: datetime, now: datetime) -> str:
    return f"in {format.coarse(max(0.0, (at - now).total_seconds()))}"


def changes(said: Sequence[str], effects: Sequence[Effect], people: int) -> str:
    """What another text would change: the entries, and who of those that are known gains or loses what."""
    items = "".join(f"<li>{safe(format.sentence(one))}</li>" for one in said)
    listed = f"<ul>{items}</ul>" if said else "<p>No entry changes.</p>"
    rows = ((f"<b>{safe(one.who)}</b>", _clauses(one.gains), _clauses(one.loses)) for one in effects[:EFFECTS_MOST])
    table = markup.table(EFFECTS, rows, kind="ib-effects", label="Who gains or loses what") if effects else ""
    more = f" The first {EFFECTS_MOST} are shown." if len(effects) > EFFECTS_MOST else ""
    among = "the one person" if people == 1 else f"the {format.number(people)} people"
    told = f"{format.number(len(effects))} of {among} seen lately would notice."
    about = f'<b>What this would change</b>{listed}<p class="ib-soft">{told}{more}</p>'
    return f'<div class="ib ib-going">{about}</div>{table}'


def _clauses(found: Iterable[str]) -> str:
    return "<br>".join(map(safe, found)) or format.NOTHING
