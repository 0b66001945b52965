"""A reverse proxy signs people in: the board believes its headers, and those of nobody else."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tasks.ledger import monitor
from tasks.ledger.states import State
from tests.browser.forwarder import ADDRESS, COOKIE, SEEN_FROM, Forwarder
from tests.browser.scratch_board import ScratchBoard
from tests.browser.signed_board import ROLES, recorded, shows
from tests.factories import submitted
from tests.pages.test_server import free_port
from tests.waiting import wait_until

FORGED = {"X-Forwarded-Email": "ada@example.com", "X-Forwarded-For": ADDRESS}
Visit = Callable[..., Page]


class ProxyBoard(ScratchBoard):
    """The dashboard's process with AUTH=proxy, and the proxy in front of it."""

    def settings_for(self, folder: Path) -> dict[str, str]:
        self.direct = self.address
        self.proxy = Forwarder(int(self.direct.rpartition(":")[2]), free_port())
        self.roles = folder / "roles.toml"
        self.roles.write_text(ROLES)
        return {"INGESTBOARD_AUTH": "proxy", "INGESTBOARD_PROXIES": ADDRESS, "INGESTBOARD_ROLES": str(self.roles)}

    def fill(self) -> None:
        super().fill()
        self.asked_for = submitted(self.ledger, title="Asked for")
        submitted(self.ledger, title="Salaries of May", owner="hana", collection="payroll")

    def stop(self) -> None:
        super().stop()
        self.proxy.stop()


@pytest.fixture(scope="module")
def behind(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyBoard]:
    board = ProxyBoard(redis_url, tmp_path_factory.mktemp("behind"))
    yield board
    board.stop()


@pytest.fixture(scope="module")
def browsed(chromium: Browser, behind: ProxyBoard) -> Iterator[BrowserContext]:
    made = chromium.new_context(base_url=behind.proxy.address)
    made.set_default_timeout(15_000)
    yield made
    made.close()


@pytest.fixture
def visit(browsed: BrowserContext, behind: ProxyBoard) -> Iterator[Visit]:
    """Open an address of the board through the proxy, as somebody it knows if they are named."""

    def opened(address: str = "/", *, email: str = "", groups: str = "") -> Page:
        if email:
            browsed.add_cookies([{"name": COOKIE, "value": f"{email}|{groups}", "url": behind.proxy.address}])
        page = browsed.new_page()
        page.goto(address)
        return page

    yield opened
    for page in browsed.pages:
        page.close()
    browsed.clear_cookies()


@pytest.mark.parametrize(
    ("email", "groups", "role"),
    [
        ("ada@example.com", "", "admin"),
        ("otto@example.com", "operators", "operator"),
        ("vera@example.com", "", "viewer"),
    ],
)
def test_each_role_comes_in_by_the_proxy(visit: Visit, email: str, groups: str, role: str) -> None:
    page = visit(email=email, groups=groups)
    shows(page, f", {role}")
    shows(page, "Handbook")
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


def test_whom_the_proxy_does_not_name_sees_nothing(visit: Visit) -> None:
    page = visit()
    shows(page, "did not say who you are")
    expect(page.get_by_text("Handbook")).to_have_count(0)


def test_whom_it_names_without_a_role_is_told_whom_to_ask(visit: Visit) -> None:
    page = visit(email="eve@example.com.attacker.net")
    shows(page, "No role on this board yet")
    expect(page.get_by_text("Handbook")).to_have_count(0)


def test_a_collection_of_others_is_not_seen(visit: Visit) -> None:
    shows(visit(email="hana@example.com", groups="hr"), "Salaries of May")
    page = visit(email="vera@example.com")
    shows(page, "Handbook")
    expect(page.get_by_text("Salaries of May")).to_have_count(0)


def test_the_record_has_the_persons_address_and_whom_the_proxy_served(visit: Visit, behind: ProxyBoard) -> None:
    page = visit(f"/job?job={behind.asked_for}&ask=cancel", email="otto@example.com", groups="operators")
    page.get_by_role("button", name="Cancel the job").click()
    done = ("cancel", "otto@example.com", f"page {SEEN_FROM}", "allowed")
    wait_until(lambda: done in recorded(behind.ledger, behind.asked_for), what="the cancel on the record")
    assert monitor.job(behind.ledger, behind.asked_for).state is State.CANCELED


def test_a_role_that_is_taken_away_is_gone_with_the_next_tick(visit: Visit, behind: ProxyBoard) -> None:
    page = visit(email="vera@example.com")
    shows(page, "Handbook")
    behind.roles.write_text("[roles]\n")
    shows(page, "No role on this board yet")
    expect(page.get_by_text("Handbook")).to_have_count(0)
    behind.roles.write_text(ROLES)


# --- past the proxy ----------------------------------------------------------------------------------


def asked(board: ProxyBoard, path: str, headers: dict[str, str], *, via: str = "127.0.0.1") -> tuple[int, str]:
    link = http.client.HTTPConnection(board.direct.removeprefix("http://"), timeout=10, source_address=(via, 0))
    link.request("GET", path, headers=headers)
    found = link.getresponse()
    said = found.status, found.read().decode()
    link.close()
    return said


@pytest.mark.parametrize("path", ["/", "/board", "/exports/nothing", "/media/x", "/_stcore/health", "/static/js/x.js"])
def test_a_direct_connection_is_refused_with_forged_headers_and_without(behind: ProxyBoard, path: str) -> None:
    for headers in ({}, FORGED):
        status, said = asked(behind, path, headers)
        assert status == 403
        assert "reached through its proxy alone" in said


def test_whether_the_board_is_alive_anybody_may_ask(behind: ProxyBoard) -> None:
    assert asked(behind, "/healthz", {})[0] == 200


@pytest.mark.parametrize("headers", [{}, FORGED])
def test_a_direct_websocket_is_refused(behind: ProxyBoard, headers: dict[str, str]) -> None:
    port = int(behind.direct.rpartition(":")[2])
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(
            f"ws://127.0.0.1:{port}/_stcore/stream",
            additional_headers=headers,
            sock=socket.create_connection(("127.0.0.1", port)),
            proxy=None,
        ),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_a_proxy_that_names_two_people_names_nobody(behind: ProxyBoard) -> None:
    link = http.client.HTTPConnection(behind.direct.removeprefix("http://"), timeout=10, source_address=(ADDRESS, 0))
    link.putrequest("GET", "/exports/nothing")
    for email in ("vera@example.com", "ada@example.com"):
        link.putheader("X-Forwarded-Email", email)
    link.endheaders()
    answer = link.getresponse()
    assert (answer.status, b"more than once" in answer.read()) == (403, True)
    link.close()
    named = {"X-Forwarded-Email": "vera@example.com"}
    wait_until(lambda: asked(behind, "/exports/nothing", named, via=ADDRESS)[0] == 404, what="the one who is named")
    assert asked(behind, "/exports/nothing", {"X-Forwarded-Email": " "}, via=ADDRESS)[0] == 401
