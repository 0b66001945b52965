"""The fields of a recipe, as the pages ask for it: for documents to submit, and for a collection to rebuild."""

from __future__ import annotations

from typing import cast, get_args

import streamlit as st
from pydantic import ValidationError

from dashboard import format
from tasks.recipe import Ocr, Recipe, Splitter

SPLITTERS = {
    "characters": "By characters, at sentence and paragraph ends",
    "sentence": "By sentences, measured in tokens",
    "markdown": "By Markdown headings, then characters",
}
OCR = {
    "auto": "Pictures, and PDF pages without text",
    "on": "Also pictures on PDF pages with text",
    "off": "Off",
}


def fields(form: str) -> Recipe | None:
    """The recipe, or None with a sentence below its fields when they do not go together."""
    usual = Recipe()
    splitter = st.selectbox(
        "Split", list(get_args(Splitter)), format_func=lambda one: SPLITTERS.get(one, one), key=f"splitter-{form}"
    )
    left, right = st.columns(2)
    unit = "tokens" if splitter == "sentence" else "characters"
    # SentenceSplitter measures tokens: four characters each, as a rule of thumb.
    share = 4 if splitter == "sentence" else 1
    size = left.number_input(
        f"Chunk size ({unit})", 100, 20_000, usual.chunk_size // share, 50, key=f"size-{share}-{form}"
    )
    overlap = right.number_input(
        f"Overlap ({unit})", 0, 5_000, usual.chunk_overlap // share, 10, key=f"overlap-{share}-{form}"
    )
    ocr = st.selectbox(
        "Text recognition (OCR)",
        list(get_args(Ocr)),
        format_func=lambda one: OCR.get(one, one),
        key=f"ocr-{form}",
        help="Reads the words in scans and pictures, on the worker. A page takes a few seconds.",
    )
    try:
        return Recipe(splitter=cast(Splitter, splitter), chunk_size=size, chunk_overlap=overlap, ocr=cast(Ocr, ocr))
    except ValidationError as error:
        reason = error.errors(include_input=False, include_url=False)[0]["msg"].removeprefix("Value error, ")
        st.error(format.sentence(reason), icon=":material/error:")
        return None
