"""What somebody sees who may not see the board: the way to sign in, or that they have no role and whom to ask.

It shows nothing of the board, and needs neither Redis nor a role.
"""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import urlencode, urlsplit

import streamlit as st

from dashboard import connection, markup
from dashboard.gate import places, who
from dashboard.gate.auth_answers import NOTICE, REFUSED, RETURN, RETURN_S, UNREACHABLE
from tasks.access import Person
from tasks.settings import Settings

MARK = f"data:image/svg+xml;base64,{b64encode((places.DASHBOARD / 'mark.svg').read_bytes()).decode()}"
LOOK_S = 5.0
SHOWN = "sign-in:shown"
TOLD = {
    UNREACHABLE: "The sign-in service does not answer. Try again in a moment; if it stays away, tell an administrator.",
    REFUSED: "You were not signed in: the sign-in was broken off, or its answer could not be used. Try it again.",
}


def page(settings: Settings, someone: Person) -> None:
    """The whole page, for somebody without a role."""
    st.session_state[SHOWN] = someone
    with st.container(key="sign-in", width=380, gap="small"):
        if someone == who.UNKNOWN:
            unknown(settings)
        else:
            without_role(settings, someone)
    if someone == who.UNKNOWN:
        remember_place()


def unknown(settings: Settings) -> None:
    if settings.auth == "proxy":
        card("Sign in first", "The proxy in front of this board did not say who you are. Sign in there and come back.")
        return
    card("Ingestboard", "The control board of your team's document ingestion.")
    told = TOLD.get(st.query_params.get(NOTICE, ""))
    if told:
        st.warning(told, icon=":material/info:")
    st.button("Sign in", type="primary", width="stretch", key="sign-in-button", on_click=st.login)


def without_role(settings: Settings, someone: Person) -> None:
    card(
        "No role on this board yet",
        "You are signed in. What you may do here an administrator of the board decides: ask one to give this name a "
        "role. The board opens by itself then.",
        someone.name,
    )
    who.sign_out(settings, wide=True)
    st.fragment(let_in, run_every=LOOK_S)()


def let_in() -> None:
    """A fragment without a face: it shows the board once this person has a role."""
    if who.person(connection.using()) != st.session_state.get(SHOWN):
        st.rerun()


def card(title: str, sentence: str, account: str = "") -> None:
    """What the page says: our mark, a title, a sentence, and for whom it is."""
    name = f'<p class="ib-account">{markup.safe(account)}</p>' if account else ""
    st.html(
        f'<div class="ib ib-sign-in"><img src="{MARK}" alt=""><h1>{markup.safe(title)}</h1>{name}'
        f"<p>{markup.safe(sentence)}</p></div>"
    )


def remember_place() -> None:
    """Keep the address that was asked for, so that whoever followed a link to a job lands there."""
    asked = {name: st.query_params.get_all(name) for name in st.query_params if name != NOTICE}
    query = f"?{urlencode(asked, doseq=True)}" if asked else ""
    address = f"{urlsplit(st.context.url or '').path or '/'}{query}"
    if places.is_ours(address) and address != "/":
        who.keep(RETURN, address, seconds=RETURN_S, same_site="lax")
