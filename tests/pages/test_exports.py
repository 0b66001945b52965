"""The route that gives an export away: only a finished export, only its own file, and any part of it."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from dashboard import exports
from dashboard.gate.door import Door
from tasks.kinds import export_path
from tasks.ledger import Ledger, store
from tests.factories import claimed, submitted
from tests.pages.test_job import exporting

BODY = bytes(range(256)) * 8


@pytest.fixture
def client(board_ledger: Ledger) -> TestClient:
    beside_pages = Starlette(routes=[Route(exports.ROUTE, exports.download)])
    return TestClient(Door(beside_pages, board_ledger.settings))


def exported(ledger: Ledger, *, done: bool = True) -> str:
    """An export whose file is there."""
    job = exporting(ledger)
    if done:
        store.close(ledger, job, claimed(ledger, job, store.PUBLISH).attempt, done="Done.")
    path = export_path(ledger.settings.data, job, "contracts", "jsonl")
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    return job


def test_a_finished_export_is_downloaded_under_its_name(client: TestClient, board_ledger: Ledger) -> None:
    answer = client.get(f"/exports/{exported(board_ledger)}")
    assert answer.content == BODY
    assert answer.headers["content-disposition"] == 'attachment; filename="contracts.jsonl"'


def test_a_download_that_broke_off_goes_on(client: TestClient, board_ledger: Ledger) -> None:
    answer = client.get(f"/exports/{exported(board_ledger)}", headers={"Range": "bytes=1000-"})
    assert (answer.status_code, answer.content) == (206, BODY[1000:])


@pytest.mark.parametrize("path", ["nobody", "..%2F..%2Fetc", "%00"])
def test_what_is_no_job_is_not_found(client: TestClient, path: str) -> None:
    assert client.get(f"/exports/{path}").status_code == 404


def test_a_job_of_another_kind_has_no_file(client: TestClient, board_ledger: Ledger) -> None:
    assert client.get(f"/exports/{submitted(board_ledger)}").status_code == 404


def test_an_export_that_is_not_done_is_not_given_away(client: TestClient, board_ledger: Ledger) -> None:
    assert client.get(f"/exports/{exported(board_ledger, done=False)}").status_code == 404


def test_a_file_that_was_taken_away_is_a_sentence(client: TestClient, board_ledger: Ledger) -> None:
    job = exported(board_ledger)
    export_path(board_ledger.settings.data, job, "contracts", "jsonl").unlink()
    answer = client.get(f"/exports/{job}")
    assert (answer.status_code, answer.text) == (404, "There is no such export any more; export the snapshot again.\n")
