"""The page of one job: start it, see it move, cancel it, see it cleaned up; and every state in between."""

from __future__ import annotations

import time

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.memory.mirror import Mirror
from dashboard.pace import MOVING_S
from tasks.kinds import EXPORT, export_path
from tasks.ledger import Ledger, State, control, keys, monitor, presence, store
from tests.factories import claimed, submitted
from tests.pages.conftest import Open, html_of, words_of
from tests.pages.stub_worker import StubWorker


def click(page: AppTest, label: str) -> AppTest:
    """Click the button that says so."""
    found = [one for one in page.button if one.label == label]
    assert found, f"no button {label!r} among {[one.label for one in page.button]}"
    return found[0].click().run()


def labels(page: AppTest) -> list[str]:
    return [one.label for one in page.button]


def test_a_job_is_watched_canceled_and_cleaned_up(
    open_page: Open, board_ledger: Ledger, paces: list[float | None]
) -> None:
    job = submitted(board_ledger, 3, title="Minutes of May")
    page = open_page("job", job=job)
    assert "Queued Minutes of May" in words_of(page)
    assert labels(page) == ["Cancel"]

    worker = StubWorker(board_ledger, job)
    worker.appear()
    worker.start()
    worker.enter("load", "Reading paper-0.txt", fraction=0.5)
    page.run()
    assert "Running Minutes of May" in words_of(page)
    assert "Reading paper-0.txt." in words_of(page)
    assert paces[-1] == MOVING_S

    click(page, "Cancel")
    assert labels(page)[-2:] == ["Keep it running", "Cancel the job"]
    click(page, "Cancel the job")
    assert monitor.job(board_ledger, job).state is State.CANCELING
    assert "stops at its next checkpoint" in page.toast[0].value
    assert "asked for the cancel" in words_of(page)

    assert worker.notice_cancel()
    page.run()
    words = words_of(page)
    assert "Canceled Minutes of May" in words
    assert "The work stopped at a checkpoint" in words
    assert "Nothing was published" in words
    assert "Queued paper" not in words, "a document of a canceled job waits for nothing"
    assert paces[-1:] == [None], "a final job is not polled"
    assert labels(page) == ["Retry all", "Delete"]


