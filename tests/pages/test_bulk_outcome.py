"""The page of a bulk action: how far it is, and which jobs refused, with the reason."""

from __future__ import annotations

from tasks import bulk
from tasks.ingest.kinds import bulk as runner
from tasks.ledger import Action, Ledger, control
from tests.factories import submitted
from tests.pages.conftest import Open, html_of, words_of
from tests.redis.test_bulk import run, work_of


def test_what_refused_stands_on_its_page(open_page: Open, board_ledger: Ledger) -> None:
    ids = [submitted(board_ledger) for _ in range(3)]
    control.cancel(board_ledger, ids[1], by="ana")
    job = bulk.request(board_ledger, Action.CANCEL, ids, by="bo", shown='state:queued "<b>"').job
    run(board_ledger, job)
    page = open_page("job", job=job)
    words = words_of(page)
    assert 'Outcome 2 canceled, 1 had ended already. Chosen by state:queued "<b>"' in words
    assert f"{ids[1]} Job {ids[1]} is canceled" in words
    assert f'href="job?job={ids[1]}"' in html_of(page)
    assert "&lt;b&gt;" in html_of(page)


def test_while_it_goes_on_it_says_what_is_left(open_page: Open, board_ledger: Ledger) -> None:
    job = bulk.request(board_ledger, Action.CANCEL, [submitted(board_ledger) for _ in range(3)], by="bo").job
    runner._count(work_of(board_ledger, job), runner.Portion(done=1), 0, 1)
    assert "1 canceled. 2 jobs to go." in words_of(open_page("job", job=job))


def test_before_it_starts_there_is_no_outcome(open_page: Open, board_ledger: Ledger) -> None:
    job = bulk.request(board_ledger, Action.CANCEL, [submitted(board_ledger)], by="bo").job
    assert "Outcome" not in words_of(open_page("job", job=job))
