"""The Access page: who I am and what I may do, a token that is shown once, and the roles file for administrators."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import connection
from dashboard.cards import tokens_card
from dashboard.gate import who
from tasks.access import NEEDS, Person, Role, at_least
from tasks.errors import TokenRefused
from tasks.ledger import Ledger, activity, control, tokens
from tests.pages.conftest import Open, Sits, button, html_of, words_of

ANA = Person("ana@example.com", Role.ADMIN, email="ana@example.com", groups=frozenset({"platform"}))
EVE = Person("eve@example.com", Role.VIEWER, email="eve@example.com", hidden=("hr-*",))
FILE = '[roles]\nadmin = ["group:platform"]\nviewer = ["@example.com"]\n'


@pytest.fixture
def signing_in(board_ledger: Ledger) -> Ledger:
    """The ledger of an installation where people sign in."""
    settings = board_ledger.settings.model_copy(update={"auth": "proxy"})
    settings.roles_file.parent.mkdir(parents=True, exist_ok=True)
    settings.roles_file.write_text(FILE)
    ledger = Ledger(board_ledger.redis, settings, board_ledger.person)
    connection.use(ledger, tick_s=0.0)
    return ledger


def edited(page: AppTest, text: str) -> AppTest:
    page.text_area[0].set_value(text).run()
    assert not page.exception
    return page


@pytest.mark.parametrize("role", list(Role))
def test_it_says_who_i_am_and_what_my_role_may_do(open_page: Open, sits: Sits, role: Role) -> None:
    sits(Person("<i>eve</i>", role, email="eve@example.com", groups=frozenset({"hr", "ops"})))
    page = open_page("access")
    words = words_of(page)
    assert f"Name <i>eve</i> Role {role.value.capitalize()} Address eve@example.com Groups hr, ops" in words
    assert "<i>eve" not in html_of(page)
    held, beyond = html_of(page).split('<div class="ib-soft"><h4>')[0], html_of(page)
    for right, needed in NEEDS.items():
        assert (f"<li>{right.value}</li>" in held) is at_least(role, needed)
        assert (f"<li>{right.value}</li>" in beyond) is (needed is not None)
    assert words.count("your role") == 1


def test_it_does_not_tell_which_collections_are_for_others(open_page: Open, signing_in: Ledger, sits: Sits) -> None:
    sits(EVE)
    page = open_page("access")
    assert "hr-" not in html_of(page)
    assert not page.text_area, "the roles file is for administrators"


def test_where_nobody_signs_in_there_are_no_roles_to_name(open_page: Open) -> None:
    page = open_page("access")
    assert "Nobody signs in on this machine" in words_of(page)
    assert not page.text_area
    assert [one.value for one in page.subheader] == ["Tokens"]


def test_a_token_is_shown_once_and_kept_nowhere(open_page: Open, board_ledger: Ledger, sits: Sits) -> None:
    sits(Person("eve", Role.OPERATOR))
    page = open_page("access")
    assert "No token yet" in words_of(page)
    field = next(one for one in page.selectbox if one.label == "Role")
    assert field.options == ["Viewer", "Operator"], "none that is more than theirs"
    page.text_input(key=tokens_card.LABEL).set_value("nightly <b>run</b>")
    field.set_value("operator")
    page.number_input(key=tokens_card.DAYS).set_value(7)
    button(page, "Make a token").click().run()
    (words,) = [one.value for one in page.code]
    assert tokens.person_of(board_ledger, words, None) == Person("eve", Role.OPERATOR)
    assert "shown this once" in " ".join(one.value for one in page.markdown)
    secret = words.rpartition("_")[2]
    assert not [key for key in board_ledger.redis.keys("*") if secret in str(board_ledger.redis.dump(key))]
    assert secret not in str(activity.page(board_ledger).rows)
    button(page, "I have it").click().run()
    assert not page.code
    assert "nightly <b>run</b>" in words_of(page)
    assert "in 7 d" in words_of(page)
    assert tokens_card.MADE not in page.session_state


def test_a_token_is_gone_from_the_page_after_a_while(
    open_page: Open, sits: Sits, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page("access")
    page.text_input(key=tokens_card.LABEL).set_value("ci")
    button(page, "Make a token").click().run()
    assert page.code
    monkeypatch.setattr(tokens_card, "SHOWN_FOR_S", 0.0)
    page.run()
    assert not page.code


def test_a_token_without_a_purpose_is_a_sentence(open_page: Open) -> None:
    page = open_page("access")
    button(page, "Make a token").click().run()
    assert "what it is for" in page.warning[0].value
    assert not page.code


def test_a_token_is_revoked_after_a_question(open_page: Open, board_ledger: Ledger, sits: Sits) -> None:
    eve = board_ledger.held_by(EVE)
    words, made = tokens.make(eve, "ci", role=Role.VIEWER, days=1)
    tokens.make(board_ledger.held_by(ANA), "hers", role=Role.VIEWER, days=1)
    sits(EVE)
    page = open_page("access")
    field = page.selectbox(key=tokens_card.CHOSEN)
    assert len(field.options) == 1, "only their own"
    field.set_value(made.id).run()
    button(page, "Revoke…").click().run()
    assert "is refused from its next request on" in page.text[0].value
    button(page, "Revoke").click().run()
    with pytest.raises(TokenRefused):
        tokens.person_of(board_ledger, words, None)
    assert "No token yet" in words_of(page)


def test_administrators_see_the_tokens_of_everybody(open_page: Open, board_ledger: Ledger, sits: Sits) -> None:
    tokens.make(board_ledger.held_by(EVE), "ci", role=Role.VIEWER, days=1)
    sits(ANA)
    page = open_page("access")
    assert "No token yet" in words_of(page)
    page.toggle(key=tokens_card.ALL).set_value(True).run()
    assert "eve@example.com viewer" in words_of(page)


def test_a_change_of_the_roles_is_previewed_before_it_is_saved(open_page: Open, signing_in: Ledger, sits: Sits) -> None:
    who.roles(signing_in.settings).current().person(name="pia", groups=["platform"])  # who has a page open
    control.record(signing_in, "cancel", "x", by="ben@example.com", result="Done.")
    sits(ANA)
    page = open_page("access")
    assert button(page, "Save…").disabled
    edited(page, FILE.replace('viewer = ["@example.com"]', 'operator = ["ben@example.com"]'))
    words = words_of(page)
    assert "Operator gains ben@example.com. Viewer loses @example.com." in words
    assert "1 of the 2 people seen lately would notice." in words
    assert "ben@example.com is operator, was viewer" in words
    button(page, "Save…").click().run()
    assert "operator gains ben@example.com; viewer loses @example.com" in page.text[-1].value
    assert signing_in.settings.roles_file.read_text() == FILE
    button(page, "Save").click().run()
    assert 'operator = ["ben@example.com"]' in signing_in.settings.roles_file.read_text()
    assert "The roles were changed" in page.toast[0].value
    assert button(page, "Save…").disabled, "the editor begins anew with what is there"
    assert activity.page(signing_in).rows[0].by == ANA.name


def test_a_text_that_cannot_be_used_is_not_saved_and_says_why(open_page: Open, signing_in: Ledger, sits: Sits) -> None:
    sits(ANA)
    page = edited(open_page("access"), '[roles]\nadmin = ["ana@"]')
    assert "is no e\\-mail address" in page.error[0].value or "is no e-mail address" in page.error[0].value
    assert button(page, "Save…").disabled


def test_who_would_lock_themselves_out_is_told(open_page: Open, signing_in: Ledger, sits: Sits) -> None:
    sits(ANA)
    page = edited(open_page("access"), FILE.replace("group:platform", "bo@example.com"))
    button(page, "Save…").click().run()
    button(page, "Save").click().run()
    assert "could not change it back" in page.warning[0].value
    assert signing_in.settings.roles_file.read_text() == FILE
    assert "bo@example.com" in (page.text_area[0].value or ""), "what was typed is still there"


def test_a_change_beside_it_is_noticed_and_loaded_again(open_page: Open, signing_in: Ledger, sits: Sits) -> None:
    sits(ANA)
    page = edited(open_page("access"), FILE + "# mine\n")
    signing_in.settings.roles_file.write_text(FILE + "# theirs\n")
    button(page, "Save…").click().run()
    button(page, "Save").click().run()
    assert "somebody else changed it meanwhile" in page.warning[0].value
    button(page, "Load again").click().run()
    assert page.text_area[0].value == FILE + "# theirs\n"


def test_an_address_can_be_tried_under_the_text(open_page: Open, signing_in: Ledger, sits: Sits) -> None:
    sits(ANA)
    page = edited(open_page("access"), f'{FILE}[collections."hr-*"]\nsee = ["group:hr"]\n')
    page.text_input(key="try-email").set_value("ben@example.com").run()
    assert page.text[-1].value == "ben@example.com would be viewer. They would not see hr-*."
    page.text_input(key="try-groups").set_value("hr, platform").run()
    assert page.text[-1].value == "ben@example.com would be admin."


@pytest.mark.parametrize("page", ["board", "documents", "history", "access"])
def test_a_roles_file_that_cannot_be_used_is_told_to_administrators_on_every_page(
    open_page: Open, signing_in: Ledger, sits: Sits, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    file = who.roles(signing_in.settings)
    monkeypatch.setattr("tasks.access.roles.LOOK_EVERY_S", 0.0)
    file.current()
    signing_in.settings.roles_file.write_text("[roles")
    sits(ANA)
    assert "The roles of before stay in force" in open_page(page).warning[0].value.replace("\\", "")
    sits(EVE)
    assert not open_page(page).warning
