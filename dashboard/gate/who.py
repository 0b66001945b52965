"""Who sits in front of the page: the person in whose hands the ledger is given to it, asked anew in each run.

Where nobody signs in, somebody says a name in the sidebar: a courtesy and no proof, kept in a cookie, because following
a link from the live table is a new session. Else it is whom the provider or the proxy names, with the role that the
roles file gives them by now. Who may do what is decided in tasks.ledger.control, not here.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote

import streamlit as st
from starlette.requests import HTTPConnection
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard import markup
from dashboard.gate import sessions
from tasks.access import NOBODY as _NOBODY
from tasks.access import Person, Role, RolesFile, sign_in
from tasks.settings import Settings

COOKIE = "ingestboard_name"
COOKIE_DAYS = 365
LONGEST = 60
UNKNOWN = _NOBODY  # who has not signed in
NOBODY = "local"
_KEY = "your_name"
# What the proxy's headers are called in st.user.
EMAIL, GROUPS = "email", "groups"

_lock = threading.Lock()
_files: dict[tuple[Path | None, Path], RolesFile] = {}


def roles(settings: Settings) -> RolesFile:
    """The roles file of this installation, read once for all pages of this process."""
    # To resolve the path asks the file system, a few times in every tick of every viewer.
    key = (settings.roles, settings.data)
    found = _files.get(key)
    if found is None:
        with _lock:
            found = _files.setdefault(key, RolesFile(settings.roles_file))
    return found


def provider(settings: Settings) -> sign_in.Provider:
    """The OpenID provider of this installation, read once. Raises SignInUnusable."""
    return _provider(settings.sign_in or sign_in.file_of(settings))


@lru_cache(maxsize=4)
def _provider(path: Path) -> sign_in.Provider:
    return sign_in.provider(path.expanduser().resolve())


def person(settings: Settings) -> Person:
    """Who looks, by what is so now; `UNKNOWN` where people sign in and this one has not."""
    if settings.auth == "local":
        return Person(_said(settings), Role.ADMIN)
    return _named(settings, _told())


def again(settings: Settings) -> Callable[[], Person]:
    """Gives who looks now, by what will be so when it is asked: for what is done outside of a page's run."""
    if settings.auth == "local":
        someone = person(settings)
        return lambda: someone
    told = _told()
    return lambda: _named(settings, told)


def of_request(settings: Settings, request: HTTPConnection) -> Person:
    """Who sends a request to a route beside the pages; its headers must be those of a proxy that is believed."""
    if settings.auth == "local":
        return Person(settings.owner or NOBODY, Role.ADMIN)
    if settings.auth == "oidc":
        return named_by_provider(settings, sessions.claims(provider(settings), request.cookies))
    sent = request.headers
    return named_by_proxy(
        settings, sent.get(settings.proxy_email_header, ""), sent.get(settings.proxy_groups_header, "")
    )


def named_by_proxy(settings: Settings, email: str, groups: str) -> Person:
    """Whom the headers of a trusted proxy name; `UNKNOWN` when they name none."""
    if not email.strip():
        return UNKNOWN
    named = [group.strip() for group in groups.split(",") if group.strip()]
    return roles(settings).current().person(name=email.strip(), email=email, groups=named)


def named_by_provider(settings: Settings, claims: Mapping[str, Any]) -> Person:
    """Whom the claims of a provider name; `UNKNOWN` without a sign-in, and when the session is over."""
    if claims.get("is_logged_in") is not True or sessions.over(claims, hours=settings.session_hours):
        return UNKNOWN
    audience = claims.get("aud")
    ours = provider(settings).client_id
    if audience != ours and not (isinstance(audience, list) and ours in audience):
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
            # Some providers write it as a text.
            verified=claims.get("email_verified") is True or claims.get("email_verified") == "true",
        )
    )


def _told() -> Mapping[str, Any]:
    """What the connection of the page that is being run said of its person."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return {}
    return st.user.to_dict()


def _named(settings: Settings, told: Mapping[str, Any]) -> Person:
    if settings.auth == "proxy":
        return named_by_proxy(settings, str(told.get(EMAIL) or ""), str(told.get(GROUPS) or ""))
    return named_by_provider(settings, told)


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
    try:
        return f"page {ipaddress.ip_address(address)}" if isinstance(address, str) else "page"
    except ValueError:
        return "page"  # a proxy told what is no address


def ask(settings: Settings) -> None:
    """The sidebar's field for a name; who is signed in and the way out, where people sign in."""
    if settings.auth != "local":
        someone = person(settings)
        role = f", {someone.role.value}" if someone.role else ""
        st.caption(f"Signed in as {markup.literal(someone.name)}{role}")
        sign_out(settings)
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
        keep(COOKIE, typed or "", seconds=COOKIE_DAYS * 86400, same_site="strict")


def sign_out(settings: Settings, *, wide: bool = False) -> None:
    """The button that ends the session; where a proxy signs people in, it also signs them out."""
    if settings.auth == "oidc":
        width: Literal["stretch", "content"] = "stretch" if wide else "content"
        st.button("Sign out", icon=":material/logout:", key="sign-out", width=width, on_click=st.logout)


def keep(cookie: str, value: str, *, seconds: int, same_site: str) -> None:
    """Have the browser keep a value of ours."""
    # Percent-encoding leaves letters, digits and '_.-~%': nothing that could end the value or the markup. board.js
    # takes it from here, as no script may stand in the page itself.
    made = f"{cookie}={quote(value, safe='')}; max-age={seconds}; path=/; samesite={same_site}"
    with st.container(key="name-to-keep"):
        st.html(f'<span class="ib-remember" data-cookie="{made}"></span>')
