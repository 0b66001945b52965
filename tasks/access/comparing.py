"""What another text of the roles file means: which entries come and go, and who gains or loses what by it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.access.person import Person
from tasks.access.rights import Role, at_least
from tasks.access.roles import Roles

TRUST = "addresses that nobody verified"


@dataclass(frozen=True, slots=True)
class Somebody:
    """An address or name and the groups that are known of it."""

    name: str
    email: str = ""
    groups: frozenset[str] = frozenset()

    def by(self, roles: Roles) -> Person:
        return roles.person(name=self.name, email=self.email, groups=self.groups)


@dataclass(frozen=True, slots=True)
class Effect:
    """What changes for one person, in clauses: 'is operator, was viewer', 'sees hr-* no more'."""

    who: str
    gains: tuple[str, ...]
    loses: tuple[str, ...]


def entries(before: Roles, after: Roles) -> list[str]:
    """The entries that come and go, in clauses: 'admin gains ben@example.com'; empty when both mean the same."""
    said = []
    theirs, ours = dict(before.roles), dict(after.roles)
    for role in reversed(Role):
        said += _moved(f"{role.value}", theirs.get(role, frozenset()), ours.get(role, frozenset()))
    old, new = dict(before.limits), dict(after.limits)
    for pattern in sorted(old.keys() | new.keys()):
        if pattern not in new:
            said.append(f"collections {pattern} are for everybody")
        elif pattern not in old:
            said.append(f"collections {pattern} are for {_listed(new[pattern])} alone")
        else:
            said += _moved(f"collections {pattern}", old[pattern], new[pattern])
    if before.trust_unverified_email != after.trust_unverified_email:
        said.append(f"{TRUST} {'count' if after.trust_unverified_email else 'count no more'}")
    return said


def effects(before: Roles, after: Roles, people: Iterable[Somebody]) -> list[Effect]:
    """What changes for whom, by name; those for whom nothing does are left out."""
    found = []
    for one in sorted(set(people), key=lambda one: (one.name, sorted(one.groups))):
        old, new = one.by(before), one.by(after)
        gains: list[str] = []
        loses: list[str] = []
        if old.role is not new.role:
            up = old.role is None or at_least(new.role, old.role)
            (gains if up else loses).append(f"{_role(new.role)}, was {old.role.value if old.role else 'nobody'}")
        gains += [f"sees {pattern}" for pattern in old.hidden if pattern not in new.hidden]
        loses += [f"sees {pattern} no more" for pattern in new.hidden if pattern not in old.hidden]
        if gains or loses:
            found.append(Effect(new.name, tuple(gains), tuple(loses)))
    return found


def said_of(person: Person) -> str:
    """What somebody would be, in a sentence."""
    if person.role is None:
        return f"{person.name} would have no role and see nothing."
    hidden = f" They would not see {_listed(person.hidden)}." if person.hidden else ""
    return f"{person.name} would be {person.role.value}.{hidden}"


def _role(role: Role | None) -> str:
    return f"is {role.value}" if role else "has no role"


def _moved(what: str, before: frozenset[str], after: frozenset[str]) -> list[str]:
    come, gone = after - before, before - after
    return [
        *([f"{what} gains {_listed(come)}"] if come else []),
        *([f"{what} loses {_listed(gone)}"] if gone else []),
    ]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "administrators"
