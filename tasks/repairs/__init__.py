"""The checks that keep the ledger, RQ and the disk in agreement: the janitor repairs by them, `doctor` only looks.

Each is bounded, reads without writing when it finds, and looks again before it repairs.
"""

from __future__ import annotations

from tasks.repairs.disk import DeadStaging, HalfWritten, UnrecordedPublishes
from tasks.repairs.entries import StrayEntries
from tasks.repairs.expiry import ExpiredHistory, ExpiredTokens
from tasks.repairs.finding import Check, Finding
from tasks.repairs.forged import ForgedKeys, ForgedMembers
from tasks.repairs.forgotten import ForgottenCounters, ForgottenSubmissions, emptied, now_seen
from tasks.repairs.shards import Counts, DueRetries, LostDeliveries, LostShards, PastLimit, Records

__all__ = ["Check", "Finding", "checks", "emptied", "now_seen"]


def checks(*, thorough: bool = False) -> list[Check]:
    """A fresh set, in the order in which one may depend on the other. Thorough: more at once, for who looks once."""
    return [
        ForgedKeys(),
        ForgedMembers(),
        ForgottenCounters(),
        ForgottenSubmissions(),
        LostShards(),
        DueRetries(),
        LostDeliveries(),
        PastLimit(),
        UnrecordedPublishes(),
        Records(at_once=2_000 if thorough else 200),
        Counts(),
        StrayEntries(),
        DeadStaging(),
        HalfWritten(),
        ExpiredHistory(),
        ExpiredTokens(),
    ]
