"""Jobs that are no ingestion, on real workers: they run, fail with a sentence, and are checked before they start."""

from __future__ import annotations

import os
import time

import pytest

from tasks import catalog, kinds
from tasks.access import PROGRAM
from tasks.errors import SnapshotNotFound, SubmissionRefused
from tasks.ledger import State, control, monitor
from tasks.ledger.records import Gates, JobRow
from tasks.recipe import Recipe
from tasks.snapshots.shelf import Shelf
from tests.acceptance.conftest import Stack

pytestmark = pytest.mark.acceptance


def asked(stack: Stack, kind: kinds.Kind, arguments: kinds.Arguments, collection: str = "") -> JobRow:
    job = control.request(
        stack.ledger,
        kind=kind.name,
        collection=collection,
        arguments=arguments.model_dump_json(),
        owner="ana",
        title=kind.name,
    ).job
    return stack.ended(job)


def two_versions(stack: Stack, collection: str) -> None:
    for text in ("First edition.", "Second edition."):
        assert stack.ended(stack.submit(text, collection=collection)).state is State.COMPLETED


def test_a_roll_back_is_a_job_on_the_board(stack: Stack) -> None:
    two_versions(stack, "rolled")
    row = catalog.roll_back(stack.ledger, "rolled", "000001", by="bo")
    assert (row.version, row.current) == ("000001", True)
    (job, *_), _ = monitor.page(stack.ledger, collection="rolled")
    assert (job.kind, job.state, job.owner, job.percent) == ("roll back", State.COMPLETED, "bo", 100.0)
    assert job.step_description == "rolled was moved from 000002 to 000001."


def test_a_worker_ends_the_roll_back_of_a_page_that_died(stack: Stack) -> None:
    two_versions(stack, "handed-over")
    job = asked(stack, kinds.ROLL_BACK, kinds.RollBackArguments(version="000001"), "handed-over")
    assert job.state is State.COMPLETED
    assert Shelf(stack.data).current("handed-over") == "000001"
    assert [row.stage for row in monitor.stages(stack.ledger, job.id)] == ["move"]


def test_a_roll_back_to_nowhere_is_refused_before_it_is_a_job(stack: Stack) -> None:
    two_versions(stack, "nowhere")
    before = monitor.page(stack.ledger)[1]
    with pytest.raises(SnapshotNotFound):
        catalog.roll_back(stack.ledger, "nowhere", "000009", by="bo")
    assert monitor.page(stack.ledger)[1] == before


def test_a_kind_that_cannot_do_it_fails_with_its_sentence(stack: Stack) -> None:
    job = asked(stack, kinds.ROLL_BACK, kinds.RollBackArguments(version="000007"), "never-published")
    assert job.state is State.FAILED
    assert "has no snapshot 000007" in job.error


def test_caches_are_cleaned_of_what_nobody_needs(stack: Stack) -> None:
    stack.ended(stack.submit("Published and kept.", collection="kept"))
    stack.ended(stack.submit("   ", collection="failed"))
    long_ago = time.time() - 90 * 86_400
    uploads = list((stack.data / "uploads").iterdir())
    for path in [*uploads, *stack.data.glob("artifacts/*/*.arrow")]:
        os.utime(path, (long_ago, long_ago))
    job = asked(stack, kinds.CLEAN, kinds.CleanArguments(older_than_days=30))
    assert job.state is State.COMPLETED, job.error
    left = set((stack.data / "uploads").iterdir())
    assert len(left) == len(uploads) - 1  # only the document that was never published
    assert list(stack.data.glob("artifacts/*/*.arrow")) == []
    assert stack.ended(stack.submit("Published and kept.", collection="kept")).state is State.COMPLETED


def test_what_was_used_lately_is_never_cleaned(stack: Stack) -> None:
    stack.ended(stack.submit("Fresh.", collection="fresh"))
    kept = list(stack.data.glob("artifacts/*/*.arrow"))
    asked(stack, kinds.CLEAN, kinds.CleanArguments(older_than_days=0, most_bytes=1))
    assert list(stack.data.glob("artifacts/*/*.arrow")) == kept


@pytest.mark.parametrize("raw", ['{"version": "../x"}', '{"version": "000001", "more": 1}', "{}", "not json"])
def test_arguments_that_are_none_are_refused_with_a_sentence(raw: str) -> None:
    with pytest.raises(SubmissionRefused, match="roll back"):
        kinds.ROLL_BACK.check(raw)


