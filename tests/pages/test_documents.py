"""Submitting documents: what is asked for, what is refused and where it says so, and that nothing goes twice."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import fakeredis
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import connection
from tasks import catalog
from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.ledger import Ledger, monitor
from tasks.recipe import Recipe
from tasks.snapshots import CollectionRow, Shelf
from tasks.submitting import submit_files
from tests.pages.conftest import Open, words_of
from tests.pages.test_job import click
from tests.snapshot_factories import lay

TWO_FILES = [("a.txt", b"first", "text/plain"), ("b.md", b"# second", "text/markdown")]


@pytest.fixture(autouse=True)
def a_published_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is known: AppTest's selectbox forgets a typed option in the next run, which a browser does not."""
    row = CollectionRow("contracts", "000001", 1, 1, 1, 1, datetime.now(UTC))
    monkeypatch.setattr(catalog, "collections", lambda settings, person: [row])


def filled(page: AppTest, collection: str = "contracts") -> AppTest:
    """The form with two files and a collection."""
    page.file_uploader[0].set_value(TWO_FILES)
    choose(page, collection)
    return page.run()


def choose(page: AppTest, collection: str) -> None:
    """Type a name into the collection's field."""
    field = next(one for one in page.selectbox if one.label == "Collection")
    if collection not in field.options:
        field.options.append(collection)  # AppTest knows no typing of a new option; a browser sends the text alike
    field.set_value(collection)


def submit_button(page: AppTest) -> bool:
    return not next(one for one in page.button if one.label == "Submit").disabled


def test_the_form_says_what_is_missing(open_page: Open) -> None:
    page = open_page("documents")
    assert not submit_button(page)
    assert page.main.caption[-1].value == "To submit, choose at least one document and a collection."


def test_files_are_submitted_with_the_person_and_the_recipe(open_page: Open, board_ledger: Ledger) -> None:
    page = filled(open_page("documents"))
    next(one for one in page.number_input if "Chunk size" in one.label).set_value(800).run()
    click(page, "Submit")
    [row], total = monitor.page(board_ledger)
    assert total == 1
    assert (row.owner, row.collection, row.documents_total) == ("local", "contracts", 2)
    assert Recipe.model_validate_json(row.recipe).chunk_size == 800
    assert [document.name for document in monitor.documents(board_ledger, row.id)] == ["a.txt", "b.md"]
    assert page.toast[0].value == "Submitted."
    assert f"Job {row.id} was submitted" in page.text[0].value
    assert not submit_button(page), "the form is a new one"


def test_time_limits_of_the_form_go_with_the_job(open_page: Open, board_ledger: Ledger) -> None:
    page = filled(open_page("documents"))
    for label, minutes in (("Minutes that the job may run", 30.0), ("Minutes that a document may take", 1.5)):
        next(one for one in page.number_input if one.label == label).set_value(minutes).run()
    click(page, "Submit")
    [row], _ = monitor.page(board_ledger)
    assert (row.time_limit_s, row.document_limit_s) == (1800.0, 90.0)


def test_a_second_click_and_a_rerun_submit_nothing_more(open_page: Open, board_ledger: Ledger) -> None:
    page = filled(open_page("documents"))
    button = next(one for one in page.button if one.label == "Submit")
    button.click().run()
    page.run()
    page.run()
    assert monitor.page(board_ledger)[1] == 1


def test_a_click_that_was_on_its_way_finds_the_same_job(open_page: Open, board_ledger: Ledger) -> None:
    page = filled(open_page("documents"))
    # What a first click had done when the second interrupted its run: submitted, the token not yet renewed.
    token = page.session_state["documents:token"]
    first = submit_files(board_ledger, [("a.txt", io.BytesIO(b"first"))], collection="c", owner="o", token=token)
    click(page, "Submit")
    assert monitor.page(board_ledger)[1] == 1
    assert first.job in page.text[0].value


@pytest.mark.parametrize("name", ["../up", "a b", ".hidden", "x" * 65, "naïve", "a/b"])
def test_a_bad_collection_name_gets_its_sentence_beside_the_field(open_page: Open, name: str) -> None:
    page = filled(open_page("documents"), name)
    assert "cannot name a collection" in page.error[0].value
    assert not submit_button(page)


def test_a_recipe_that_does_not_go_together_gets_its_sentence(open_page: Open) -> None:
    page = filled(open_page("documents"))
    next(one for one in page.number_input if "Overlap" in one.label).set_value(1000).run()
    assert page.error[0].value == "The overlap may be at most half of the chunk size."
    assert not submit_button(page)


def test_a_file_that_is_too_large_is_refused_with_a_sentence(tmp_path: Path, open_page: Open) -> None:
    small = settings_of.read(data=tmp_path, redis_url="redis://unused", upload_max_bytes=1024)
    ledger = Ledger(fakeredis.FakeRedis(), small, PROGRAM)
    connection.use(ledger, tick_s=0)
    page = open_page("documents")
    page.file_uploader[0].set_value([("big.txt", b"x" * 2000, "text/plain")])
    choose(page, "contracts")
    page.run()
    click(page, "Submit")
    assert "big.txt is larger than" in page.error[0].value
    assert monitor.page(ledger)[1] == 0


def test_names_from_outside_become_no_path(open_page: Open, board_ledger: Ledger) -> None:
    page = open_page("documents")
    page.file_uploader[0].set_value([("../../etc/<b>x</b>\0.txt", b"x", "text/plain")])
    choose(page, "contracts")
    page.run()
    click(page, "Submit")
    [row], _ = monitor.page(board_ledger)
    [document] = monitor.documents(board_ledger, row.id)
    assert ".." not in document.name
    assert "\0" not in document.name


