"""The chunk preview on the Documents page: how one document would be cut under the recipe, before it is submitted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import streamlit as st

from dashboard import format, markup
from tasks.errors import IngestboardError
from tasks.recipe import Recipe

SHOWN = "documents:preview"
CARDS = 5  # more of them would push the button that submits off the screen
PATIENCE_S = 60.0  # the program reads for 20 s at most; a parser that hangs in one step is ended
Files = Callable[[], Iterator[tuple[str, BinaryIO]]]


def offer(names: list[str], form: str, recipe: Recipe | None, files: Files) -> None:
    """The fold with the button, and its answer until the form or the recipe changes."""
    with st.expander("Preview chunks", icon=":material/segment:"):
        chosen = names[0]
        if len(names) > 1:
            chosen = st.selectbox("Document", names, key=f"preview-name-{form}")
        if st.button("Preview", key=f"preview-{form}", disabled=recipe is None) and recipe is not None:
            with st.spinner("Reading the document…"):
                st.session_state[SHOWN] = ((form, chosen, recipe), cut(chosen, recipe, files))
        found = st.session_state.get(SHOWN)
        if found is None or found[0] != (form, chosen, recipe):
            st.caption("How the document would be cut under this recipe. Nothing is embedded or submitted.")
        elif "error" in found[1]:
            st.error(markup.literal(found[1]["error"]), icon=":material/error:")
        else:
            st.html(shown(found[1]))


def cut(name: str, recipe: Recipe, files: Files) -> dict[str, Any]:
    """The preview of one document, read in a process of its own; `error` holds a sentence when there is none."""
    gone = {"error": f"{name} is no longer among the documents; choose it again."}
    try:
        stream = next((stream for label, stream in files() if label == name), None)
        if stream is None:
            return gone
        stream.seek(0)
        with tempfile.NamedTemporaryFile(prefix="ingestboard-") as copy:
            shutil.copyfileobj(stream, copy)
            copy.flush()
            request = json.dumps({"path": copy.name, "name": name, "recipe": recipe.model_dump()})
            done = subprocess.run(
                [sys.executable, "-m", "tasks.ingest.preview"],
                input=request,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
    except IngestboardError as error:
        return {"error": str(error)}
    except subprocess.TimeoutExpired:
        return {"error": f"Reading {name} took longer than {PATIENCE_S:.0f} s; submit it, workers have more time."}
    except OSError:
        return {"error": f"{name} could not be read; choose it again."}
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"error": f"Reading {name} ended its reader; the file may be damaged: open it, save it again, try that."}
    return answer


def shown(found: dict[str, Any]) -> str:
    """The figures and the first chunks."""
    more = "" if found["whole"] else " so far; the document is longer"
    figures = (
        f"{format.counted(found['total'], 'chunk')}{more}, {format.number(found['shortest'])} to "
        f"{format.number(found['longest'])} characters, {format.number(round(found['mean']))} on average."
    )
    first = found["chunks"][:CARDS]
    cards = "".join(_card(chunk) for chunk in first)
    rest = found["total"] - len(first)
    after = f'<p class="ib-soft">and {format.number(rest)} more</p>' if rest > 0 else ""
    return f'<div class="ib"><p>{markup.safe(figures)}</p><ol class="ib-hits">{cards}</ol>{after}</div>'


def _card(chunk: dict[str, Any]) -> str:
    page = f" · page {chunk['page']}" if chunk["page"] else ""
    about = f"chunk {chunk['position'] + 1}{page} · {format.number(len(chunk['text']))} characters"
    text = markup.safe(chunk["text"])
    return f'<li><span class="ib-soft">{markup.safe(about)}</span><p class="ib-passage">{text}</p></li>'