def test_old_snapshots_are_pruned_and_the_current_one_stays(stack: Stack) -> None:
    for at in range(4):
        stack.ended(stack.submit(f"Edition {at}.", collection="pruned"))
    job = asked(stack, kinds.PRUNE, kinds.PruneArguments(keep_last=2), "pruned")
    assert job.state is State.COMPLETED, job.error
    assert [row.version for row in Shelf(stack.data).snapshots("pruned")] == ["000004", "000003"]


@pytest.mark.parametrize("form", ["parquet", "jsonl", "zip"])
def test_a_snapshot_is_exported_to_a_file(stack: Stack, form: str) -> None:
    stack.ended(stack.submit("To be taken away.", collection="exported"))
    arguments = kinds.EXPORT.check(f'{{"format": "{form}"}}')
    job = asked(stack, kinds.EXPORT, arguments, "exported")
    assert job.state is State.COMPLETED, job.error
    assert kinds.export_path(stack.data, job.id, "exported", form).stat().st_size > 0


def test_a_gate_holds_a_bad_job_back_until_a_person_publishes_it(stack: Stack) -> None:
    stack.ended(stack.submit("Good and current.", collection="gated"))
    control.set_gates(stack.ledger, "gated", Gates(max_failed_percent=20), by="ana")
    held_back = stack.ended(stack.submit("Good too.", "", names=("good.txt", "empty.txt"), collection="gated"))
    assert held_back.state is State.FAILED
    assert "50 percent of its documents failed and at most 20 may" in held_back.error
    assert Shelf(stack.data).current("gated") == "000001"
    (row,) = catalog.held(stack.settings, PROGRAM, "gated")
    assert (row.job, row.documents) == (held_back.id, 2)
    job = asked(stack, kinds.PUBLISH_HELD, kinds.HeldArguments(job=held_back.id), "gated")
    assert job.state is State.COMPLETED, job.error
    assert Shelf(stack.data).snapshots("gated")[0].documents == 2
    assert catalog.held(stack.settings, PROGRAM, "gated") == []


def test_what_a_gate_held_back_can_be_discarded(stack: Stack) -> None:
    control.set_gates(stack.ledger, "empty-handed", Gates(min_documents=5), by="ana")
    held_back = stack.ended(stack.submit("One is not enough.", collection="empty-handed"))
    assert "it would hold 1 of the 5 documents that must be there at least" in held_back.error
    catalog.discard_held(stack.ledger, "empty-handed", held_back.id, by="ana")
    assert catalog.held(stack.settings, PROGRAM, "empty-handed") == []
    control.set_gates(stack.ledger, "empty-handed", Gates(), by="ana")
    control.retry(stack.ledger, held_back.id, by="ana")
    assert stack.ended(held_back.id).state is State.COMPLETED


def test_a_collection_is_rebuilt_under_another_recipe(stack: Stack) -> None:
    text = "A sentence that goes on for a while. " * 20
    first = stack.ended(stack.submit(text, "Short.", collection="rebuilt"))
    job = stack.ended(catalog.rebuild(stack.ledger, "rebuilt", Recipe(chunk_size=400, chunk_overlap=0), by="ana").job)
    assert job.state is State.COMPLETED, job.error
    (new, old) = Shelf(stack.data).snapshots("rebuilt")
    assert (new.documents, new.chunks < old.chunks, new.recipe != old.recipe) == (2, True, True)
    assert first.snapshot == old.version


def test_a_rebuild_that_would_lose_documents_is_not_published(stack: Stack) -> None:
    stack.ended(stack.submit(*["Fine."] * 2, collection="lossy"))
    receipt = catalog.rebuild(stack.ledger, "lossy", Recipe(chunk_size=300, chunk_overlap=0), by="ana")
    late = stack.submit("Came while it ran.", names=("late.txt",), collection="lossy")
    states = {stack.ended(receipt.job).state, stack.ended(late).state}
    assert State.COMPLETED in states
    names = {entry.name for entry in Shelf(stack.data).documents("lossy", Shelf(stack.data).current("lossy") or "")}
    assert "late.txt" in names
    assert len(names) == 3
