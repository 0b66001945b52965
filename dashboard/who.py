"""Who sits in front of the page: the name that goes on the record with every action.

Someone who is logged in (st.login, or a trusted header) is that person. Everyone else says a name in the
sidebar; it is a courtesy and no proof. It is kept in a cookie, because following a link from the live
table is a new session. Who may do what is decided in tasks.ledger.control, not here.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard import markup
from tasks.settings import Settings

COOKIE = "ingestboard_name"
COOKIE_DAYS = 365
LONGEST = 60
NOBODY = "local"
_KEY = "your_name"


def signed_in() -> str:
    """The name or address of the person logged in, or ''."""
    for attribute in ("name", "email"):
        value = st.user.get(attribute)
        if isinstance(value, str) and value.strip():
            return value.strip()[:LONGEST]
    return ""


def me(settings: Settings) -> str:
    """The name for the record."""
    typed = str(st.session_state.get(_KEY) or "").strip()
    return signed_in() or typed or settings.owner or NOBODY


def where() -> str:
    """From where the page is looked at, for the record; '' outside of a page's run."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return ""
    address = st.context.ip_address  # None for one that is this machine's
    return f"page {address}" if isinstance(address, str) else "page"


def ask(settings: Settings) -> None:
    """The sidebar's field for a name; says who is signed in where that is known."""
    name = signed_in()
    if name:
        st.caption(f"Signed in as {markup.literal(name)}")
        return
    remembered = unquote(st.context.cookies.get(COOKIE, ""))[:LONGEST]
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
