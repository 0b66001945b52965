"""The Queues page: all queues, the jobs of one, one RQ job of another program; one test for each state one can see."""

from __future__ import annotations

import json

import pytest
from rq import Queue, SimpleWorker

from tasks.ledger import Ledger, keys
from tests.factories import rq_id_of, submitted
from tests.pages.conftest import Open, button, html_of, words_of
from tests.redis.foreign_functions import add, fail

EMAILS = "emails"


def emails(ledger: Ledger) -> Queue:
    return Queue(EMAILS, connection=ledger.redis)


def work(ledger: Ledger) -> None:
    SimpleWorker([emails(ledger)], connection=ledger.redis).work(burst=True, logging_level="CRITICAL")


def test_ours_and_those_of_other_programs_are_listed(open_page: Open, board_ledger: Ledger) -> None:
    submitted(board_ledger, priority="high")
    emails(board_ledger).enqueue(fail, "x")
    work(board_ledger)
    emails(board_ledger).enqueue(add, 1, 2)
    page = open_page("queues")
    words = words_of(page)
    assert "4 queues 2 waiting 0 running 1 failed" in words
    assert "high No worker Ingestboard 1" in words
    assert "emails No worker another program 1" in words
    assert 'href="queues?queue=emails&amp;registry=failed"' in html_of(page)


def test_one_of_our_queues_is_paused_and_resumed(open_page: Open, board_ledger: Ledger) -> None:
    page = open_page("queues")
    button(page, "Pause low").click().run()
    assert board_ledger.redis.hexists(keys.PAUSED, "low")
    assert "low Paused Ingestboard · paused by local" in words_of(page)
    button(page, "Resume low").click().run()
    assert not board_ledger.redis.hexists(keys.PAUSED, "low")
    assert "Paused" not in words_of(page)


def test_queues_of_other_programs_have_no_pause(open_page: Open, board_ledger: Ledger) -> None:
    emails(board_ledger).enqueue(add, 1, 2)
    labels = [one.label for one in open_page("queues").button]
    assert labels == ["Pause high", "Pause default", "Pause low"]


def test_rq_suspended_is_said(open_page: Open, board_ledger: Ledger) -> None:
    board_ledger.redis.set(keys.RQ_SUSPENDED, 1)
    assert "RQ is suspended on this Redis" in open_page("queues").warning[0].value


def test_a_queue_shows_its_jobs_by_registry(open_page: Open, board_ledger: Ledger) -> None:
    broken = emails(board_ledger).enqueue(fail, "x", description="Send the letter")
    work(board_ledger)
    page = open_page("queues", queue=EMAILS, registry="failed")
    words = words_of(page)
    assert page.title[0].value == EMAILS
    assert f"Failed Send the letter {broken.id}" in words
    assert "1 to 1 of 1 job" in words
    assert f'href="queues?queue=emails&amp;registry=failed&amp;rq={broken.id}"' in html_of(page)
    assert "Nothing waits in this queue" in words_of(open_page("queues", queue=EMAILS))


def test_a_deep_page_is_in_the_address(open_page: Open, board_ledger: Ledger) -> None:
    emails(board_ledger).enqueue_many([Queue.prepare_data(add, args=(at, at)) for at in range(120)])
    page = open_page("queues", queue=EMAILS, page="3")
    assert "101 to 120 of 120 jobs" in words_of(page)
    assert "foreign_functions.add(119, 119)" in words_of(page)
    button(page, "Back").click().run()
    assert page.query_params["page"] == "2"
    assert "51 to 100 of 120 jobs" in words_of(page)


@pytest.mark.parametrize("page", ["0", "x", "99999999999"])
def test_a_page_that_there_is_not_is_no_error(open_page: Open, board_ledger: Ledger, page: str) -> None:
    emails(board_ledger).enqueue(add, 1, 2)
    assert "1 to 1 of 1 job" in words_of(open_page("queues", queue=EMAILS, page=page))


def test_a_queue_that_is_not_there_is_no_error(open_page: Open) -> None:
    page = open_page("queues", queue="<b>nope</b>")
    assert any("no queue of that name" in one.value for one in page.caption)
    assert "<b>nope" not in html_of(page)


def test_a_failed_job_shows_its_traceback_and_is_requeued(open_page: Open, board_ledger: Ledger) -> None:
    broken = emails(board_ledger).enqueue(fail, "no paper", meta={"tenant": 7})
    work(board_ledger)
    page = open_page("queues", queue=EMAILS, rq=broken.id)
    words = words_of(page)
    assert "RuntimeError: It cannot be done: no paper" in words
    assert "Stands in failed" in words
    assert "Keys of its meta tenant" in words
    button(page, "Requeue").click().run()
    assert emails(board_ledger).job_ids == [broken.id]
    assert "Stands in queued Place in the queue 1" in words_of(page)
    assert "Requeue" not in [one.label for one in page.button]


