"""What documents took here so far, by file ending, and what that says of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tasks.ledger.records import Rate

ENOUGH = 3  # documents of an ending before its own history is believed


def overall(rates: Mapping[str, Rate]) -> Rate:
    """All endings together."""
    figures = ("documents", "bytes", "chunks", "seconds")
    return Rate(*(sum(getattr(rate, figure) for rate in rates.values()) for figure in figures))


def of(name: str, rates: Mapping[str, Rate], everything: Rate) -> Rate | None:
    """The rate of documents like this one, else that of all; None while too few were seen."""
    rate = rates.get(name.rpartition(".")[2].lower() if "." in name else "")
    if rate is None or rate.documents < ENOUGH or not rate.bytes:
        rate = everything
    return rate if rate.documents >= ENOUGH and rate.bytes else None


def work_s(documents: Iterable[tuple[str, int]], rates: Mapping[str, Rate]) -> float | None:
    """Seconds of one worker for documents, (name, bytes) each; None when nothing is known of one of them."""
    everything = overall(rates)
    seconds = 0.0
    for name, size in documents:
        rate = of(name, rates, everything)
        if rate is None:
            return None
        seconds += size * rate.seconds / rate.bytes
    return seconds
