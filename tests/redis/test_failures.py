"""Failures: written where they happen, grouped by cause, gone when they are mended, acknowledged on the record."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.feed import Feed
from dashboard.memory.mirror import Mirror
from dashboard.memory.query import parse
from tasks.errors import SubmissionRefused
from tasks.ledger import Ledger, control, failures, keys, store
from tasks.ledger.changes import Reader
from tasks.ledger.control import NewDocument
from tasks.ledger.failures import normalise
from tasks.ledger.records import text
from tasks.ledger.states import DocumentState
from tests.factories import claimed, finish_documents, run_to_publish, submitted


def board(ledger: Ledger) -> Mirror:
    return Feed(Reader(ledger), tick_s=0).look()


def entries(ledger: Ledger, stream: str) -> list[Any]:
    found: Any = ledger.redis.xrange(stream)
    return list(found)


def failed_job(ledger: Ledger, *names: str, failing: tuple[int, ...] = (0,)) -> str:
    """A job of documents of which some failed as damaged."""
    documents = [NewDocument(name, 100, sha256=f"{at:064x}") for at, name in enumerate(names)]
    job = submitted(ledger, documents=documents)
    run_to_publish(ledger, job, failing=failing)
    return job


def test_documents_that_fail_of_one_cause_are_one_group(ledger: Ledger) -> None:
    first = failed_job(ledger, "a.pdf", "b.pdf", "c.pdf", failing=(0, 1))
    second = failed_job(ledger, "d.pdf")
    failed_job(ledger, "e.docx")
    pdf, docx = sorted(board(ledger).groups(), key=lambda group: -group.documents)
    assert (pdf.cause, pdf.ending, pdf.documents) == ("It is damaged.", "pdf", 3)
    assert pdf.jobs == (second, first)
    assert (docx.ending, docx.documents) == ("docx", 1)
    assert sum(pdf.spark) == 3
    assert len(pdf.spark) == 24
    assert pdf.first_at <= pdf.last_at


def test_a_group_is_asked_for_with_a_query(ledger: Ledger) -> None:
    failed_job(ledger, "a.pdf", "b.pdf")
    kept = submitted(ledger, documents=[NewDocument("c.pdf", 1, sha256="0" * 64)], owner="ben")
    run_to_publish(ledger, kept, failing=[0])
    (group,) = board(ledger).groups(parse("owner:ben"))
    assert group.jobs == (kept,)


def test_the_names_of_failed_documents_are_searched(ledger: Ledger) -> None:
    job = failed_job(ledger, "first.pdf", "Lease-ÄRGER.pdf", failing=(1,))
    failed_job(ledger, "other.pdf")
    mirror = board(ledger)
    assert mirror.ids(parse("file:lease-ärger")) == (job,)
    assert mirror.ids(parse("file:nothing")) == ()


def test_what_was_said_of_failed_documents_is_searched_and_told_until_they_are_retried(ledger: Ledger) -> None:
    job = failed_job(ledger, "first.pdf", "second.pdf", failing=(1,))
    untouched = failed_job(ledger, "other.pdf", failing=())
    feed = Feed(Reader(ledger), tick_s=0)
    mirror = feed.look()
    assert mirror.ids(parse('error:"IS DAMAGED"')) == (job,)
    assert mirror.ids(parse("-error:damaged")) == (untouched,)
    assert mirror.ids(parse("damaged")) == (job,)
    assert mirror.reason(job) == "It is damaged."
    (group,) = mirror.groups()
    assert (mirror.reason(job, group.key), mirror.reason(job, "another")) == ("It is damaged.", "")
    store.close(ledger, job, 1, snapshot="000001")
    control.retry(ledger, job, by="bo")
    feed.hurry()
    assert feed.look().ids(parse("error:damaged")) == ()
    assert feed.look().reason(job) == ""


def test_a_retry_mends_the_failures_that_it_does_again(ledger: Ledger) -> None:
    job = failed_job(ledger, "a.pdf", "b.pdf", "c.pdf", failing=(0, 1))
    feed = Feed(Reader(ledger), tick_s=0)
    assert feed.look().groups()[0].documents == 2
    store.close(ledger, job, 1, snapshot="000001")
    control.retry(ledger, job, by="bo")
    assert feed.look().groups() == []
    for at in range(2):
        claim = claimed(ledger, job, str(at))
        finish_documents(ledger, claim, failing=[0])
        store.settle(ledger, job, str(at), claim.attempt, "done")
    (group,) = feed.look().groups()
    assert group.documents == 1


def test_a_job_that_fails_as_a_whole_stands_until_it_is_retried(ledger: Ledger) -> None:
    job = submitted(ledger)
    claim = run_to_publish(ledger, job)
    assert claim is not None
    store.close(ledger, job, claim.attempt, error="The disk is full: 3 MB are left.")
    feed = Feed(Reader(ledger), tick_s=0)
    (group,) = feed.look().groups()
    assert group.cause == "The disk is full: <size> are left."
    assert (group.jobs, group.documents) == ((job,), 0)
    control.retry(ledger, job, by="bo")
    assert feed.look().groups() == []


def test_a_job_whose_documents_all_failed_counts_by_its_documents_alone(ledger: Ledger) -> None:
    failed_job(ledger, "a.pdf")
    assert [group.documents for group in board(ledger).groups()] == [1]


def test_failures_of_deleted_jobs_vanish(ledger: Ledger) -> None:
    job = failed_job(ledger, "a.pdf")
    feed = Feed(Reader(ledger), tick_s=0)
    assert feed.look().groups()
    control.delete(ledger, job, by="bo")
    assert feed.look().groups() == []
    assert board(ledger).groups() == []


def test_a_lost_worker_s_document_is_a_failure_too(ledger: Ledger) -> None:
    job = submitted(ledger, documents=[NewDocument("scan.tiff", 1, sha256="0" * 64)])
    for _ in range(ledger.settings.shard_tries):
        claim = claimed(ledger, job)
        store.settle(ledger, job, "0", claim.attempt, "lost", how="it was killed", document=0)
    (group,) = board(ledger).groups()
    assert group.cause.startswith("Its worker was lost <number> times")
    assert group.ending == "tiff"


def test_long_texts_are_kept_short_and_whole_characters(ledger: Ledger) -> None:
    job = submitted(ledger)
    reporter = store.Reporter(ledger, claimed(ledger, job))
    reporter.document(0, DocumentState.FAILED, error="x" + "é" * 2000)
    reporter.check(now=True)
    ((_, fields),) = entries(ledger, keys.FAILURES)
    assert 490 <= len(fields[b"error"]) <= 500
    assert "\ufffd" not in text(fields[b"error"])


def test_a_cause_is_acknowledged_with_a_note_a_name_and_an_audit_row(ledger: Ledger) -> None:
    failed_job(ledger, "a.pdf")
    feed = Feed(Reader(ledger), tick_s=0)
    (group,) = feed.look().groups()
    assert group.acknowledged is None
    failures.acknowledge(ledger, group.key, "the supplier sends new ones", by="dora", cause=group.cause)
    (group,) = feed.look().groups()
    assert group.acknowledged is not None
    assert (group.acknowledged.by, group.acknowledged.note) == ("dora", "the supplier sends new ones")
    assert not group.again
    (_, row) = entries(ledger, keys.AUDIT)[-1]
    assert text(row[b"by"]) == "dora"
    assert "the supplier sends new ones" in text(row[b"result"])
    failed_job(ledger, "b.pdf")
    (group,) = feed.look().groups()
    assert group.again
    failures.withdraw(ledger, group.key, by="dora")
    assert feed.look().groups()[0].acknowledged is None


def test_what_names_no_group_is_not_acknowledged(ledger: Ledger) -> None:
    with pytest.raises(SubmissionRefused):
        failures.acknowledge(ledger, "*", "", by="dora")
    assert failures.acknowledged(ledger) == {}


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("Page 3 of 12 could not be read.", "Page <number> of <number> could not be read."),
        ("report-2024.pdf is encrypted.", "<file> is encrypted."),
        ('"my file.pdf" is 3.5 MB and at most 2 MB may be.', "<name> is <size> and at most <size> may be."),
        ("No such file: /srv/data/a b.pdf", "No such file: <path> <file>"),
        ("No such file: /srv/data/in/x.pdf", "No such file: <path>"),
        ("Object 0x7f3a at 1f0e9c3a77b2 is damaged", "Object <id> at <id> is damaged"),
        ("It takes 10,000 tokens,\n  at most 512.", "It takes <number> tokens, at most <number>."),
        ("429 from https://api.example.com/v1?x=3", "<number> from <address>"),
        ("utf-8 can't be read", "utf-8 can't be read"),
        ("", "No reason was given."),
    ],
)
def test_a_cause_leaves_out_what_differs_from_one_failure_to_the_next(message: str, cause: str) -> None:
    assert normalise(message) == cause


@given(st.text(max_size=600))
def test_a_cause_is_never_empty_or_long_and_always_the_same(message: str) -> None:
    cause = normalise(message)
    assert 0 < len(cause) <= 300
    assert normalise(message) == cause


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_messages_that_differ_in_numbers_alone_have_one_cause(one: int, other: int) -> None:
    def said(number: int) -> str:
        return f"The page {number} of a.pdf is damaged at byte {number}."

    assert normalise(said(one)) == normalise(said(other))
