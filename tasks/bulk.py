"""One action on many jobs, done in the background as a job of its own: asking for it, and how far it is.

The ids are fixed when it is asked: what is acted on is what was shown. The work itself is `tasks.ingest.kinds.bulk`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.errors import SubmissionRefused
from tasks.kinds import BULK
from tasks.ledger import Ledger, control, fleet, keys, monitor, queues, store
from tasks.ledger.records import Receipt, loaded, text, whole
from tasks.ledger.states import Action

PRIORITY = "high"  # the queue of bulk actions
MOST = 10_000
SHOWN_MOST = 500
REFUSED_KEPT = 200  # of those that refused, so many are kept by name; all are counted
REFUSED = "refused:"
PAST = {
    "cancel": "canceled",
    "force stop": "stopped by force",
    "retry": "retried",
    "delete": "deleted",
    "reprioritise": "given another priority",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a bulk action is: of `total` jobs `done` took it, the others refused, by reason (a phrase)."""

    total: int
    done: int
    refused: dict[str, int]
    named: tuple[tuple[str, str], ...] = ()  # id and sentence of the first that refused

    @property
    def left(self) -> int:
        return max(0, self.total - self.done - sum(self.refused.values()))

    def said(self, action: str) -> str:
        """'38 canceled, 2 had ended already.'"""
        parts = [f"{self.done:,} {PAST[action]}"] if self.done or not self.refused else []
        parts += [
            _why(count, reason) for reason, count in sorted(self.refused.items(), key=lambda one: (-one[1], one[0]))
        ]
        return f"{', '.join(parts)}."


def request(
    ledger: Ledger,
    action: Action,
    job_ids: Sequence[str],
    *,
    by: str = "",
    shown: str = "",
    options: Mapping[str, Any] | None = None,
    token: str = "",
) -> Receipt:
    """Ask for an action on these jobs; `shown` is the search that gave them.

    Options: `failed_only` of a retry, `priority` of a reprioritise. The same token asks once. Jobs that this person
    does not see are left out. Raises NotAllowed or SubmissionRefused; then nothing was written.
    """
    by = control.permit(ledger, control.RIGHTS[action], "bulk action", by=by, action=action.value)
    asked_for = list(dict.fromkeys(job_ids))
    hidden = monitor.hidden_jobs(ledger, asked_for)
    ids = [job_id for job_id in asked_for if job_id not in hidden]
    if not ids:
        raise SubmissionRefused(reason="no jobs were chosen; choose some, or search for others")
    if len(ids) > MOST:
        raise SubmissionRefused(
            reason=f"{len(ids):,} jobs are more than the {MOST:,} that one bulk action takes; narrow the search and "
            "do it in parts"
        )
    if action is Action.REPRIORITISE and not (options or {}).get("priority"):
        raise SubmissionRefused(reason="no priority was named; choose high, default or low")
    asked = {"action": action.value, "jobs": len(ids), "shown": shown[:SHOWN_MOST], **(options or {})}
    arguments = BULK.check(json.dumps(asked))
    receipt = control.request(
        ledger,
        kind=BULK.name,
        collection="",
        arguments=arguments.model_dump_json(),
        owner=by,
        title=f"{action.value.capitalize()} {len(ids):,} {'job' if len(ids) == 1 else 'jobs'}",
        priority=PRIORITY,
        token=token,
        deliver=False,
    )
    # Under the name of the job at once or not at all: a token that comes twice writes its ids once.
    draft = keys.bulk(f"{receipt.job}:{secrets.token_hex(4)}")
    with ledger.redis.pipeline(transaction=True) as pipe:
        pipe.rpush(draft, *ids)
        pipe.expire(draft, kept_s(ledger))
        pipe.renamenx(draft, keys.bulk(receipt.job))
        pipe.delete(draft)
        pipe.hget(keys.job(receipt.job), "priority")
        _, _, written, _, priority = pipe.execute()
    if not written:
        return receipt
    # Handed over only now, so that no worker finds the job without its ids.
    rq_id = store.delivery_of(ledger, receipt.job, store.PUBLISH)
    queues.deliver(ledger, [store.Delivery(receipt.job, store.PUBLISH, rq_id)], text(priority))
    if (held := fleet.paused(ledger).get(text(priority))) is not None:
        return replace(receipt, sentence=f"{receipt.sentence} {waits_for(text(priority), held.by)}")
    if fleet.worker_names(ledger):
        return receipt
    return replace(receipt, sentence=f"{receipt.sentence} No worker runs at the moment; it waits for one.")


def waits_for(priority: str, by: str) -> str:
    """What to know before and after a bulk action while its own queue is paused."""
    return f"The queue {priority}, from which it is worked on, is paused by {by or 'someone'}: it waits for a resume."


def ids(ledger: Ledger, job_id: str) -> list[str]:
    """The jobs that a bulk action is for."""
    return [text(one) for one in ledger.redis.lrange(keys.bulk(job_id), 0, MOST - 1)]


def outcome(ledger: Ledger, job_id: str) -> Outcome:
    """How far a bulk action is, in one round trip, and another one for who does not see every collection: those that
    refused are named to who sees them.
    """
    with ledger.redis.pipeline(transaction=True) as pipe:
        pipe.llen(keys.bulk(job_id))
        pipe.hgetall(keys.bulk_outcome(job_id))
        pipe.lrange(keys.bulk_refused(job_id), 0, REFUSED_KEPT - 1)
        total, found, named = pipe.execute()
    fields = {text(name): value for name, value in found.items()}
    refused = [(text(one[0]), text(one[1])) for one in map(loaded, named) if _is_pair(one)]
    hidden = monitor.hidden_jobs(ledger, [job for job, _ in refused])
    return Outcome(
        total=total,
        done=whole(fields.get("done")),
        refused={
            name.removeprefix(REFUSED): whole(count) for name, count in fields.items() if name.startswith(REFUSED)
        },
        named=tuple((job, why) for job, why in refused if job not in hidden),
    )


def _is_pair(one: Any) -> bool:
    return isinstance(one, list) and len(one) == 2


def _why(count: int, reason: str) -> str:
    """'2 were gone', '1 was gone'."""
    return f"{count:,} {reason.replace('were ', 'was ', 1) if count == 1 else reason}"


def kept_s(ledger: Ledger) -> int:
    """Seconds that the ids and the outcome are kept: as long as the job may be, and a day."""
    return int((ledger.settings.retention_days + 1) * 86_400)
