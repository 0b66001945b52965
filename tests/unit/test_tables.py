"""The tables as files: every line has a cell for every head, and what is in them is what the ledger says."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest
from rq import Queue

from dashboard import connection
from dashboard.cards import csv_export, tables
from dashboard.memory.matching import Sort
from dashboard.memory.query import parse
from dashboard.memory.queue_rates import QueueRates
from tasks.ledger import Ledger, keys
from tests.factories import run_to_publish, submitted

Made = dict[str, list[list[str]]]


@pytest.fixture
def files(fake_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """What the buttons would give, by the name of the file."""
    made: Made = {}

    def button(
        name: str, heads: Sequence[str], rows: Callable[[], Iterable[Sequence[object]]], *, key: str, label: str = ""
    ) -> None:
        read = csv.reader(io.StringIO(csv_export.encode(heads, rows()).decode("utf-8-sig")))
        made[name] = list(read)

    monkeypatch.setattr(csv_export, "button", button)
    connection.use(fake_ledger, tick_s=0.0)
    yield made
    connection.use(None)


def whole(file: list[list[str]]) -> list[dict[str, str]]:
    heads, *lines = file
    assert all(len(line) == len(heads) for line in lines)
    return [dict(zip(heads, line, strict=True)) for line in lines]


def test_the_jobs_that_a_search_means(fake_ledger: Ledger, files: Made) -> None:
    wanted = submitted(fake_ledger, 2, title="=HYPERLINK(1)")
    submitted(fake_ledger, collection="papers")
    tables.jobs(parse("collection:contracts"), Sort.read("-created"))
    (line,) = whole(files["jobs"])
    assert (line["job"], line["state"], line["documents"]) == (wanted, "queued", "2")
    assert line["title"] == "'=HYPERLINK(1)"


def test_the_documents_of_a_job_and_the_causes_of_failures(fake_ledger: Ledger, files: Made) -> None:
    job = submitted(fake_ledger, 2)
    tables.documents(job)
    assert [line["name"] for line in whole(files[f"documents-{job}"])] == ["paper-0.txt", "paper-1.txt"]
    run_to_publish(fake_ledger, job, failing=[0])
    tables.failures(parse(""))
    (line,) = whole(files["failures"])
    assert (line["cause"], line["documents"], line["jobs"]) == ("It is damaged.", "1", "1")
    (group,) = connection.shared().feed.look().groups()
    tables.cause(parse("owner:ana"), group.key)
    assert [line["job"] for line in whole(files["cause"])] == [job]
    tables.cause(parse("owner:ben"), group.key)
    assert whole(files["cause"]) == []


def test_workers_and_queues(fake_ledger: Ledger, files: Made) -> None:
    now = fake_ledger.now()
    fake_ledger.redis.zadd(keys.WORKERS, {"host-1-1": now, "host-1-2": now})
    tables.workers(["host-1-1"], 60)
    assert [line["worker"] for line in whole(files["workers"])] == ["host-1-1"]
    tables.queues()
    assert {"high", "default", "low"} <= {line["queue"] for line in whole(files["queues"])}
    shared = connection.shared()
    moment = [0.0]
    shared.readings.rates = QueueRates(lambda: moment[0])
    tables.queues()
    assert {line["in a minute"] for line in whole(files["queues"])} == {""}, "nothing is said of a moment"
    moment[0] = 30.0
    submitted(fake_ledger)
    tables.queues()
    told = {line["queue"]: (line["in a minute"], line["out a minute"]) for line in whole(files["queues"])}
    assert told["default"] == ("2", "0")
    assert told["low"] == ("0", "0")


def test_the_jobs_of_another_program_are_all_in_the_file(
    fake_ledger: Ledger, files: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "FOREIGN_READ", 2)
    queue = Queue("letters", connection=fake_ledger.redis)
    for number in range(5):
        queue.enqueue("letters.print", description=f"=Letter {number}")
    tables.foreign_jobs("letters", "queued")
    lines = whole(files["queue-queued"])
    assert [line["description"] for line in lines] == [f"'=Letter {number}" for number in range(5)]
    assert {line["state"] for line in lines} == {"queued"}
    monkeypatch.setattr(csv_export, "ROWS_MOST", 4)
    tables.foreign_jobs("letters", "queued")
    lines = whole(files["queue-queued"])
    assert len(lines) == 5
    assert lines[-1]["description"] == "Only the first 4 jobs are in this file."


def test_a_file_of_many_jobs_is_whole_and_leaves_nothing_behind(
    fake_ledger: Ledger, files: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_export, "ROWS_MOST", 2)
    jobs = [submitted(fake_ledger) for _ in range(4)]
    query, sort = parse("collection:contracts"), Sort("created", descending=False)
    tables.jobs(query, sort)
    assert [line["job"] for line in whole(files["jobs"])] == jobs
    memo = connection.shared().feed.look().memory.selection(query, sort).memo
    assert list(memo) == ["ids"]
