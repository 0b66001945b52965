"""The roles and the rights: stated once. A right without a role here fails the import, and so every test."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What somebody is on this board; each may do what those before it may."""

    VIEWER = "viewer"  # sees jobs, searches collections
    OPERATOR = "operator"  # submits, stops, retries, holds queues and workers
    ADMIN = "admin"  # deletes, rolls back, prunes, scales, says who has which role


class Right(StrEnum):
    """What can be done to the board, in words that complete 'may not ...'."""

    SEE = "see this board"
    SUBMIT = "submit documents"
    CANCEL = "cancel jobs"
    FORCE_STOP = "stop jobs by force"
    RETRY = "retry jobs"
    DELETE = "delete jobs"
    REPRIORITISE = "change the priority of jobs"
    WRITE_OFF = "write workers off"
    PAUSE = "pause and resume queues"
    DRAIN = "drain workers"
    SCALE = "scale the pools of a host"
    ACKNOWLEDGE = "acknowledge failures"
    SAVE_VIEWS = "change the saved views of the team"
    EXPORT = "export snapshots"
    PUBLISH_HELD = "publish what a gate holds back"
    DISCARD_HELD = "discard what a gate holds back"
    ROLL_BACK = "roll collections back"
    PRUNE = "prune snapshots"
    REBUILD = "rebuild collections"
    SET_GATES = "set the gates of collections"
    CLEAN = "clean caches"
    REQUEUE_FOREIGN = "requeue the RQ jobs of other programs"
    STOP_FOREIGN = "stop the RQ jobs of other programs"
    DELETE_FOREIGN = "delete the RQ jobs of other programs"
    MAKE_TOKENS = "make tokens for themselves"
    REVOKE_TOKENS = "revoke the tokens of others"
    READ_RECORD = "read the whole record"
    SET_ROLES = "change who may do what"
    UPKEEP = "do the housekeeping of the programs"


NEEDS: dict[Right, Role | None] = {
    Right.SEE: Role.VIEWER,
    Right.MAKE_TOKENS: Role.VIEWER,
    Right.SUBMIT: Role.OPERATOR,
    Right.CANCEL: Role.OPERATOR,
    Right.FORCE_STOP: Role.OPERATOR,
    Right.RETRY: Role.OPERATOR,
    Right.REPRIORITISE: Role.OPERATOR,
    Right.WRITE_OFF: Role.OPERATOR,
    Right.PAUSE: Role.OPERATOR,
    Right.DRAIN: Role.OPERATOR,
    Right.ACKNOWLEDGE: Role.OPERATOR,
    Right.SAVE_VIEWS: Role.OPERATOR,
    Right.EXPORT: Role.OPERATOR,
    Right.PUBLISH_HELD: Role.OPERATOR,
    Right.REQUEUE_FOREIGN: Role.OPERATOR,
    Right.STOP_FOREIGN: Role.OPERATOR,
    Right.DELETE: Role.ADMIN,
    Right.SCALE: Role.ADMIN,
    Right.DISCARD_HELD: Role.ADMIN,
    Right.ROLL_BACK: Role.ADMIN,
    Right.PRUNE: Role.ADMIN,
    Right.REBUILD: Role.ADMIN,
    Right.SET_GATES: Role.ADMIN,
    Right.CLEAN: Role.ADMIN,
    Right.DELETE_FOREIGN: Role.ADMIN,
    Right.REVOKE_TOKENS: Role.ADMIN,
    Right.READ_RECORD: Role.ADMIN,
    Right.SET_ROLES: Role.ADMIN,
    Right.UPKEEP: None,  # no person: the programs themselves
}
assert set(NEEDS) == set(Right), "a right without a role"

_ORDER = {role: at for at, role in enumerate(Role)}


def at_least(role: Role | None, needed: Role | None) -> bool:
    """Whether a role is the needed one or a higher one; nobody has the role of a program."""
    return role is not None and needed is not None and _ORDER[role] >= _ORDER[needed]


def lower(one: Role | None, other: Role | None) -> Role | None:
    """The lower of two roles; None where there is none."""
    if one is None or other is None:
        return None
    return min(one, other, key=_ORDER.__getitem__)
