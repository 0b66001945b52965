"""The states of a job, the transitions between them and the actions each allows: stated once.

The Lua scripts move states, the README draws them, the pages offer actions from here; tests hold all
three against this table.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a job is. Each comment says who moves a job out of it, and when."""

    QUEUED = "queued"  # a worker that claims its first shard, or a person who cancels
    RUNNING = "running"  # the last shard or the publish that ends; a worker that dies; a person who cancels
    RETRYING = "retrying"  # a worker that claims a shard again; the janitor once its tries are used up
    CANCELING = "canceling"  # the last running shard to stop at a checkpoint, or the parent that killed it
    CANCELED = "canceled"  # final: a person who retries
    COMPLETED = "completed"  # final: a person who retries, for the same documents under a new attempt
    PARTIAL = "partial"  # final: some documents failed, the rest were published; a person who retries
    FAILED = "failed"  # final: nothing was published; a person who retries


class DocumentState(StrEnum):
    """Where one document of a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


class Action(StrEnum):
    """What a person may ask of a job."""

    CANCEL = "cancel"
    FORCE_STOP = "force stop"
    RETRY = "retry"
    DELETE = "delete"
    REPRIORITISE = "reprioritise"
    WRITE_OFF = "write off"  # the worker that has it in hand, when that neither works nor answers


LIVE = frozenset({State.QUEUED, State.RUNNING, State.RETRYING, State.CANCELING})
FINAL = frozenset(State) - LIVE

TRANSITIONS: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELED, State.FAILED}),
    State.RUNNING: frozenset(
        {State.RETRYING, State.CANCELING, State.CANCELED, State.COMPLETED, State.PARTIAL, State.FAILED}
    ),
    State.RETRYING: frozenset({State.RUNNING, State.CANCELED, State.FAILED}),
    # A stop that comes after the commit point finds the snapshot published: the job says so. One that its time limit
    # asked for ends as failed.
    State.CANCELING: frozenset({State.CANCELED, State.COMPLETED, State.PARTIAL, State.FAILED}),
    State.CANCELED: frozenset({State.QUEUED}),
    State.COMPLETED: frozenset({State.QUEUED}),
    State.PARTIAL: frozenset({State.QUEUED}),
    State.FAILED: frozenset({State.QUEUED}),
}

ACTIONS: dict[State, frozenset[Action]] = {
    State.QUEUED: frozenset({Action.CANCEL, Action.REPRIORITISE}),
    State.RUNNING: frozenset({Action.CANCEL, Action.FORCE_STOP, Action.REPRIORITISE, Action.WRITE_OFF}),
    State.RETRYING: frozenset({Action.CANCEL, Action.REPRIORITISE}),
    State.CANCELING: frozenset({Action.FORCE_STOP, Action.WRITE_OFF}),
    State.CANCELED: frozenset({Action.RETRY, Action.DELETE}),
    State.COMPLETED: frozenset({Action.RETRY, Action.DELETE}),
    State.PARTIAL: frozenset({Action.RETRY, Action.DELETE}),
    State.FAILED: frozenset({Action.RETRY, Action.DELETE}),
}

STAGES = ("save", "load", "split", "embed", "index", "publish")


def allows(state: State, action: Action) -> bool:
    """Whether a job in that state takes that action."""
    return action in ACTIONS[state]


def states_allowing(action: Action) -> str:
    """The states that take the action, as a phrase: 'failed, partial or canceled'."""
    names = [state.value for state in State if action in ACTIONS[state]]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
