"""An RQ job as our workers read it: RQ calls back only what the operator has named, and posts to no address.

`workers.admission` refuses such a job before it runs. RQ's own housekeeping asks nobody: it calls the failure callback
of whatever stands in a registry as abandoned, which anybody who can write to Redis can put there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from rq.job import Job

from tasks.settings import Settings


class GuardedJob(Job):
    """Make a class of it by `guarded`."""

    named: ClassVar[frozenset[str]] = frozenset()

    @property
    def success_callback(self) -> Callable[..., Any] | None:
        return super().success_callback if self._success_callback_name in self.named else None

    @property
    def failure_callback(self) -> Callable[..., Any] | None:
        return super().failure_callback if self._failure_callback_name in self.named else None

    @property
    def stopped_callback(self) -> Callable[..., Any] | None:
        return super().stopped_callback if self._stopped_callback_name in self.named else None

    def send_webhooks(self, status: Any, *, exc_string: str | None = None) -> None:
        """Nothing is sent."""


def guarded(settings: Settings) -> type[Job]:
    """The class of jobs for workers with these settings."""
    return type("GuardedJob", (GuardedJob,), {"named": frozenset(settings.rq_functions)})
