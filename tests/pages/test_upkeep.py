"""The upkeep of a collection: comparing, exporting, pruning, rebuilding, gates, and what a gate held back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import connection
from dashboard.format import NOTHING
from dashboard.search import Answer, Hit
from tasks.access import Person
from tasks.kinds import EXPORT, PRUNE, PUBLISH_HELD
from tasks.ledger import Ledger, monitor
from tasks.ledger.records import Gates, JobRow
from tasks.recipe import Recipe
from tasks.snapshots import DocumentEntry, Shelf, manifest
from tasks.snapshots.held import NOTE, held
from tests.factories import submitted
from tests.pages.conftest import Open, html_of, words_of
from tests.pages.test_job import click
from tests.snapshot_factories import lay

NAME = "contracts"
FIRST = {"a.txt": 3, "b.txt": 4}
SECOND = {"b.txt": 5, "<b>c</b>.txt": 2}


@pytest.fixture
def shelf(board_ledger: Ledger) -> Shelf:
    """A collection of two versions: a.txt went, b.txt changed, a third came."""
    shelf = Shelf(board_ledger.settings.data)
    publish(shelf, "000001", FIRST)
    publish(shelf, "000002", SECOND, recipe="beefbeefbeefbeef")
    return shelf


def publish(
    shelf: Shelf, version: str, documents: dict[str, int], recipe: str = "feedfacefeedface", base: str = ""
) -> None:
    made = lay(shelf, NAME, version, documents=len(documents), chunks=sum(documents.values()), recipe=recipe, base=base)
    write(made, documents)


def write(folder: Path, documents: dict[str, int]) -> None:
    entries = [
        DocumentEntry(name=name, sha256=hashlib.sha256(f"{name} {chunks}".encode()).hexdigest(), chunks=chunks)
        for name, chunks in documents.items()
    ]
    (folder / manifest.DOCUMENTS).write_bytes(manifest.encode_documents(entries))


def hold(shelf: Shelf, job: str, documents: dict[str, int], reason: str) -> None:
    """What a gate leaves for a person."""
    made = lay(shelf, NAME, "000009", current=False, published=False, job=job, base="000002", documents=len(documents))
    write(made, documents)
    (made / NOTE).write_text(json.dumps({"brought": list(documents), "removed": [], "reason": reason}))
    made.rename(shelf.held_path(NAME, job))


def view(open_page: Open, label: str) -> AppTest:
    return open_page("collections", name=NAME, view=label)


def job(ledger: Ledger) -> JobRow:
    [row], _ = monitor.page(ledger)
    return row


def test_the_first_view_is_the_search_and_the_snapshots(open_page: Open, shelf: Shelf) -> None:
    page = open_page("collections", name=NAME)
    assert [tab.label for tab in page.tabs] == ["Snapshots", "Compare", "Upkeep"]
    assert "000002 Current" in words_of(page)
    assert [one.label for one in page.button] == ["Roll back…"], "only the open view is computed"


def test_the_current_snapshot_is_compared_with_the_one_before(open_page: Open, shelf: Shelf) -> None:
    page = view(open_page, "Compare")
    words = words_of(page)
    assert "1 added 1 removed 1 changed 0 the same 7 chunks before 7 chunks after" in words
    assert f"Added <b>c</b>.txt {NOTHING} 2" in words
    assert f"Removed a.txt 3 {NOTHING}" in words
    assert "Changed b.txt 4 5" in words
    assert "The recipe changed from feedfacefeedface to beefbeefbeefbeef." in words
    assert "<b>c</b>" not in html_of(page), "names from outside are escaped"


def test_after_a_rebuild_of_an_older_one_it_is_compared_with_its_base(open_page: Open, shelf: Shelf) -> None:
    publish(shelf, "000003", FIRST, base="000001")
    assert next(one for one in view(open_page, "Compare").selectbox if one.label == "From").value == "000001"


def test_any_two_snapshots_are_compared(open_page: Open, shelf: Shelf) -> None:
    page = view(open_page, "Compare")
    before = next(one for one in page.selectbox if one.label == "From")
    after = next(one for one in page.selectbox if one.label == "To")
    assert before.options == ["000002 (current)", "000001"]
    after.set_value("000001")
    before.set_value("000002").run()
    assert f"Removed <b>c</b>.txt 2 {NOTHING}" in words_of(page)
    next(one for one in page.selectbox if one.label == "To").set_value("000002").run()
    assert page.main.caption[0].value == "Choose two different snapshots."


def test_of_many_changes_the_first_are_shown_with_their_count(open_page: Open, shelf: Shelf) -> None:
    publish(shelf, "000003", {f"d{at:04}.txt": 1 for at in range(1000)})
    words = words_of(view(open_page, "Compare"))
    assert "The first 200 of 1,002 documents are shown." in words
    assert "d0199.txt" in words
    assert "d0200.txt" not in words


def test_a_damaged_snapshot_is_a_sentence(open_page: Open, shelf: Shelf) -> None:
    (shelf.path(NAME, "000001") / manifest.DOCUMENTS).write_bytes(b"\0")
    page = view(open_page, "Compare")
    assert NAME in page.error[0].value


def test_one_snapshot_has_nothing_to_be_compared_with(open_page: Open, board_ledger: Ledger) -> None:
    publish(Shelf(board_ledger.settings.data), "000001", FIRST)
    assert "There is one snapshot so far" in view(open_page, "Compare").main.caption[0].value


def test_an_export_is_a_job_with_a_link_to_it(open_page: Open, shelf: Shelf, board_ledger: Ledger) -> None:
    page = view(open_page, "Upkeep")
    next(one for one in page.selectbox if one.label == "Snapshot").set_value("000001")
    next(one for one in page.selectbox if one.label == "Format").set_value("jsonl")
    next(one for one in page.checkbox if one.label == "With the vectors").uncheck()
    page.button(key="export").click().run()
    row = job(board_ledger)
    assert (row.kind, row.collection, row.owner) == (EXPORT.name, NAME, "local")
    assert json.loads(row.arguments) == {"format": "jsonl", "version": "000001", "vectors": False}
    assert row.id in page.text[0].value
    assert page.get("page_link")[-1].proto.label == "Watch the job"


def test_pruning_says_what_would_go_before_it_asks(open_page: Open, shelf: Shelf, board_ledger: Ledger) -> None:
    page = view(open_page, "Upkeep")
    next(one for one in page.number_input if one.label == "Keep the newest").set_value(1)
    click(page, "Prune…")
    assert "000001 would go for good" in page.text[0].value
    assert monitor.page(board_ledger)[1] == 0
    click(page, "Prune")
    row = job(board_ledger)
    assert (row.kind, json.loads(row.arguments)) == (PRUNE.name, {"keep_last": 1, "older_than_days": None})
    assert shelf.path(NAME, "000001").is_dir(), "a worker removes it, not the page"


def test_pruning_nothing_is_said_and_not_asked(open_page: Open, shelf: Shelf, board_ledger: Ledger) -> None:
    page = click(view(open_page, "Upkeep"), "Prune…")
    assert page.info[0].value == "Nothing would go."
    assert "Keep them" not in [one.label for one in page.button]


def test_a_rebuild_asks_first_and_takes_every_document(open_page: Open, shelf: Shelf, board_ledger: Ledger) -> None:
    uploads = board_ledger.settings.data / "uploads"
    uploads.mkdir(parents=True)
    for name, chunks in SECOND.items():
        (uploads / hashlib.sha256(f"{name} {chunks}".encode()).hexdigest()).write_bytes(b"x")
    page = view(open_page, "Upkeep")
    next(one for one in page.number_input if "Chunk size" in one.label).set_value(600).run()
    click(page, "Rebuild…")
    assert "2 documents would be split again, by characters with 600 characters a chunk" in page.text[0].value
    click(page, "Rebuild")
    row = job(board_ledger)
    assert (row.kind, row.documents_total, Recipe.model_validate_json(row.recipe).chunk_size) == ("rebuild", 2, 600)


def test_a_rebuild_without_the_bytes_is_a_sentence(open_page: Open, shelf: Shelf, board_ledger: Ledger) -> None:
    page = click(view(open_page, "Upkeep"), "Rebuild…")
    click(page, "Rebuild")
    assert "are no longer kept; submit that document again" in page.warning[0].value
    assert monitor.page(board_ledger)[1] == 0


def test_gates_are_shown_and_saved(open_page: Open, shelf: Shelf, board_ledger: Ledger) -> None:
    page = view(open_page, "Upkeep")
    assert "No gate is set: every publish goes through." in [one.value for one in page.main.caption]
    assert page.button(key="gates").disabled
    next(one for one in page.number_input if one.label.startswith("Percent")).set_value(5.0)
    next(one for one in page.number_input if one.label.startswith("Documents")).set_value(40).run()
    page.button(key="gates").click().run()
    assert monitor.gates(board_ledger, NAME) == Gates(5.0, 40)
    said = "A publish is held back when more than 5 percent of a job failed or fewer than 40 documents would be in it."
    assert said in [one.value for one in page.main.caption]
    assert "are held back when more than 5 percent" in page.text[0].value


def test_what_a_gate_held_is_shown_with_what_it_would_change(open_page: Open, shelf: Shelf) -> None:
    hold(shelf, "job9", {"d.txt": 1}, "50 percent of its documents <failed>")
    page = view(open_page, "Held back")
    words = words_of(page)
    assert "Held back 50 percent of its documents <failed>. job job9 · by ada" in words
    assert "Added d.txt" in words
    assert "Removed b.txt" in words
    assert "<failed>" not in html_of(page)
    assert not page.warning


def test_a_held_snapshot_is_searched_by_itself(open_page: Open, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(shelf, "job9", {"d.txt": 1}, "it was held")
    asked: list[str | None] = []

    def ask(person: Person, collection: str, query: str, *, k: int = 10, held: str | None = None) -> Answer:
        asked.append(held)
        return Answer(hits=(Hit(document="d.txt", score=0.5, text="A penalty", chunk=0),), version="job9", took_ms=3)

    monkeypatch.setattr(connection, "answers", lambda: SimpleNamespace(ask=ask))
    page = view(open_page, "Held back")
    page.text_input(key="held-query-job9").set_value("penalty").run()
    page.run()
    assert asked == ["job9"], "a rerun does not search again"
    assert "0.50 d.txt chunk 1" in words_of(page)
    assert "1 passage from what is held back in 3 ms" in [one.value for one in page.main.caption]


def test_a_snapshot_that_is_held_is_announced_on_the_first_view(open_page: Open, shelf: Shelf) -> None:
    hold(shelf, "job9", {"d.txt": 1}, "it was held")
    page = open_page("collections", name=NAME)
    assert "A gate holds 1 snapshot of contracts back" in page.warning[0].value


def test_a_held_snapshot_is_published_by_a_job_after_the_question(
    open_page: Open, shelf: Shelf, board_ledger: Ledger
) -> None:
    hold(shelf, "job9", {"d.txt": 1}, "it was held")
    page = click(view(open_page, "Held back"), "Publish…")
    assert "becomes the current snapshot of contracts" in page.text[0].value
    click(page, "Publish")
    row = job(board_ledger)
    assert (row.kind, json.loads(row.arguments)) == (PUBLISH_HELD.name, {"job": "job9"})


def test_a_held_snapshot_is_discarded_after_the_question(open_page: Open, shelf: Shelf) -> None:
    hold(shelf, "job9", {"d.txt": 1}, "it was held")
    page = click(view(open_page, "Held back"), "Discard…")
    assert len(held(shelf, NAME)) == 1
    click(page, "Discard")
    assert held(shelf, NAME) == []
    assert page.text[0].value == "What job job9 made for contracts was removed."
    assert [tab.label for tab in page.tabs] == ["Snapshots", "Compare", "Upkeep"]


def test_a_very_first_snapshot_that_is_held_has_its_page_too(open_page: Open, board_ledger: Ledger) -> None:
    hold(Shelf(board_ledger.settings.data), "job9", {"d.txt": 1}, "too few")
    submitted(board_ledger, collection=NAME)
    page = open_page("collections", name=NAME)
    assert [tab.label for tab in page.tabs] == ["Held back", "Upkeep"]
    click(page, "Discard…")
    click(page, "Discard")
    assert page.text[0].value == "What job job9 made for contracts was removed.", "though its page is gone with it"
    assert not page.tabs


def test_without_a_snapshot_only_the_gates_are_there_to_keep(open_page: Open, board_ledger: Ledger) -> None:
    hold(Shelf(board_ledger.settings.data), "job9", {"d.txt": 1}, "too few")
    submitted(board_ledger, collection=NAME)
    page = view(open_page, "Upkeep")
    assert [one.key for one in page.button] == ["gates"]


def test_a_second_click_on_export_makes_one_job(open_page: Open, shelf: Shelf, board_ledger: Ledger) -> None:
    page = view(open_page, "Upkeep")
    page.session_state["collection:token"] = "one-form"
    page.button(key="export").click().run()
    page.session_state["collection:token"] = "one-form"
    page.button(key="export").click().run()
    assert monitor.page(board_ledger)[1] == 1
    assert "already" in page.text[0].value
