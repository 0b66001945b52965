"""What a search found, on the pages. The answer is kept, so that other reruns do not ask again."""

from __future__ import annotations

import streamlit as st

from dashboard import connection, format, markup
from dashboard.drawing import shelf_markup
from dashboard.search import Answer
from tasks.errors import SearchFailed

HITS = 10
FOUND = "passages:found"


def show(name: str, query: str, version: str, *, held: str | None = None) -> None:
    """The passages for a query in the current snapshot, which is `version`, or in the one held for a job."""
    asked = (name, version, held, query)
    kept: dict[str | None, tuple[object, Answer]] = st.session_state.setdefault(FOUND, {})
    if held not in kept or kept[held][0] != asked:
        try:
            with st.spinner("Searching…"):
                person = connection.redis().person
                kept[held] = (asked, connection.answers().ask(person, name, query, k=HITS, held=held))
        except SearchFailed as error:
            st.error(markup.literal(error), icon=":material/error:")
            return
    answer = kept[held][1]
    if not answer.hits:
        advice = "Use other words, or submit more documents to this collection."
        st.html(markup.empty("Nothing found", advice if held is None else "Use other words."))
        return
    place = f"snapshot {answer.version}" if held is None else "what is held back"
    st.caption(f"{format.counted(len(answer.hits), 'passage')} from {place} in {answer.took_ms:.0f} ms")
    st.html(shelf_markup.hits(answer.hits, query))