def test_an_allowed_folder_of_the_server_is_submitted(tmp_path: Path, open_page: Open) -> None:
    inbox = tmp_path / "inbox"
    (inbox / "2026").mkdir(parents=True)
    (inbox / "2026" / "one.txt").write_text("one")
    (inbox / "two.txt").write_text("two")
    allowing = settings_of.read(data=tmp_path / "data", redis_url="redis://unused", folders=(inbox,))
    ledger = Ledger(fakeredis.FakeRedis(), allowing, PROGRAM)
    connection.use(ledger, tick_s=0)
    page = open_page("documents")
    page.segmented_control(key="source").set_value("Folder on the server").run()
    choose(page, "contracts")
    next(one for one in page.text_input if one.label.startswith("Folder inside")).set_value("2026").run()
    click(page, "Submit")
    [row], _ = monitor.page(ledger)
    assert row.documents_total == 1

    page.segmented_control(key="source").set_value("Folder on the server").run()
    choose(page, "contracts")
    next(one for one in page.text_input if one.label.startswith("Folder inside")).set_value("../..").run()
    click(page, "Submit")
    assert "not among those allowed" in page.error[0].value
    assert monitor.page(ledger)[1] == 1


def folder_page(tmp_path: Path, open_page: Open, names: list[str]) -> tuple[AppTest, Ledger]:
    """The form for a folder of the server; the collection holds a.txt and b.txt already."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for name in names:
        (inbox / name).write_text(name)
    with zipfile.ZipFile(inbox / "more.zip", "w") as packed:
        packed.writestr("inner.txt", "inner")
    data = tmp_path / "data"
    ledger = Ledger(
        fakeredis.FakeRedis(), settings_of.read(data=data, redis_url="redis://unused", folders=(inbox,)), PROGRAM
    )
    connection.use(ledger, tick_s=0)
    lay(Shelf(data), "contracts", "000001")
    page = open_page("documents")
    page.segmented_control(key="source").set_value("Folder on the server").run()
    choose(page, "contracts")
    next(one for one in page.checkbox if one.label.startswith("Also remove")).check().run()
    return page, ledger


def test_a_sync_that_removes_nothing_says_so(tmp_path: Path, open_page: Open) -> None:
    page, ledger = folder_page(tmp_path, open_page, ["a.txt", "b.txt"])
    assert "Nothing would be removed from contracts." in [one.value for one in page.main.caption]
    click(page, "Submit")
    [row], _ = monitor.page(ledger)
    assert (row.sync, row.documents_total) == ("careful", 3)
    assert "more.zip/inner.txt" in [document.name for document in monitor.documents(ledger, row.id)]


def test_a_sync_shows_what_would_go_and_stops_at_the_brake(tmp_path: Path, open_page: Open) -> None:
    page, ledger = folder_page(tmp_path, open_page, ["a.txt"])
    assert "1 document would be removed b.txt" in words_of(page)
    assert "1 of the 2 documents in contracts are not in the folder any more" in page.warning[0].value
    assert not (ledger.settings.data / "uploads").exists(), "a preview saves nothing"
    click(page, "Submit")
    assert "say yes to removing them" in page.error[0].value
    assert monitor.page(ledger)[1] == 0
    next(one for one in page.checkbox if one.label == "Remove them all the same").check().run()
    click(page, "Submit")
    [row], _ = monitor.page(ledger)
    assert row.sync == "yes"


def test_loose_files_are_never_a_sync(open_page: Open, board_ledger: Ledger) -> None:
    page = filled(open_page("documents"))
    assert not page.checkbox
    click(page, "Submit")
    [row], _ = monitor.page(board_ledger)
    assert row.sync == ""


def test_a_sync_without_a_folder_that_can_be_read_is_a_sentence(tmp_path: Path, open_page: Open) -> None:
    page, _ = folder_page(tmp_path, open_page, ["a.txt", "b.txt"])
    next(one for one in page.text_input if one.label.startswith("Folder inside")).set_value("gone").run()
    assert "there is no folder" in page.error[0].value


def test_without_an_allow_list_no_folder_of_the_server_is_offered(open_page: Open) -> None:
    page = open_page("documents")
    assert page.segmented_control(key="source").options == ["Files", "Folder"]


def test_an_estimate_is_shown_and_nothing_is_submitted(open_page: Open, board_ledger: Ledger) -> None:
    page = click(filled(open_page("documents")), "Estimate")
    words = words_of(page)
    assert "2 documents: 2 to embed, about 2 chunks" in words
    assert "A rule of thumb" in words
    assert monitor.page(board_ledger)[1] == 0
    assert not (board_ledger.settings.data / "uploads").exists()


def test_chunks_are_previewed_and_nothing_is_submitted(open_page: Open, board_ledger: Ledger) -> None:
    page = click(filled(open_page("documents")), "Preview")
    words = words_of(page)
    assert "1 chunk, 5 to 5 characters" in words
    assert "chunk 1 · 5 characters first" in words
    assert monitor.page(board_ledger)[1] == 0


def test_a_document_that_cannot_be_previewed_says_why(open_page: Open) -> None:
    page = open_page("documents")
    page.file_uploader[0].set_value([("broken.pdf", b"%PDF-1.7 nothing", "application/pdf")])
    page = click(page.run(), "Preview")
    assert "could not be read as a PDF" in page.error[0].value