def test_a_job_is_deleted_after_a_question(open_page: Open, board_ledger: Ledger) -> None:
    first = emails(board_ledger).enqueue(add, 1, 2)
    emails(board_ledger).enqueue(add, 1, 2, depends_on=first)
    page = open_page("queues", queue=EMAILS, rq=first.id)
    button(page, "Delete…").click().run()
    assert "1 job that waits for it would wait for ever" in page.text[0].value
    button(page, "Delete the job").click().run()
    assert emails(board_ledger).job_ids == []
    assert "rq" not in page.query_params
    assert page.title[0].value == EMAILS


def test_a_question_can_be_answered_with_no(open_page: Open, board_ledger: Ledger) -> None:
    job = emails(board_ledger).enqueue(add, 1, 2)
    page = open_page("queues", queue=EMAILS, rq=job.id)
    button(page, "Delete…").click().run()
    button(page, "Keep it").click().run()
    assert emails(board_ledger).job_ids == [job.id]
    assert not page.text


def test_a_job_whose_worker_is_gone_is_not_stopped_and_that_is_said(open_page: Open, board_ledger: Ledger) -> None:
    job = emails(board_ledger).enqueue(add, 1, 2)
    board_ledger.redis.hset(keys.rq_job(job.id), mapping={"status": "started", "worker_name": "dead"})
    page = open_page("queues", queue=EMAILS, rq=job.id)
    button(page, "Stop…").click().run()
    button(page, "Stop the job").click().run()
    assert "worker dead does not listen any more" in page.warning[0].value


def test_after_a_stop_the_page_says_that_it_was_asked_and_then_what_became_of_it(
    open_page: Open, board_ledger: Ledger
) -> None:
    job = emails(board_ledger).enqueue(add, 1, 2)
    board_ledger.redis.hset(keys.rq_job(job.id), mapping={"status": "started", "worker_name": "theirs"})
    with board_ledger.redis.pubsub() as worker:  # type: ignore[no-untyped-call]
        worker.subscribe(keys.rq_commands("theirs"))
        page = open_page("queues", queue=EMAILS, rq=job.id)
        button(page, "Stop…").click().run()
        button(page, "Stop the job").click().run()
        assert "Worker theirs was asked to stop it 0 s ago" in page.info[0].value
        worker.get_message(timeout=5)
        order = worker.get_message(timeout=5)
        assert order is not None
        assert json.loads(order["data"]) == {"command": "stop-job", "job_id": job.id}
    board_ledger.redis.hset(keys.rq_job(job.id), "status", "stopped")
    page.run()
    assert "Its worker stopped it: the job is stopped now." in page.success[0].value
    assert not page.info


def test_all_that_failed_is_requeued_with_the_count_first(open_page: Open, board_ledger: Ledger) -> None:
    emails(board_ledger).enqueue_many([Queue.prepare_data(fail, args=("x",)) for _ in range(3)])
    work(board_ledger)
    page = open_page("queues", queue=EMAILS, registry="failed")
    button(page, "Requeue all…").click().run()
    assert "3 failed jobs of emails would wait in the queue again" in page.text[0].value
    button(page, "Requeue them").click().run()
    assert len(emails(board_ledger).job_ids) == 3
    assert "Nothing failed" in words_of(page)


def test_above_25_the_count_must_be_typed(open_page: Open, board_ledger: Ledger) -> None:
    emails(board_ledger).enqueue_many([Queue.prepare_data(add, args=(1, 2)) for _ in range(30)])
    page = open_page("queues", queue=EMAILS)
    button(page, "Delete all…").click().run()
    assert button(page, "Delete them").disabled
    page.text_input(key="deciding-typed").set_value("29").run()
    assert button(page, "Delete them").disabled
    page.text_input(key="deciding-typed").set_value("30").run()
    button(page, "Delete them").click().run()
    assert emails(board_ledger).job_ids == []


def test_parts_of_our_own_jobs_lead_to_the_board(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    page = open_page("queues", queue="default")
    assert not [one for one in page.button if "all" in one.label]
    page = open_page("queues", queue="default", rq=rq_id_of(board_ledger, job, "0"))
    assert f'href="job?job={job}"' in html_of(page)
    assert not [one for one in page.button if one.label in ("Delete…", "Requeue", "Stop…")]


def test_a_job_that_is_gone_is_said_to_be(open_page: Open) -> None:
    words = words_of(open_page("queues", queue=EMAILS, rq="nope"))
    assert "There is no RQ job nope on this Redis any more" in words


def test_what_other_programs_wrote_is_escaped(open_page: Open, board_ledger: Ledger) -> None:
    nasty = "<script>alert('x')</script>"
    queue = Queue(f"q{nasty}", connection=board_ledger.redis)
    job = queue.enqueue(add, 1, 2, description=nasty, meta={nasty: 1}, job_id="one")
    board_ledger.redis.hset(keys.rq_job(job.id), mapping={"status": nasty, "worker_name": nasty, "exc_info": nasty})
    for parameters in ({}, {"queue": queue.name}, {"queue": queue.name, "rq": "one"}):
        assert "<script>alert" not in html_of(open_page("queues", **parameters))