def test_the_link_of_the_board_asks_before_it_cancels(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    page = open_page("job", job=job, ask="cancel")
    assert "Cancel the job" in labels(page)
    assert monitor.job(board_ledger, job).state is State.QUEUED, "following a link changes nothing"
    click(page, "Cancel the job")
    assert monitor.job(board_ledger, job).state is State.CANCELED


def test_a_question_survives_a_rerun_and_can_be_declined(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    page = open_page("job", job=job, ask="cancel")
    page.run()
    assert "Keep it" in labels(page)
    click(page, "Keep it")
    assert "Keep it" not in labels(page)
    assert monitor.job(board_ledger, job).state is State.QUEUED


def test_a_lost_race_is_a_sentence(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    page = open_page("job", job=job, ask="cancel")
    control.cancel(board_ledger, job, by="someone faster")
    click(page, "Cancel the job")
    assert "canceled" in page.warning[0].value
    assert not page.exception


def test_an_action_that_the_state_no_longer_allows_is_not_asked(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    control.cancel(board_ledger, job, by="ana")
    page = open_page("job", job=job, ask="cancel")
    assert "nothing to cancel" in page.warning[0].value


@pytest.mark.parametrize("ask", ["rm -rf", "<b>", ""])
def test_a_question_that_we_do_not_know_is_not_asked(open_page: Open, board_ledger: Ledger, ask: str) -> None:
    assert labels(open_page("job", job=submitted(board_ledger), ask=ask)) == ["Cancel"]


def test_a_partial_job_shows_reasons_and_retries_what_failed(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger, 3)
    worker = StubWorker(board_ledger, job)
    worker.work_through(failing=[1])
    worker.publish()
    page = open_page("job", job=job)
    words = words_of(page)
    assert "Partial" in words
    assert "Failed paper-1.txt The file is damaged; save it again and upload it." in words
    assert "2 / 3 documents done" in words
    assert labels(page) == ["Retry failed", "Retry all", "Delete"]
    click(page, "Retry failed")
    row = monitor.job(board_ledger, job)
    assert (row.state, row.attempt) == (State.QUEUED, 2)
    assert "1 document" in page.toast[0].value


def test_a_completed_job_shows_stages_events_and_recipe(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    worker = StubWorker(board_ledger, job)
    worker.start()
    worker.enter("load")
    worker.enter("embed")
    worker.finish(cached=True)
    worker.settle()
    worker.publish("000007")
    page = open_page("job", job=job)
    words = words_of(page)
    assert words.index("load") < words.index("embed") < words.index("publish")
    assert "Submitted by ana" in words
    assert "characters, 1,200 characters, overlap 120" in words
    assert "000007" in words
    assert "cached" in words


def test_a_force_stop_says_what_it_does(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    worker = StubWorker(board_ledger, job)
    worker.start()
    page = open_page("job", job=job)
    click(page, "Force stop")
    assert "killed without waiting" in page.text[0].value
    page.button(key="answer-yes").click().run()
    row = monitor.job(board_ledger, job)
    assert row.stop is not None
    assert row.stop.forced
    store.settle(board_ledger, job, "0", 1, "canceled", how="killed")
    page.run()
    assert "the work horse was killed" in words_of(page)


def test_the_receipt_of_a_stop_tells_what_is_kept_and_what_a_retry_would_cost(
    open_page: Open, board_ledger: Ledger
) -> None:
    job = submitted(board_ledger, 3)
    worker = StubWorker(board_ledger, job)
    worker.appear()
    worker.start()
    worker.finish()
    worker.settle()
    control.cancel(board_ledger, job, by="ana")
    words = words_of(open_page("job", job=job))
    assert "How between two parts" in words
    assert "1 finished document is kept as an artifact; a retry does not embed it again." in words
    assert "A retry finds 1 document ready and has 2 to do; how long that takes is not known yet." in words


def test_one_failed_document_is_retried_from_beside_it(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger, 4)
    worker = StubWorker(board_ledger, job)
    worker.work_through(failing=[1, 3])
    worker.publish()
    html = html_of(open_page("job", job=job))
    assert html.count('aria-label="Retry paper-') == 2
    assert f'href="job?job={job}&amp;ask=retry&amp;document=4"' in html
    page = open_page("job", job=job, ask="retry", document="4")
    assert "paper-3.txt is done again" in page.text[0].value
    assert monitor.job(board_ledger, job).state is State.PARTIAL, "following a link changes nothing"
    click(page, "Retry the document")
    states = [one.state.value for one in monitor.documents(board_ledger, job)]
    assert states == ["completed", "failed", "completed", "queued"]
    assert "Retry paper-" not in html_of(open_page("job", job=job)), "a job that waits is not retried"


@pytest.mark.parametrize("document", ["0", "99", "-1", "x", "", "<b>"])
def test_a_document_that_there_is_not_is_not_retried(open_page: Open, board_ledger: Ledger, document: str) -> None:
    job = submitted(board_ledger, 2)
    control.cancel(board_ledger, job, by="ana")
    page = open_page("job", job=job, ask="retry", document=document)
    assert "Retry the document" not in labels(page)


def test_another_priority_moves_the_job(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    page = open_page("job", job=job)
    page.selectbox(key=f"priority:{job}").set_value("high").run()
    assert monitor.job(board_ledger, job).priority == "high"
    assert "priority high" in page.toast[0].value
    control.reprioritise(board_ledger, job, "low", by="bo")
    page.run()
    assert page.selectbox(key=f"priority:{job}").value == "low"


def gone_quiet(ledger: Ledger, job: str, **fields: float) -> None:
    """As if that many seconds had passed since then."""
    now = ledger.now()
    ledger.redis.hset(keys.job(job), mapping={name: now - seconds for name, seconds in fields.items()})


def test_a_stalled_job_shows_its_remedy_and_is_stopped_by_it(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    worker = StubWorker(board_ledger, job)
    worker.appear()
    worker.start()
    page = open_page("job", job=job)
    assert "Force it to stop" not in labels(page)
    gone_quiet(board_ledger, job, progressed_at=400)
    page.run()
    assert "Stalled." in page.markdown[0].value
    click(page, "Force it to stop")
    page.button(key="answer-yes").click().run()
    row = monitor.job(board_ledger, job)
    assert row.stop is not None
    assert row.stop.forced


def test_what_is_wrong_is_told_by_the_clock_of_the_server(
    open_page: Open, board_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submitted(board_ledger)
    worker = StubWorker(board_ledger, job)
    worker.appear()
    worker.start()
    assert "Stalled." not in "".join(one.value for one in open_page("job", job=job).markdown)
    # As on a host whose clock is an hour behind that of Redis.
    monkeypatch.setattr(Mirror, "now", lambda mirror: time.time() + 3600)
    assert "Stalled." in "".join(one.value for one in open_page("job", job=job).markdown)


def test_a_worker_that_does_not_respond_is_written_off_from_the_job(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    worker = StubWorker(board_ledger, job)
    worker.appear()
    worker.start()
    control.cancel(board_ledger, job, by="ana")
    gone_quiet(board_ledger, job, stop_asked_at=25)
    page = open_page("job", job=job)
    assert "does not respond" in page.text[0].value
    click(page, "Write the worker off")
    page.button(key="answer-yes").click().run()
    assert monitor.job(board_ledger, job).state is State.CANCELED
    assert "Its worker did not answer and was written off" in words_of(page)


def test_a_job_past_its_limit_says_so(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger, time_limit_s=300.0, document_limit_s=5.0)
    worker = StubWorker(board_ledger, job)
    worker.appear()
    worker.start()
    gone_quiet(board_ledger, job, started_at=400)
    assert worker.notice_cancel()
    words = words_of(open_page("job", job=job))
    assert "Failed" in words
    assert "It ran longer than its time limit of 300 s" in words
    assert "Its time limit of 5 min 00 s was over" in words
    assert "Limit of a document 5 s" in words


def test_a_job_is_deleted_only_after_the_question(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    control.cancel(board_ledger, job, by="ana")
    page = open_page("job", job=job)
    click(page, "Delete")
    assert monitor.job(board_ledger, job).state is State.CANCELED
    click(page, "Delete the job")
    assert "No such job" in words_of(page)


def test_an_unknown_job_is_a_friendly_sentence(open_page: Open) -> None:
    page = open_page("job", job="<script>")
    assert "There is no job <script>" in words_of(page)
    assert "<script>" not in html_of(page)


def test_without_a_job_the_page_says_how_to_choose_one(open_page: Open) -> None:
    assert "No job chosen" in words_of(open_page("job"))


def exporting(ledger: Ledger) -> str:
    """A job that exports a collection."""
    arguments = EXPORT.check('{"format": "jsonl", "vectors": false}').model_dump_json()
    return control.request(
        ledger, kind=EXPORT.name, collection="contracts", arguments=arguments, owner="ana", title="Export contracts"
    ).job


def test_a_job_without_documents_shows_its_kind_and_what_it_did(open_page: Open, board_ledger: Ledger) -> None:
    job = exporting(board_ledger)
    page = open_page("job", job=job)
    words = words_of(page)
    assert "Queued Export contracts export" in words
    assert "Documents" not in words
    assert "documents done" not in words
    assert "Asked format jsonl, vectors no" in words
    claim = claimed(board_ledger, job, store.PUBLISH)
    store.close(board_ledger, job, claim.attempt, done="contracts is in contracts.jsonl.")
    page.run()
    words = words_of(page)
    assert "contracts is in contracts.jsonl." in words
    assert "No stage has been entered yet." not in words, "it ended without one"
    assert labels(page) == ["Retry all", "Delete"]


def test_a_finished_export_is_offered_while_its_file_is_there(open_page: Open, board_ledger: Ledger) -> None:
    job = exporting(board_ledger)
    page = open_page("job", job=job)
    assert "Download" not in words_of(page)
    claim = claimed(board_ledger, job, store.PUBLISH)
    store.close(board_ledger, job, claim.attempt, done="Done.")
    path = export_path(board_ledger.settings.data, job, "contracts", "jsonl")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 1200)
    page.run()
    assert "Download contracts.jsonl 1.2 kB" in words_of(page)
    assert f'href="exports/{job}"' in html_of(page)
    path.unlink()
    page.run()
    assert "The exported file is no longer there; export the snapshot again." in words_of(page)


def test_a_canceled_job_without_documents_speaks_of_none(open_page: Open, board_ledger: Ledger) -> None:
    job = exporting(board_ledger)
    page = open_page("job", job=job)
    click(page, "Cancel")
    assert "stops" in page.text[0].value or "will be canceled at once" in page.text[0].value
    click(page, "Cancel the job")
    words = words_of(page)
    assert "It did not do what it was asked." in words
    assert "No document was finished" not in words


def test_many_documents_are_paged(open_page: Open, board_ledger: Ledger) -> None:
    page = open_page("job", job=submitted(board_ledger, 250))
    assert "paper-199.txt" in words_of(page)
    assert "paper-200.txt" not in words_of(page)
    page.number_input(key="documents_page").set_value(2).run()
    assert "paper-249.txt" in words_of(page)


def test_the_name_in_the_sidebar_goes_on_the_record(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    page = open_page("job", job=job)
    page.user = {}
    page.run()
    page.sidebar.text_input(key="your_name").set_value("Zoë").run()
    click(page, "Cancel")
    click(page, "Cancel the job")
    stop = monitor.job(board_ledger, job).stop
    assert stop is not None
    assert stop.asked_by == "Zoë"


def test_a_waiting_job_says_why_it_does_not_run(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    assert "Why it does not run: No worker is alive" in words_of(open_page("job", job=job))


def test_who_else_looks_at_a_job_is_said(open_page: Open, board_ledger: Ledger) -> None:
    job = submitted(board_ledger)
    assert "looking at this job" not in words_of(open_page("job", job=job)), "nobody but the viewer"
    presence.look(board_ledger, job, "<b>ben")
    page = open_page("job", job=job)
    assert "<b>ben is looking at this job." in words_of(page)
    assert "<b>ben" not in html_of(page)
