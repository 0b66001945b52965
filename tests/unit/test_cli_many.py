"""The commands about many jobs and about who did what: bulk, activity."""

from __future__ import annotations

import io
import json

import pytest

from tasks import bulk
from tasks.ledger import Ledger, control, monitor
from tests.factories import submitted
from tests.unit.test_cli import Ask, ask, environment, ledger

__all__ = ["ask", "environment", "ledger"]  # the fixtures of the other commands


def test_what_another_command_lists_is_acted_on(ask: Ask, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [submitted(ledger) for _ in range(3)]
    control.cancel(ledger, ids[0], by="bo")
    listed = ask("jobs", "--state", "queued", "--json").out
    monkeypatch.setattr("sys.stdin", io.StringIO(listed))
    answer = ask("bulk", "cancel", "-")
    assert answer.code == 0, answer.err
    [job] = [row.id for row in monitor.page(ledger)[0] if row.kind == "bulk action"]
    assert answer.out == (f"Job {job} was submitted: Cancel 2 jobs. No worker runs at the moment; it waits for one.\n")
    assert sorted(bulk.ids(ledger, job)) == sorted(ids[1:])
    assert monitor.job(ledger, job).owner == "ana"


def test_ids_come_one_a_line_too(ask: Ask, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("12e456789012\n\n 000000000002 \n"))
    found = ask("bulk", "delete", "-", "--json").json
    assert bulk.ids(ledger, found["id"]) == ["12e456789012", "000000000002"]
    assert found["outcome"]["total"] == 2


@pytest.mark.parametrize(
    ("arguments", "read", "said"),
    [
        (["cancel", "-"], "50 of 120; --limit shows more.", "is no id of a job"),
        (["cancel", "-"], "[{", "the standard input is no JSON of jobs"),
        (["explode", "a"], "", "'explode' is not one of cancel, force-stop, retry, delete, reprioritise"),
        (["cancel", *(f"j{at}" for at in range(26))], "", "this would cancel 26 jobs; say --yes if it shall"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    ask: Ask, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, arguments: list[str], read: str, said: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(read))
    answer = ask("bulk", *arguments)
    assert answer.code == 2
    assert said in answer.err
    assert monitor.page(ledger)[1] == 0


def test_nothing_to_do_is_said(ask: Ask, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("[]"))
    answer = ask("bulk", "cancel", "-")
    assert (answer.code, answer.err) == (
        1,
        "Nothing was submitted: no jobs were chosen; choose some, or search for others.\n",
    )


def test_who_did_what_is_listed_newest_first(ask: Ask, ledger: Ledger) -> None:
    job = submitted(ledger, owner="bo")
    control.cancel(ledger, job, by="ana\x1b[31m")
    lines = ask("activity").out.splitlines()
    assert lines[0].split() == ["WHEN", "WHO", "FROM", "ACTION", "ON", "RESULT"]
    assert "cancel  " in lines[1]
    assert "\x1b" not in lines[1]
    assert "bo" in lines[2]
    assert ask("activity", "--by", "bo").out.count(job) == 2
    assert "There is more" in ask("activity", "--limit", "1").out
    assert [row["action"] for row in json.loads(ask("activity", "--json").out)] == ["cancel", "submit"]
    assert ask("activity", "--by", "nobody").out == "Nobody has done such a thing.\n"
