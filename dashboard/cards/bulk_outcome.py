"""What became of the jobs of a bulk action, on its page: how far it is, and those that refused, with the reason."""

from __future__ import annotations

from dashboard import format, markup
from dashboard.markup import safe
from tasks import bulk
from tasks.bulk import Outcome
from tasks.errors import SubmissionRefused
from tasks.kinds import BULK, BulkArguments
from tasks.ledger import Ledger
from tasks.ledger.records import JobRow


def shown(ledger: Ledger, row: JobRow) -> str:
    """The outcome as HTML; '' for a job of another kind."""
    if row.kind != BULK.name:
        return ""
    try:
        arguments = BULK.check(row.arguments)
    except SubmissionRefused:
        return ""
    assert isinstance(arguments, BulkArguments)
    return markup_of(bulk.outcome(ledger, row.id), arguments, final=row.final)


def markup_of(outcome: Outcome, arguments: BulkArguments, *, final: bool) -> str:
    """How many took it and how many did not, and the refused by name."""
    if not (outcome.done or outcome.refused):
        return ""
    left = f" {format.counted(outcome.left, 'job')} {'were not come to' if final else 'to go'}." if outcome.left else ""
    source = f' <span class="ib-soft">Chosen by {safe(arguments.shown)}</span>' if arguments.shown else ""
    lines = "".join(
        f'<li><a href="{markup.job_link(job)}" target="_self"><code>{safe(job)}</code></a> '
        f'<span class="ib-name">{safe(why)}</span></li>'
        for job, why in outcome.named
    )
    more = sum(outcome.refused.values()) - len(outcome.named)
    unnamed = f'<p class="ib-soft">and {format.number(more)} more</p>' if more > 0 else ""
    named = f'<ul class="ib-refused" tabindex="0">{lines}</ul>{unnamed}' if lines else ""
    said = f"{safe(outcome.said(arguments.action))}{safe(left)}{source}"
    tone = "" if outcome.refused else " ib-outcome"
    return f'<div class="ib ib-receipt{tone}"><b>Outcome</b><p>{said}</p>{named}</div>'
