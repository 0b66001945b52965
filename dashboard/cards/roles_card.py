"""The roles file on the page Access, for administrators: its text, what another one would mean, and saving it.

Written through tasks.ledger.control alone. Where nobody signs in there are no roles to name.
"""

from __future__ import annotations

import hashlib

import streamlit as st

from dashboard import connection, markup
from dashboard.acting import allowed, deciding
from dashboard.acting.actions import Question
from dashboard.drawing import access_markup
from dashboard.gate import who
from tasks.access import Right, RolesFile
from tasks.access.comparing import Somebody, effects, entries, said_of
from tasks.access.roles import Roles, parse
from tasks.errors import RolesUnreadable
from tasks.ledger import activity, control

BEFORE = "access:before"  # the text as it was read
WANTED = "access:wanted"  # the text that is asked about
SAVE = "set roles"
HIGH = 320


def warn() -> None:
    """Tell administrators on every page that the roles file cannot be used by now."""
    settings = connection.redis().settings
    if settings.auth == "local" or not allowed.may(Right.SET_ROLES):
        return
    file = who.roles(settings)
    file.current()
    if file.trouble:
        st.warning(markup.literal(file.trouble), icon=":material/key_off:")


def card() -> None:
    """The editor, and what its text would mean."""
    settings = connection.redis().settings
    if settings.auth == "local" or not allowed.may(Right.SET_ROLES):
        return
    file = who.roles(settings)
    st.subheader("Who may do what")
    st.html(
        '<p class="ib ib-soft">An entry is an e-mail address, <code>@domain</code>, <code>group:NAME</code>, or '
        "<code>*</code> for whoever is signed in. What is saved here counts for everybody within a second.</p>"
    )
    before = read(file)
    text = st.text_area("The roles file", before, height=HIGH, key=key(before)) or ""
    after = understood(file, text)
    if after is not None and text != before:
        changed(before, after)
    with st.container(horizontal=True):
        st.button(
            "Save…",
            type="primary",
            icon=":material/save:",
            key="save-roles",
            disabled=after is None or text == before,
            on_click=ask,
            args=(text,),
        )
        st.button("Load again", icon=":material/refresh:", key="load-roles", on_click=load_again)
    attempt(after)


def read(file: RolesFile) -> str:
    """The text that the editor began with; it stays until it is loaded again, so that a change beside it is noticed."""
    if BEFORE not in st.session_state:
        try:
            st.session_state[BEFORE] = file.content()
        except RolesUnreadable as error:
            st.error(markup.literal(error), icon=":material/error:")
            return ""
    return str(st.session_state[BEFORE])


def key(before: str) -> str:
    return f"roles-{hashlib.sha256(before.encode()).hexdigest()[:12]}"


def ask(text: str) -> None:
    st.session_state[WANTED] = text
    deciding.ask(SAVE, "roles")


def load_again() -> None:
    before = st.session_state.pop(BEFORE, None)
    if before is not None:
        st.session_state.pop(key(before), None)


def understood(file: RolesFile, text: str) -> Roles | None:
    """The roles in a text, or None with what is wrong with it."""
    try:
        return parse(text, path=str(file.path))
    except RolesUnreadable as error:
        st.error(markup.literal(error), icon=":material/error:")
        return None


def changed(before: str, after: Roles) -> None:
    """What saving would change."""
    known = known_roles(before)
    people = seen_lately()
    st.html(access_markup.changes(entries(known, after), effects(known, after, people), len(people)))


def known_roles(before: str) -> Roles:
    """The roles of the text that was read; none where it cannot be used."""
    try:
        return parse(before)
    except RolesUnreadable:
        return Roles()


def seen_lately() -> list[Somebody]:
    """Those who had a page open since the file changed, with their groups; and whoever is on the record, by address."""
    redis = connection.redis()
    asked = who.roles(redis.settings).current().asked_for()
    found = {name: Somebody(name, email, groups) for name, email, groups in asked}
    addresses = {one.email for one in found.values()}
    recorded, _ = activity.known(redis.ledger)
    return [*found.values(), *(Somebody(name, name) for name in recorded if "@" in name and name not in addresses)]


def attempt(after: Roles | None) -> None:
    """Try an address and groups: what would they be."""
    with st.expander("Try an address", icon=":material/person_search:"):
        left, right = st.columns(2)
        email = (left.text_input("E-mail address", key="try-email", placeholder="ben@example.com") or "").strip()
        named = right.text_input("Groups, with commas between", key="try-groups", placeholder="platform, hr") or ""
        groups = [one.strip() for one in named.split(",") if one.strip()]
        if after is None or not (email or groups):
            st.caption("Says what somebody would be under the text above.")
            return
        st.text(markup.seen(said_of(after.person(name=email or "Somebody", email=email, groups=groups))))


def open_question() -> None:
    """The question before the roles change."""
    if not deciding.asked(SAVE):
        return
    text = str(st.session_state.get(WANTED, ""))
    settings = connection.redis().settings
    before = str(st.session_state.get(BEFORE, ""))
    try:
        said = entries(known_roles(before), parse(text))
    except RolesUnreadable as error:
        said = [str(error)]
    body = f"{'; '.join(said) or 'No entry changes'}. It counts for everybody within a second, and is on the record."

    def save() -> str:
        return control.set_roles(connection.redis().ledger, who.roles(settings), text, before=before)

    question = Question("Change who may do what?", body, "Save", "Not now")
    deciding.put(question, save, right=Right.SET_ROLES, then=load_again)
