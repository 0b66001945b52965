"""What may run: our own registered tasks with their own arguments, and functions that the operator has named.

Everything else in a queue was put there by somebody who can write to Redis, which is no reason to run it.
"""

from __future__ import annotations

from rq.job import Job

from tasks.ledger import queues
from tasks.settings import Settings


def refusal(job: Job, settings: Settings) -> str | None:
    """Why this entry is not run, or None when it may be."""
    try:
        name, args, kwargs, instance = job.func_name, job.args, job.kwargs, job.instance
    except Exception:  # noqa: BLE001 - foreign bytes fail to decode in any way they like
        return "The task's data is not the JSON that Ingestboard writes; it was not run."
    if instance is not None or not isinstance(name, str):
        return f"The task {name} is not registered with Ingestboard and was not run."
    callbacks = (job._success_callback_name, job._failure_callback_name, job._stopped_callback_name)
    if name in queues.REGISTERED:
        if kwargs or len(args) != 3 or not all(isinstance(part, str) for part in args):
            return f"The arguments of {name} are not those of a delivery; it was not run."
        if any(callbacks) or job.webhooks:
            return f"The task {name} carries callbacks, which Ingestboard never sets; it was not run."
        return None
    return _of_function(name, [found for found in callbacks if found], job, settings)


def _of_function(name: str, callbacks: list[str], job: Job, settings: Settings) -> str | None:
    if name not in settings.rq_functions:
        return f"The task {name} is not registered with Ingestboard and was not run."
    for callback in callbacks:
        if callback not in settings.rq_functions:
            return f"The task {name} calls back {callback}, which is not registered with Ingestboard; it was not run."
    if job.webhooks:
        return f"The task {name} carries webhooks, which Ingestboard never calls; it was not run."
    return None


def is_delivery(job: Job) -> bool:
    """Whether an entry that may run is one of our own."""
    return job.func_name in queues.REGISTERED
