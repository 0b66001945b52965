"""Who sits in front of the page: the person in whose hands the ledger is given to it, asked anew in each run.

Where nobody signs in, somebody says a name in the sidebar: a courtesy and no proof, kept in a cookie, because following
a link from the live table is a new session. Else it is whom the provider or the proxy names, with the role that the
roles file gives them by now. Who may do what is decided in tasks.ledger.control, not here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard import markup
from tasks.access import NOBODY as UNKNOWN
from tasks.access import Person, Role, RolesFile
from tasks.settings import Settings

COOKIE = "ingestboard_name"
COOKIE_DAYS = 365
LONGEST = 60
NOBODY = "local"
_KEY = "your_name"
# What the proxy's headers are called in st.user.
EMAIL, GROUPS = "email", "groups"

_lock = threading.Lock()
_files: dict[str, RolesFile] = {}


def roles(settings: Settings) -> RolesFile:
    """The roles file of this installation, read once for all pages of this process."""
    path = settings.roles_file
    with _lock:
        found = _files.get(str(path))
        if found is None:
            found = _files[str(path)] = RolesFile(path)
        return found


def person(settings: Settings) -> Person:
    """Who looks, by what is so now; `NOBODY` where people sign in and this one has not."""
    if settings.auth == "local":
        return Person(_said(settings), Role.ADMIN)
    if get_script_run_ctx(suppress_warning=True) is None:
        return UNKNOWN
    claims: Mapping[str, Any] = st.user
    if settings.auth == "proxy":
        return named_by_proxy(settings, str(claims.get(EMAIL) or ""), str(claims.get(GROUPS) or ""))
    return named_by_provider(settings, claims)


def still(settings: Settings, before: Person) -> Person:
    """The same person by what is so now, for what is done outside of a page's run."""
    if settings.auth == "local" or before.program:
        return before
    if before == UNKNOWN:
        return UNKNOWN
    return roles(settings).current().person(name=before.name, email=before.email, groups=before.groups)


def named_by_proxy(settings: Settings, email: str, groups: str) -> Person:
    """Whom the headers of a trusted proxy name; `NOBODY` when they name none."""
    if not email.strip():
        return UNKNOWN
    named = [group.strip() for group in groups.split(",") if group.strip()]
    return roles(settings).current().person(name=email.strip(), email=email, groups=named)


def named_by_provider(settings: Settings, claims: Mapping[str, Any]) -> Person:
    """Whom the claims of a provider name; `NOBODY` without a sign-in, and when that is longer ago than a session."""
    if not claims.get("is_logged_in"):
        return UNKNOWN
    since = claims.get("auth_time") or claims.get("iat")
    if not isinstance(since, int | float) or time.time() - since > settings.session_hours * 3600:
        return UNKNOWN
    groups = claims.get(settings.groups_claim)
    named = groups if isinstance(groups, list | tuple) else [groups] if isinstance(groups, str) else []
    return (
        roles(settings)
        .current()
        .person(
            name=str(claims.get("sub") or ""),
            email=str(claims.get("email") or ""),
            groups=[str(group) for group in named],
            verified=claims.get("email_verified") is True,
        )
    )


def _said(settings: Settings) -> str:
    """The name that was typed, where nobody signs in."""
    typed = ""
    if get_script_run_ctx(suppress_warning=True) is not None:
        typed = str(st.session_state.get(_KEY) or "").strip()
    return typed or settings.owner or NOBODY


def where() -> str:
    """From where the page is looked at, for the record; '' outside of a page's run."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return ""
    address = st.context.ip_address  # None for one that is this machine's
    return f"page {address}" if isinstance(address, str) else "page"


def ask(settings: Settings) -> None:
    """The sidebar's field for a name; who is signed in, where people sign in."""
    if settings.auth != "local":
        someone = person(settings)
        role = f", {someone.role.value}" if someone.role else ""
        st.caption(f"Signed in as {markup.literal(someone.name)}{role}")
        return
    kept: object = st.context.cookies.get(COOKIE, "")
    remembered = unquote(kept)[:LONGEST] if isinstance(kept, str) else ""
    typed = st.text_input(
        "Your name",
        value=remembered or settings.owner,
        max_chars=LONGEST,
        key=_KEY,
        placeholder=NOBODY,
        help="Recorded with what you submit, cancel, retry, delete or roll back.",
        persist_state="session",
    )
    if (typed or "") != st.session_state.setdefault("name_kept", remembered or settings.owner):
        st.session_state["name_kept"] = typed
        _keep(typed or "")


def _keep(name: str) -> None:
    # Percent-encoding leaves letters, digits and '_.-~%': nothing that could end the value or the markup. board.js
    # takes it from here, as no script may stand in the page itself. Strict, since the WebSocket alone has to carry it.
    cookie = f"{COOKIE}={quote(name, safe='')}; max-age={COOKIE_DAYS * 86400}; path=/; samesite=strict"
    with st.container(key="name-to-keep"):
        st.html(f'<span class="ib-remember" data-cookie="{cookie}"></span>')
