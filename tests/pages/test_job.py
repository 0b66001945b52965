"""The page of one job: start it, see it move, cancel it, see it cleaned up; and every state in between."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.pace import MOVING_S
from tasks.kinds import EXPORT, export_path
from tasks.ledger import Ledger, State, control, monitor, store
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
