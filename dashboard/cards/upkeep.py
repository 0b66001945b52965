"""The upkeep of a collection on its page: export, prune, rebuild and the gates of its publishes. Each is a card.

What takes time is a job on the board. What removes or replaces something asks first, and says what.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle

import streamlit as st

from dashboard import connection, format, markup
from dashboard.acting import asking
from dashboard.acting.actions import Question
from dashboard.cards import recipe_form
from tasks import catalog
from tasks.access import Right
from tasks.errors import IngestboardError
from tasks.kinds import EXPORT, PRUNE, ExportArguments, PruneArguments
from tasks.ledger import control, monitor
from tasks.ledger.records import Gates, Receipt
from tasks.ledger.states import State
from tasks.recipe import Recipe
from tasks.snapshots import SnapshotRow
from tasks.snapshots.prune import Pruned
from tasks.snapshots.prune import prune as look
from tasks.snapshots.shelf import Shelf

FORMATS = {"parquet": "Parquet", "jsonl": "JSON lines", "zip": "JSON lines in a zip, with the manifest"}
REBUILD = "rebuild"
VERSIONS_SHOWN = 12


def cards(name: str, rows: Sequence[SnapshotRow]) -> None:
    """Those that the person may use, two beside each other. A collection without a snapshot yet has its gates alone."""
    current = next((row for row in rows if row.current), None)
    offered: list[Callable[[], None]] = []
    if current is not None:
        if asking.offered(name, EXPORT.name, Right.EXPORT, clicked="export"):
            offered.append(partial(export, name, rows))
        if asking.offered(name, PRUNE.name, Right.PRUNE):
            offered.append(partial(prune, name))
        if asking.offered(name, REBUILD, Right.REBUILD):
            offered.append(partial(rebuild, name, current))
    offered.append(partial(gates, name))
    for column, card in zip(cycle(st.columns(2)), offered, strict=False):
        with column.container(border=True):
            card()


def export(name: str, rows: Sequence[SnapshotRow]) -> None:
    st.markdown("**Export** a snapshot to a file, to take away from its job's page.")
    versions = [row.version for row in rows]
    current = next((row.version for row in rows if row.current), versions[0])
    left, right = st.columns(2)
    version = left.selectbox("Snapshot", versions, versions.index(current), key=f"export-version-{name}-{current}")
    form = right.selectbox("Format", list(FORMATS), format_func=lambda one: FORMATS[one], key=f"export-format-{name}")
    vectors = st.checkbox("With the vectors", value=True, key=f"export-vectors-{name}")
    if st.button("Export", icon=":material/download:", key="export"):
        arguments = ExportArguments.model_validate({"format": form, "version": version, "vectors": vectors})
        asking.act(name, partial(asking.request, name, EXPORT, arguments, f"Export {name} {version}"))


def prune(name: str) -> None:
    st.markdown("**Prune** old snapshots. The current one, and what someone reads, always stays.")
    left, right = st.columns(2)
    keep = left.number_input("Keep the newest", 1, 100_000, PruneArguments().keep_last, key=f"prune-keep-{name}")
    days = right.number_input(
        "Of the rest, older than (days)", 0.0, None, None, 1.0, key=f"prune-days-{name}", placeholder="any age"
    )
    if st.button("Prune…", icon=":material/auto_delete:", key="prune"):
        arguments = PruneArguments(keep_last=keep, older_than_days=days)
        found = dry_run(name, arguments)
        if found is not None and found.versions:
            asking.ask(name, PRUNE.name, arguments.model_dump_json())
        elif found is not None:
            st.info(format.sentence(f"nothing would go {kept(found)}".strip()), icon=":material/info:")
    if raw := asking.asked(name, PRUNE.name):
        arguments = PruneArguments.model_validate_json(raw)
        found = dry_run(name, arguments)
        if found is not None:
            title = f"Prune {name}"
            asking.put(name, prune_question(name, found), partial(asking.request, name, PRUNE, arguments, title))


def dry_run(name: str, arguments: PruneArguments) -> Pruned | None:
    """What would go, or None with a sentence."""
    shelf = Shelf(connection.redis().settings.data)
    try:
        return look(shelf, name, keep_last=arguments.keep_last, older_than_days=arguments.older_than_days, dry_run=True)
    except IngestboardError as error:
        st.error(markup.literal(error), icon=":material/error:")
        return None


def kept(found: Pruned) -> str:
    return f"({format.counted(len(found.leased), 'snapshot')} stay because someone reads them)" if found.leased else ""


def prune_question(name: str, found: Pruned) -> Question:
    named = ", ".join(found.versions[:VERSIONS_SHOWN])
    more = len(found.versions) - VERSIONS_SHOWN
    stay = f" {format.counted(len(found.leased), 'more')} stay while someone reads them." if found.leased else ""
    return Question(
        f"Remove {format.counted(len(found.versions), 'snapshot')} of {name}?",
        f"{named}{f' and {more} more' if more > 0 else ''} would go for good, "
        f"and {format.size(found.bytes_freed)} would be free.{stay}",
        "Prune",
        "Keep them",
    )


def rebuild(name: str, current: SnapshotRow) -> None:
    st.markdown("**Rebuild** all documents under another recipe. Searches read the old snapshot until then.")
    recipe = recipe_form.fields(f"rebuild-{name}")
    wanted = st.button("Rebuild…", icon=":material/autorenew:", key="rebuild", disabled=recipe is None)
    if wanted and recipe is not None:
        asking.ask(name, REBUILD, recipe.model_dump_json())
    if raw := asking.asked(name, REBUILD):
        made = Recipe.model_validate_json(raw)
        asking.put(name, rebuild_question(current, made), lambda: rebuilt(name, made))


def rebuilt(name: str, recipe: Recipe) -> Receipt:
    redis = connection.redis()
    return catalog.rebuild(redis.ledger, name, recipe)


def rebuild_question(current: SnapshotRow, recipe: Recipe) -> Question:
    unit = "tokens" if recipe.splitter == "sentence" else "characters"
    return Question(
        f"Rebuild {current.collection}?",
        f"{format.counted(current.documents, 'document')} would be split again, by {recipe.splitter} with "
        f"{format.number(recipe.chunk_size)} {unit} a chunk and {format.number(recipe.chunk_overlap)} of overlap, and "
        f"embedded again. Snapshot {current.version} serves until the new one is whole, and is kept.",
        "Rebuild",
        "Not now",
    )


def gates(name: str) -> None:
    now = monitor.gates(connection.redis().ledger, name)
    st.markdown("**Gates** hold a publish back until someone has looked at it.")
    st.caption(gates_sentence(now))
    if not asking.offered(name, "set gates", Right.SET_GATES, clicked="gates"):
        return
    left, right = st.columns(2)
    # Who else changes them meanwhile changes these fields too.
    of = f"{name}-{now.max_failed_percent:g}-{now.min_documents}"
    percent = left.number_input(
        "Percent of a job that may fail", 0.0, 100.0, now.max_failed_percent, 5.0, "%g", key=f"gate-percent-{of}"
    )
    least = right.number_input("Documents at least", 0, None, now.min_documents, key=f"gate-documents-{of}")
    wanted = Gates(max_failed_percent=percent, min_documents=least)
    if st.button("Save", icon=":material/save:", key="gates", disabled=wanted == now):
        asking.act(name, partial(save_gates, name, wanted))


def gates_sentence(now: Gates) -> str:
    if now.open:
        return "No gate is set: every publish goes through."
    held = []
    if now.max_failed_percent < 100:
        held.append(f"more than {now.max_failed_percent:g} percent of a job failed")
    if now.min_documents > 0:
        held.append(f"fewer than {format.counted(now.min_documents, 'document')} would be in it")
    return f"A publish is held back when {' or '.join(held)}."


def save_gates(name: str, wanted: Gates) -> Receipt:
    redis = connection.redis()
    sentence = control.set_gates(redis.ledger, name, wanted)
    return Receipt("", "set gates", State.COMPLETED, sentence)
