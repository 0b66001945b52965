"""Every write that a person causes, with its audit row. Pages and CLI act through here alone.

Each function answers with a receipt or a sentence, or raises an error that is a sentence; a lost race is such a
sentence. Whether the person may is asked in each of them, by `permission`. `submission` and `writing` make jobs,
`acting` stops and retries them, `steering` is about queues, workers and pools, `foreign` about the RQ jobs of other
programs, `naming` about who may do what.
"""

from tasks.ledger.control.acting import PAST, RIGHTS, act, cancel, delete, reprioritise, retry
from tasks.ledger.control.audit import record
from tasks.ledger.control.foreign import delete_foreign, move_foreign, requeue_foreign, stop_foreign
from tasks.ledger.control.naming import set_roles
from tasks.ledger.control.permission import permit
from tasks.ledger.control.room import look_for_room
from tasks.ledger.control.steering import (
    WRITTEN_OFF_HOW,
    drain,
    forget_workers,
    pause,
    resume,
    scale,
    set_gates,
    undrain,
    write_off,
    write_off_workers_of,
)
from tasks.ledger.control.submission import (
    COLLECTION_NAME,
    INGEST,
    REBUILD,
    NewDocument,
    Submission,
    Sync,
    permit_submission,
    request,
    submit,
    submit_many,
)
from tasks.ledger.control.writing import cut

__all__ = [
    "COLLECTION_NAME",
    "INGEST",
    "PAST",
    "REBUILD",
    "RIGHTS",
    "WRITTEN_OFF_HOW",
    "NewDocument",
    "Submission",
    "Sync",
    "act",
    "cancel",
    "cut",
    "delete",
    "delete_foreign",
    "drain",
    "forget_workers",
    "look_for_room",
    "move_foreign",
    "pause",
    "permit",
    "permit_submission",
    "record",
    "reprioritise",
    "request",
    "requeue_foreign",
    "resume",
    "retry",
    "scale",
    "set_gates",
    "set_roles",
    "stop_foreign",
    "submit",
    "submit_many",
    "undrain",
    "write_off",
    "write_off_workers_of",
]
