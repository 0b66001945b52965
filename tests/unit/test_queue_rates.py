"""What goes into and out of a queue a minute, told from the differences between two looks."""

from __future__ import annotations

from dataclasses import replace

from dashboard.memory.queue_rates import GAP_S, Flow, QueueRates
from tasks.ledger.foreign_rows import QueueRow

EMPTY = QueueRow("emails", False, 0, None, 0, 0, 0, 0, 0, 0, 1)


class Watch:
    """A clock and what it is asked with."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.rates = QueueRates(lambda: self.now)

    def sees(self, after_s: float, **counts: int) -> Flow | None:
        self.now += after_s
        return self.rates.note([replace(EMPTY, **counts)]).get("emails")  # type: ignore[arg-type]


def test_one_look_tells_nothing() -> None:
    assert Watch().sees(0, depth=5) is None


def test_what_ended_went_out_and_what_the_queue_kept_came_in() -> None:
    watch = Watch()
    watch.sees(0, depth=10)
    assert watch.sees(30, depth=15, finished=20, failed=5) == Flow(came=60.0, went=50.0)


def test_a_queue_that_shrinks_went_even_when_rq_keeps_no_results() -> None:
    watch = Watch()
    watch.sees(0, depth=100)
    assert watch.sees(60, depth=40) == Flow(came=0.0, went=60.0)


def test_a_cleanup_of_the_registries_is_nothing_that_happened_to_jobs() -> None:
    watch = Watch()
    watch.sees(0, depth=3, finished=500)
    assert watch.sees(10, depth=3, finished=0) == Flow(0.0, 0.0)
    assert watch.sees(10, depth=3, finished=2) == Flow(came=6.0, went=6.0)


def test_only_the_last_minute_counts() -> None:
    watch = Watch()
    watch.sees(0)
    finished = 0
    for _ in range(12):
        watch.sees(10, finished=(finished := finished + 100))
    for _ in range(12):
        flow = watch.sees(10, finished=finished)
    assert flow == Flow(0.0, 0.0)


def test_after_nobody_looked_for_long_it_begins_anew() -> None:
    watch = Watch()
    watch.sees(0)
    assert watch.sees(GAP_S + 1, depth=1_000_000) is None
    assert watch.sees(10, depth=1_000_000) == Flow(0.0, 0.0)


def test_a_queue_that_is_gone_is_forgotten() -> None:
    watch = Watch()
    watch.sees(0, depth=9)
    watch.rates.note([])
    assert watch.sees(10, depth=0) is None
