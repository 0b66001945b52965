"""The record on disk as a real pool writes it: its janitor copies what people and workers did."""

from __future__ import annotations

import os
import signal
import socket

import psutil

from tasks import bulk
from tasks.ledger import Action, chain, fleet, keys
from tasks.ledger.records import text
from tests.acceptance.conftest import Stack, lines
from tests.waiting import wait_until


def copied(stack: Stack) -> list[dict[str, str]]:
    return [one["row"] for one in chain.oldest_first(stack.settings) if "row" in one]


def janitors(stack: Stack) -> list[int]:
    """Who has the lease: the child of its pool that is no worker."""
    *_, pool, _ = text(stack.ledger.redis.get(keys.JANITOR)).split("-")
    workers = {one.pid for one in fleet.workers(stack.ledger)}
    return [one.pid for one in psutil.Process(int(pool)).children() if one.pid not in workers]


def test_what_people_and_workers_do_is_copied_by_a_janitor_that_may_be_killed(stack: Stack) -> None:
    job = stack.submit(lines(2, "x"))
    stack.ended(job)
    wait_until(lambda: any(row["subject"] == job for row in copied(stack)), what="the copy of the submission")
    killed = janitors(stack)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    asked = bulk.request(stack.ledger, Action.DELETE, [job], by="bo").job
    assert len(killed) == 1
    stack.ended(asked)
    by_worker = wait_until(
        lambda: [row for row in copied(stack) if row["action"] == "delete"], what="the copy of what the worker did"
    )
    assert [(row["by"], row["subject"], row["origin"], row["outcome"]) for row in by_worker] == [
        ("bo", job, f"worker {socket.gethostname()}", "allowed")
    ]
    assert chain.verify(stack.settings, stack.ledger).faults == ()
    assert chain.standing(stack.ledger).faults == ()
