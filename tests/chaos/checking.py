"""The checker: all checks of a history, by name. A run is in order when all of them are silent. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tests.chaos.document_checks import (
    a_cancel_stops_at_the_next_batch,
    collections_hold_what_was_published,
    each_run_publishes_once,
    failures_have_a_reason,
    nothing_is_embedded_twice,
    snapshots_verify,
)
from tests.chaos.history import Row
from tests.chaos.ledger_checks import (
    counts_equal_the_rows,
    every_accepted_job_is_final,
    nothing_is_left_over,
    percent_never_falls_in_an_attempt,
    states_move_along_the_table,
    zombies_write_nothing,
)

Check = Callable[[Sequence[Row]], Iterator[str]]


def check(rows: Sequence[Row], checks: Sequence[Check] | None = None) -> list[str]:
    """Everything that is wrong with a history, each sentence behind the name of its check."""
    return [f"{one.__name__}: {sentence}" for one in checks or CHECKS for sentence in one(rows)]


CHECKS: tuple[Check, ...] = (
    every_accepted_job_is_final,
    states_move_along_the_table,
    percent_never_falls_in_an_attempt,
    nothing_is_left_over,
    counts_equal_the_rows,
    failures_have_a_reason,
    collections_hold_what_was_published,
    snapshots_verify,
    each_run_publishes_once,
    nothing_is_embedded_twice,
    zombies_write_nothing,
    a_cancel_stops_at_the_next_batch,
)
# Those that need no documents on disk.
OF_THE_LEDGER: tuple[Check, ...] = (
    every_accepted_job_is_final,
    states_move_along_the_table,
    percent_never_falls_in_an_attempt,
    nothing_is_left_over,
    counts_equal_the_rows,
    failures_have_a_reason,
    zombies_write_nothing,
    a_cancel_stops_at_the_next_batch,
)
