"""The estimate on the Documents page: what a submission would take, before it is one. Nothing is submitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import streamlit as st

from dashboard import connection, format, markup
from tasks.errors import IngestboardError
from tasks.estimate import Estimate, estimate, look
from tasks.recipe import Recipe
from tasks.settings import Settings
from tasks.submitting import allowed_folder, files_below, with_embedder

SHOWN = "documents:estimate"


def offer(ready: bool, form: str, recipe: Recipe | None, files: Callable[[], Iterator[tuple[str, BinaryIO]]]) -> None:
    """The button, and its answer until the form changes."""
    asked = st.button(
        "Estimate",
        icon=":material/calculate:",
        disabled=not ready,
        key=f"estimate-{form}",
        help="What it would take: what is known already, chunks, tokens, time and cost. Nothing is submitted.",
    )
    if asked and recipe is not None:
        with st.spinner("Looking at the documents…"):
            try:
                ledger = connection.redis().ledger
                st.session_state[SHOWN] = (form, recipe, made(ledger.settings, recipe, files))
            except (IngestboardError, OSError) as error:
                known = isinstance(error, IngestboardError)
                st.error(markup.literal(error) if known else "The documents could not be read.")


def shown(form: str, recipe: Recipe | None) -> None:
    """The last estimate, if it is of this form and recipe."""
    found = st.session_state.get(SHOWN)
    if found is None or found[:2] != (form, recipe):
        return
    st.html(facts(found[2]))


def made(settings: Settings, recipe: Recipe, files: Callable[[], Iterator[tuple[str, BinaryIO]]]) -> Estimate:
    return estimate(connection.redis().ledger, look(files()), with_embedder(recipe, settings))


def facts(found: Estimate) -> str:
    """The estimate in a sentence or two."""
    known = f"{format.number(found.known)} known already, " if found.known else ""
    time = "no worker is alive to do it"
    if found.seconds is not None:
        time = f"about {format.coarse(max(1.0, found.seconds))}"
    cost = f", about {found.cost:,.2f} to pay" if found.cost is not None else ""
    basis = (
        "From what was embedded here before."
        if found.from_history
        else "A rule of thumb: nothing like it was embedded here yet."
    )
    text = (
        f"{format.counted(found.documents, 'document')}: {known}{format.number(found.to_embed)} to embed, about "
        f"{format.counted(found.chunks, 'chunk')} and {format.counted(found.tokens, 'token')}; {time}{cost}."
    )
    return f'<p class="ib ib-estimate">{markup.safe(text)} <span class="ib-soft">{markup.safe(basis)}</span></p>'


def of_folder(settings: Settings, folder: Path) -> Iterator[tuple[str, BinaryIO]]:
    """The files of an allowed folder, opened one after the other."""
    real = allowed_folder(settings, folder)
    for path in files_below(real):
        with path.open("rb") as stream:
            yield path.relative_to(real).as_posix(), stream
