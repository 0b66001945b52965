"""Submit documents: files, a folder from here, or an allowed folder on the server. Nothing is submitted twice."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import streamlit as st
from redis.exceptions import RedisError

from dashboard import connection, format, markup, outage
from dashboard.acting import actions, allowed
from dashboard.cards import estimates, folder_sync, previews, recipe_form
from tasks import catalog
from tasks.access import Right
from tasks.errors import CollectionNameRefused, IngestboardError
from tasks.ledger.control import COLLECTION_NAME
from tasks.ledger.records import Receipt
from tasks.recipe import Recipe
from tasks.settings import QUEUES, Settings
from tasks.submitting import submit_files, submit_folder

FILES, FOLDER, SERVER = "Files", "Folder", "Folder on the server"
SUBMITTED = "documents:submitted"


def token() -> str:
    """The mark of this form. Its widgets carry it and so does the submission: a second click, a rerun or a
    click that was on its way when the first one succeeded finds either the same job or no form."""
    value: str = st.session_state.setdefault("documents:token", secrets.token_urlsafe(16))
    return value


def renew() -> None:
    st.session_state["documents:token"] = secrets.token_urlsafe(16)


def known_collections(settings: Settings) -> list[str]:
    published = {row.name for row in catalog.collections(settings, connection.redis().person)}
    return sorted(published | set(connection.redis().board().collections()))


def collection_field(settings: Settings, form: str) -> str:
    """The collection to submit to, with the sentence about a name that cannot be used right below it."""
    name = (
        st.selectbox(
            "Collection",
            known_collections(settings),
            index=None,
            accept_new_options=True,
            key=f"collection-{form}",
            placeholder="Choose one or type a new name",
            help="A named, searchable set of documents.",
        )
        or ""
    )
    name = name.strip()
    if name and not COLLECTION_NAME.fullmatch(name):
        st.error(markup.literal(CollectionNameRefused(name=name)), icon=":material/error:")
        return ""
    if name and not connection.redis().person.sees(name):
        st.error(markup.literal(f"The collection {name} is for others; choose another name."), icon=":material/error:")
        return ""
    return name


def files_field(source: str, settings: Settings, form: str) -> list[tuple[str, BinaryIO]]:
    limit = math.ceil(settings.upload_max_bytes / 1_048_576)
    found = st.file_uploader(
        "Documents",
        accept_multiple_files="directory" if source == FOLDER else True,
        key=f"files-{source}-{form}",
        max_upload_size=limit,
        label_visibility="collapsed",
    )
    if found:
        st.caption(f"{format.counted(len(found), 'document')}, {format.size(sum(one.size for one in found))}")
    for one in found:
        one.seek(0)
    return [(one.name, one) for one in found]


def folder_field(settings: Settings, form: str) -> Path:
    left, right = st.columns(2)
    root = left.selectbox(
        "Folder", settings.folders, format_func=lambda path: path.name or str(path), key=f"root-{form}"
    )
    below = right.text_input("Folder inside it (optional)", key=f"below-{form}", placeholder="reports/2026")
    return root / (below or "").strip().strip("/")


def limits_fields(form: str) -> dict[str, float]:
    """How long the job and each document may take, in seconds; 0 for no limit of its own."""
    left, right = st.columns(2)
    job_min = left.number_input(
        "Minutes that the job may run",
        min_value=0.0,
        max_value=100_000.0,
        value=0.0,
        step=5.0,
        key=f"job-limit-{form}",
        help="0 for no limit. A job past its limit is stopped and fails; finished documents are kept for a retry.",
    )
    document_min = right.number_input(
        "Minutes that a document may take",
        min_value=0.0,
        max_value=10_000.0,
        value=0.0,
        step=1.0,
        key=f"document-limit-{form}",
        help="0 for the limit of this installation. A document past its limit fails; the others go on.",
    )
    return {"time_limit_s": job_min * 60, "document_limit_s": document_min * 60}


def opened(
    settings: Settings, folder: Path | None, files: list[tuple[str, BinaryIO]]
) -> Iterator[tuple[str, BinaryIO]]:
    """The names and bytes of what would be submitted."""
    return estimates.of_folder(settings, folder) if folder is not None else iter(files)


def done() -> None:
    """What was just submitted, with the way to it."""
    receipt: Receipt | None = st.session_state.get(SUBMITTED)
    if receipt is None:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="submitted"):
        st.markdown(":material/check_circle: **Submitted.**", width="content")
        st.text(markup.seen(receipt.sentence), width="content")
        st.page_link(
            "views/job.py", label="Watch the job", icon=":material/arrow_forward:", query_params={"job": receipt.job}
        )


def submit(source: str, files: list[tuple[str, BinaryIO]], folder: Path | None, **common: str | float | Recipe) -> None:
    """Submit and start a new form. The token is renewed before anything is drawn: drawing may end this run."""
    ledger = connection.redis().ledger
    form = token()
    try:
        if source == SERVER and folder is not None:
            receipt = submit_folder(ledger, folder, token=form, **common)  # type: ignore[arg-type]
        else:
            receipt = submit_files(ledger, files, token=form, **common)  # type: ignore[arg-type]
    except IngestboardError as error:
        st.error(markup.literal(error), icon=":material/error:")
        return
    except RedisError:
        # The token makes it safe to try again, whether or not the answer was on its way.
        st.error(
            "Redis does not answer, so nothing was submitted; your documents are still here, submit again.",
            icon=":material/error:",
        )
        return
    st.session_state[SUBMITTED] = receipt
    st.session_state["documents:toast"] = True
    renew()
    st.rerun()


settings = connection.redis().settings
st.title("Documents")
outage.banner_if_down()
if not allowed.may(Right.SUBMIT):
    if st.session_state.get(f"submit-{token()}"):
        actions.refuse(Right.SUBMIT, "documents", "submit")
    actions.told()
    advice = "Submitting documents takes the role operator; an administrator gives it."
    st.html(markup.empty("You look, others submit", advice, "./", "Show the board"))
    st.stop()
st.caption(
    "PDF, Word, PowerPoint, Excel, OpenDocument, RTF, EPUB, e-mail, HTML, XML, Markdown, CSV, JSON, plain text, "
    "scans and pictures, and zip archives of these. "
    "What is already in the collection under the same name is replaced."
)
if st.session_state.pop("documents:toast", False):
    st.toast("Submitted.", icon=":material/check:")
done()

form = token()
sources = [FILES, FOLDER, *([SERVER] if settings.folders else [])]
source = (
    st.segmented_control("From", sources, default=FILES, required=True, key="source", label_visibility="collapsed")
    or FILES
)
folder = folder_field(settings, form) if source == SERVER else None
files = files_field(source, settings, form) if source != SERVER else []
documents = partial(opened, settings, folder, files)
left, right = st.columns([2, 1])
with left:
    collection = collection_field(settings, form)
with right:
    priority = (
        st.segmented_control(
            "Priority", QUEUES, default="default", required=True, format_func=str.capitalize, key=f"priority-{form}"
        )
        or "default"
    )
with st.expander("Recipe", icon=":material/tune:"):
    recipe = recipe_form.fields(form)

with st.expander("Time limits", icon=":material/timer:"):
    limits = limits_fields(form)

chosen = bool(folder if source == SERVER else files)
if files:
    previews.offer([name for name, _ in files], form, recipe, documents)
sync = folder_sync.field(collection, form, documents if chosen else None) if source != FILES else ""
ready = bool(collection and recipe and chosen)
with st.container(horizontal=True):
    wanted = st.button("Submit", type="primary", icon=":material/send:", disabled=not ready, key=f"submit-{form}")
    estimates.offer(bool(recipe and chosen), form, recipe, documents)
estimates.shown(form, recipe)
if wanted and recipe:
    with st.spinner("Saving the documents…"):
        submit(
            source,
            files,
            folder,
            collection=collection,
            priority=priority,
            recipe=recipe,
            sync=sync,
            **limits,
        )
if not ready:
    missing = [
        words
        for words, there in (
            ("a folder" if source == SERVER else "at least one document", chosen),
            ("a collection", bool(collection)),
        )
        if not there
    ]
    if missing:
        st.caption(f"To submit, choose {' and '.join(missing)}.")
