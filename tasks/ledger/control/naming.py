"""Saying who may do what: the roles file is written whole or not at all, by an administrator who stays one."""

from __future__ import annotations

from tasks.access import Right, Role, RolesFile
from tasks.access.comparing import entries
from tasks.access.roles import LARGEST, Roles, parse
from tasks.errors import IngestboardError, RolesRefused
from tasks.ledger.connection import Ledger
from tasks.ledger.control import audit
from tasks.ledger.control.permission import permit

SUBJECT, ACTION = "roles", "set roles"
TOLD_MOST = 1_500  # characters of an audit row about what changed


def set_roles(ledger: Ledger, file: RolesFile, content: str, *, before: str, by: str = "") -> str:
    """Put another text into the roles file, in place of the one that was read; the sentence of its audit row.

    Raises NotAllowed, RolesUnreadable for a text that cannot be used or when somebody else changed it meanwhile, or
    RolesRefused for one that would take the role from who saves it.
    """
    by = permit(ledger, Right.SET_ROLES, SUBJECT, by=by, action=ACTION)
    try:
        known = parse(before, path=str(file.path)) if before.strip() else Roles()
    except IngestboardError:
        known = Roles()  # what stood there could not be used: all of the new one is news
    try:
        after = parse(content, path=str(file.path))
        _keep_an_administrator(ledger, known, after)
        if len(content.encode()) > LARGEST:
            raise RolesRefused(reason="the text is larger than 1 MB")
        file.write(content, before=before)
    except IngestboardError as refusal:
        audit.record(ledger, ACTION, SUBJECT, by=by, result=str(refusal), outcome="refused")
        raise
    said = "; ".join(entries(known, after)) or "no entry"
    sentence = f"The roles were changed: {said[:TOLD_MOST]}."
    audit.record(ledger, ACTION, SUBJECT, by=by, result=sentence)
    return sentence


def _keep_an_administrator(ledger: Ledger, before: Roles, after: Roles) -> None:
    person = ledger.person
    if not dict(after.roles).get(Role.ADMIN):
        raise RolesRefused(reason="nobody would be an administrator, so that nobody could change it back")
    if person.program or ledger.settings.auth == "local":
        return
    # An address that nobody verified counts as long as the file says so; which theirs is, is not known here.
    verified = not (before.trust_unverified_email and not after.trust_unverified_email)
    then = after.person(name=person.name, email=person.email, groups=person.groups, verified=verified)
    if then.role is not Role.ADMIN:
        role = f"have the role {then.role.value}" if then.role else "have no role"
        raise RolesRefused(reason=f"{person.name} would {role} and could not change it back; let another one save it")
