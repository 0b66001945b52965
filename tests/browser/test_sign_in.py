"""People sign in by a real OpenID provider: each role, no role, and all that only looks like a session."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from streamlit.web.server.starlette.starlette_server_config import TOKENS_COOKIE_NAME

from dashboard.gate.auth_answers import RETURN
from tasks.ledger import monitor
from tasks.ledger.states import State
from tests.browser.signed_board import ROLES, SignedBoard, recorded, shows, sign_in
from tests.browser.test_accessibility import violations
from tests.waiting import wait_until

expect.set_options(timeout=15_000)  # many programs may share a machine
SESSION_S = 12 * 3600
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def signed(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedBoard]:
    board = SignedBoard(redis_url, tmp_path_factory.mktemp("signed"))
    yield board
    board.stop()


@pytest.fixture(autouse=True)
def _as_it_was(signed: SignedBoard) -> Iterator[None]:
    yield
    if signed.roles.read_text() != ROLES:
        signed.roles.write_text(ROLES)
    signed.say_issuer("")


@pytest.fixture(scope="module")
def browsed(chromium: Browser, signed: SignedBoard) -> Iterator[BrowserContext]:
    made = chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=signed.address)
    made.set_default_timeout(15_000)
    made.route(re.compile("^https:"), lambda asked: asked.abort())  # the style of the provider's own pages
    yield made
    made.close()


@pytest.fixture
def context(browsed: BrowserContext) -> Iterator[BrowserContext]:
    """A browser that has signed in nowhere. It keeps the files of the pages: to fetch them takes a second."""
    yield browsed
    for page in browsed.pages:
        page.close()
    browsed.clear_cookies()


@pytest.fixture
def visit(context: BrowserContext, signed: SignedBoard) -> Visit:
    """Open an address of the board, with the session of somebody if they are named."""

    def opened(address: str = "/", *, sub: str = "", iat: float | None = None) -> Page:
        if sub:
            signed.carry(context, signed.cookie(sub, iat=iat or int(time.time())))
        page = context.new_page()
        page.goto(address)
        return page

    return opened


def asked_to_sign_in(page: Page) -> None:
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.locator('[data-testid="stSidebarNav"]')).to_have_count(0)
    expect(page.get_by_text("Handbook")).to_have_count(0)


def without_role(page: Page) -> None:
    expect(page.get_by_role("heading", name="No role on this board yet")).to_be_visible()
    expect(page.locator('[data-testid="stSidebarNav"]')).to_have_count(0)
    expect(page.get_by_text("Handbook")).to_have_count(0)


# --- in and out --------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/?q=owner:ana", "/documents"])
def test_whoever_has_not_signed_in_sees_one_button(visit: Visit, address: str) -> None:
    page = visit(address)
    asked_to_sign_in(page)
    assert [one.inner_text() for one in page.get_by_role("button").all()] == ["Sign in"]


@pytest.mark.parametrize(("sub", "role"), [("ada", "admin"), ("otto", "operator"), ("vera", "viewer")])
def test_each_role_signs_in_through_the_provider(visit: Visit, sub: str, role: str) -> None:
    page = visit()
    sign_in(page, sub)
    # A word joiner, which nobody sees, keeps the address from becoming a link.
    expect(page.get_by_text(re.compile(rf"^Signed in as {sub}@.example\.com, {role}$"))).to_be_visible()
    shows(page, "Handbook")


def test_a_link_to_a_job_leads_there_after_the_sign_in(visit: Visit, signed: SignedBoard) -> None:
    page = visit(f"/job?job={signed.running}")
    wait_until(lambda: RETURN in page.evaluate("document.cookie"), what="the place to be kept")
    sign_in(page, "vera")
    expect(page.get_by_role("heading", name="Handbook")).to_be_visible()
    assert page.url == f"{signed.address}/job?job={signed.running}"


def test_the_cookies_of_a_session_are_closed_and_end_with_it(visit: Visit, context: BrowserContext) -> None:
    page = visit()
    sign_in(page, "vera")
    shows(page, "Handbook")
    kept = {one["name"]: one for one in context.cookies() if one["name"].startswith("_streamlit_user")}
    assert len(kept) >= 2
    for one in kept.values():
        assert one["httpOnly"]
        assert one["sameSite"] == "Lax"
        assert one["expires"] <= time.time() + SESSION_S + 1


def test_signing_out_ends_the_session_in_every_tab_and_every_copy(
    visit: Visit, context: BrowserContext, chromium: Browser, signed: SignedBoard
) -> None:
    page = visit()
    sign_in(page, "vera")
    shows(page, "Handbook")
    other = visit()
    shows(other, "Handbook")
    copied = context.cookies(signed.address)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="End session").click()  # the provider asks, and sends back
    asked_to_sign_in(page)
    asked_to_sign_in(other)
    with chromium.new_context(base_url=signed.address) as elsewhere:
        elsewhere.add_cookies(copied)  # type: ignore[arg-type]
        thief = elsewhere.new_page()
        thief.goto("/")
        asked_to_sign_in(thief)


def test_a_session_ends_when_its_time_is_over(visit: Visit) -> None:
    page = visit(sub="vera", iat=int(time.time()) - SESSION_S + 4)
    shows(page, "Handbook")
    asked_to_sign_in(page)


# --- who is nobody -----------------------------------------------------------------------------------


def status(board: SignedBoard, cookie: str, path: str = "/exports/nothing") -> int:
    link = http.client.HTTPConnection(board.address.removeprefix("http://"), timeout=10)
    link.request("GET", path, headers={"Cookie": cookie})
    answer = link.getresponse()
    answer.read()
    link.close()
    return answer.status


FORGED: dict[str, Callable[[SignedBoard], str]] = {
    "over": lambda board: board.cookie(iat=int(time.time()) - SESSION_S - 1),
    "from the future": lambda board: board.cookie(iat=int(time.time()) + 3600),
    "without a beginning": lambda board: board.cookie(iat=None),
    "with true for a beginning": lambda board: board.cookie(iat=True),
    "of another secret": lambda board: board.cookie(secret="another secret of forty characters or so"),
    "signed as another cookie": lambda board: board.cookie(name=TOKENS_COOKIE_NAME),
    "of another board": lambda board: board.cookie(origin="http://127.0.0.1:1"),
    "of another client": lambda board: board.cookie(aud="another"),
    "not signed in": lambda board: board.cookie(is_logged_in=False),
    "signed in as a word": lambda board: board.cookie(is_logged_in="yes"),
    "tampered with": lambda board: _tampered(board.cookie()),
    "cut": lambda board: board.cookie()[:-6],
    "in chunks that are not there": lambda board: board.cookie() and "chunks-3",
    "empty": lambda board: "",
    "not in latin": lambda board: "\N{SNOWMAN}".encode().decode("latin-1"),
}


def _tampered(cookie: str) -> str:
    body, _, signature = cookie.partition(".") if not cookie.startswith(".") else ("", "", cookie)
    return f"{body}.{signature[:10]}{'A' if signature[10] != 'A' else 'B'}{signature[11:]}"


@pytest.mark.parametrize("kind", FORGED)
def test_what_only_looks_like_a_session_is_nobody(signed: SignedBoard, kind: str) -> None:
    assert status(signed, f"_streamlit_user={signed.cookie()}") == 404  # let in, and there is no such export
    assert status(signed, f"_streamlit_user={FORGED[kind](signed)}") == 401


@pytest.mark.parametrize("kind", ["over", "tampered with", "of another secret"])
def test_the_pages_know_no_such_session_either(
    visit: Visit, context: BrowserContext, signed: SignedBoard, kind: str
) -> None:
    signed.carry(context, FORGED[kind](signed))
    asked_to_sign_in(visit())


def test_a_token_of_another_issuer_signs_nobody_in(visit: Visit, signed: SignedBoard, context: BrowserContext) -> None:
    signed.say_issuer("https://elsewhere.example")
    page = visit()
    sign_in(page, "ada")
    shows(page, "You were not signed in")
    asked_to_sign_in(page)
    assert not [one for one in context.cookies() if one["name"].startswith("_streamlit_user")]


def test_whoever_turns_back_at_the_provider_is_told_so(visit: Visit) -> None:
    page = visit()
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Deny").click()
    shows(page, "You were not signed in")


@pytest.mark.parametrize("sub", ["eve", "mallory"])
def test_whoever_has_no_role_is_told_whom_to_ask(visit: Visit, sub: str) -> None:
    page = visit(sub=sub)
    without_role(page)
    shows(page, "eve@example.com.attacker.net" if sub == "eve" else "mallory")


@pytest.mark.parametrize("sub", ["", "eve"])
def test_the_pages_of_the_sign_in_can_be_read_and_used_by_everybody(visit: Visit, sub: str) -> None:
    page = visit(sub=sub)
    expect(page.get_by_role("button", name="Sign out" if sub else "Sign in")).to_be_visible()
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme, width in product(schemes, (1440, 390)):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 780})
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


# --- roles while pages are open ----------------------------------------------------------------------


def test_a_role_that_is_given_opens_the_page_and_one_that_is_taken_away_closes_it(
    visit: Visit, signed: SignedBoard
) -> None:
    page = visit(sub="eve")
    without_role(page)
    signed.roles.write_text('[roles]\nviewer = ["eve@example.com.attacker.net"]\n')
    shows(page, "Handbook")
    signed.roles.write_text(ROLES)
    began = time.monotonic()
    without_role(page)
    assert time.monotonic() - began < 10  # a tick of a still board, a look at the file, and a busy machine


def test_a_role_that_was_taken_away_opens_no_file_and_no_upload(signed: SignedBoard) -> None:
    cookie = f"_streamlit_user={signed.cookie('vera')}"
    assert status(signed, cookie) == 404
    signed.roles.write_text("[roles]\n")
    wait_until(lambda: status(signed, cookie) == 403, what="the door")


def test_a_broken_roles_file_leaves_things_as_they_were_and_a_missing_one_closes_the_board(
    visit: Visit, signed: SignedBoard
) -> None:
    page = visit(sub="vera")
    shows(page, "Handbook")
    signed.roles.write_text("[roles\n")
    wait_until(lambda: "stay in force" in log_of(signed), what="the log")
    shows(page, "Handbook")
    signed.roles.rename(signed.roles.with_suffix(".gone"))
    without_role(page)
    signed.roles.with_suffix(".gone").rename(signed.roles)


def log_of(board: SignedBoard) -> str:
    return (Path(board.roles.parent) / "dashboard.log").read_text()


def test_a_collection_of_others_is_not_seen_and_goes_when_it_becomes_theirs(visit: Visit, signed: SignedBoard) -> None:
    page = visit(sub="hana")
    shows(page, "Salaries of May")
    signed.roles.write_text(ROLES.replace("group:hr", "group:board"))
    expect(page.get_by_text("Salaries of May")).to_have_count(0)
    shows(page, "Handbook")


def test_nobody_else_sees_it_by_its_address(visit: Visit, signed: SignedBoard) -> None:
    page = visit(f"/job?job={signed.hidden}", sub="vera")
    shows(page, "There is no job")
    expect(page.get_by_text("Salaries of May")).to_have_count(0)


# --- what they do ------------------------------------------------------------------------------------


def test_an_operator_acts_under_their_own_name(visit: Visit, signed: SignedBoard) -> None:
    page = visit(f"/job?job={signed.asked_for}&ask=cancel", sub="otto")
    page.get_by_role("button", name="Cancel the job").click()
    done = ("cancel", "otto@example.com", "page", "allowed")
    wait_until(lambda: done in recorded(signed.ledger, signed.asked_for), what="the cancel on the record")
    assert monitor.job(signed.ledger, signed.asked_for).state is State.CANCELED


def test_a_viewer_changes_nothing_however_they_ask(visit: Visit, signed: SignedBoard) -> None:
    page = visit(f"/job?job={signed.stays}&ask=cancel", sub="vera")
    expect(page.get_by_role("heading", name="To stay")).to_be_visible()
    offered = page.get_by_role("button", name="Cancel the job")
    if offered.count():
        offered.click()
        shows(page, "may not cancel jobs")
        assert ("cancel", "vera@example.com", "page", "refused") in recorded(signed.ledger, signed.stays)
    assert monitor.job(signed.ledger, signed.stays).state is State.QUEUED
