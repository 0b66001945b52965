"""The web process answers to its own names and to its own pages, with its headers; whoever else asks is refused."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dashboard.gate import protection
from dashboard.gate.protection import Hosts, same_origin
from tasks import settings as settings_of
from tasks.errors import SettingsError
from tests.pages.test_server import dashboard, free_port, health
from tests.waiting import wait_until

NAMED = "board.example.com"
PATHS = (
    *("/", "/job", "/healthz", "/board.js", "/exports/nothing", "/nothing/there", "/static/js/nothing.js"),
    *("/_stcore/health", "/_stcore/host-config", "/_stcore/metrics", "/media/nothing"),
)
UPLOAD = "/_stcore/upload_file/no-session/no-file"


class Server:
    """The dashboard on a port of its own, asked as a program would: any host, any header."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(
        self, path: str, method: str = "GET", *, host: str = "", body: str = "", **headers: str
    ) -> http.client.HTTPResponse:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        link.putrequest(method, path, skip_host=True)
        link.putheader("Host", host or f"127.0.0.1:{self.port}")
        for name, value in headers.items():
            link.putheader(name.replace("_", "-"), value)
        link.putheader("Content-Length", str(len(body)))
        link.endheaders(body.encode())
        answer = link.getresponse()
        answer.read()
        link.close()
        return answer

    def stream(self, *, host: str = "", origin: str | None = None) -> int:
        """The status with which the pages' WebSocket is answered."""
        address = f"ws://{host or f'127.0.0.1:{self.port}'}/_stcore/stream"
        try:
            with connect(
                address,
                origin=origin,  # type: ignore[arg-type]
                sock=socket.create_connection(("127.0.0.1", self.port)),
                subprotocols=["streamlit"],  # type: ignore[list-item]
                proxy=None,
            ) as found:
                assert found.response is not None
                assert "server" not in found.response.headers
                return found.response.status_code
        except InvalidStatus as refused:
            return refused.response.status_code


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Server]:
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INGESTBOARD_ALLOWED_HOSTS", NAMED)
        # What somebody set for another Streamlit on this machine switches nothing off here.
        for name, value in (("XSRF_PROTECTION", "false"), ("CORS", "false"), ("AGENT_API", "true")):
            patch.setenv(f"STREAMLIT_SERVER_ENABLE_{name}", value)
        with dashboard(tmp_path_factory.mktemp("protected"), port, redis_url):
            wait_until(lambda: health(port), what="/healthz")
            yield Server(port)


# --- what answers carry ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_headers_and_names_no_version(server: Server, path: str) -> None:
    answer = server.ask(path)
    for name, value in protection.headers().items():
        assert answer.headers.get_all(name) == [value]
    said = " ".join(f"{name}: {value}" for name, value in answer.headers.items()).lower()
    assert "server:" not in said
    assert not re.search(r"uvicorn|starlette|python|streamlit/\d|x-powered-by", said)


def test_no_inline_script_and_no_eval_but_streamlits_own_line() -> None:
    rules = dict(rule.split(" ", 1) for rule in protection.policy().split("; "))
    assert re.fullmatch(r"'self' 'wasm-unsafe-eval' 'sha256-[\w+/]{43}='", rules["script-src"])
    assert rules["frame-ancestors"] == rules["object-src"] == rules["base-uri"] == rules["default-src"] == "'none'"
    assert not any("*" in value or "http" in value for value in rules.values())


def test_cookies_are_closed(server: Server) -> None:
    plain = server.ask("/_stcore/health").headers["Set-Cookie"]
    assert plain.startswith("_streamlit_xsrf=")
    assert "SameSite=Lax" in plain
    assert "Secure" not in plain
    # A proxy on this machine that ended TLS says so, as nginx and Caddy do.
    assert "Secure" in server.ask("/_stcore/health", X_Forwarded_Proto="https").headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("given", "closed"),
    [
        (b"a=1", b"a=1; SameSite=Lax; HttpOnly; Secure"),
        (b"a=1; Path=/; HttpOnly; SameSite=Strict", b"a=1; Path=/; HttpOnly; SameSite=Strict; Secure"),
        (b"_streamlit_xsrf=1; SameSite=Lax", b"_streamlit_xsrf=1; SameSite=Lax; Secure"),
    ],
)
def test_what_a_cookie_lacks_is_added(given: bytes, closed: bytes) -> None:
    assert protection._cookie(given, secure=True) == closed


# --- the host ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_a_name_that_was_rebound_to_our_address_is_refused(server: Server, path: str) -> None:
    assert server.ask(path, host=f"evil.example.com:{server.port}").status == 403


@pytest.mark.parametrize("host", ["localhost", "LocalHost.", "[::1]:8501", NAMED, f"{NAMED}:443"])
def test_our_names_are_answered_to(server: Server, host: str) -> None:
    assert server.ask("/healthz", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [f"{NAMED}.evil.example", f"x{NAMED}", f"x@{NAMED}", f"{NAMED}/x", "localhost:x", "10.0.0.7", "", "[::1", "[::2]"],
)
def test_what_only_looks_like_our_name_is_refused(host: str) -> None:
    assert host not in Hosts(settings_of.read(allowed_hosts=NAMED))


def test_two_host_headers_are_refused(server: Server) -> None:
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    link.putrequest("GET", "/healthz")
    link.putheader("Host", "evil.example.com")
    link.endheaders()
    assert link.getresponse().status in (400, 403)
    link.close()


def test_where_it_listens_everywhere_addresses_are_fine_and_names_are_not() -> None:
    hosts = Hosts(settings_of.read(host="0.0.0.0", allowed_hosts="*.example.org"))
    assert "192.0.2.7:8501" in hosts
    assert "[2001:db8::7]:8501" in hosts
    assert "board.example.org" in hosts
    assert "example.org" not in hosts
    assert "evil.example.com" not in hosts
    assert "evil.example.com" in Hosts(settings_of.read(allowed_hosts="*"))


@pytest.mark.parametrize("value", ["https://board.example.com", "board:8501", "a b", "bad:8501", "*.", "a/b"])
def test_a_setting_that_is_no_host_name_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("INGESTBOARD_ALLOWED_HOSTS", value)
    with pytest.raises(SettingsError, match="INGESTBOARD_ALLOWED_HOSTS"):
        settings_of.read()


# --- the origin --------------------------------------------------------------------------------------

FOREIGN = ("https://evil.example.com", "null", "http://localhost:1", "http://127.0.0.1", "file://", "")


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("path", ["/healthz", "/exports/nothing", "/", UPLOAD])
def test_a_page_of_another_site_is_refused(server: Server, path: str, origin: str) -> None:
    """Another port of this machine is another site as well; Streamlit alone would let it in."""
    for method in ("GET", "PUT"):
        answer = server.ask(path, method, Origin=origin)
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_websocket_of_another_sites_page_is_refused(server: Server, origin: str) -> None:
    assert server.stream(origin=origin) == 403


def test_our_own_pages_and_programs_have_their_websocket(server: Server) -> None:
    assert server.stream(origin=f"http://127.0.0.1:{server.port}") == 101
    assert server.stream(origin=f"https://{NAMED}", host=NAMED) == 101  # a proxy ended TLS and kept the host
    assert server.stream() == 101
    assert server.stream(host="evil.example.com") == 403


def test_an_origin_is_ours_by_scheme_host_and_port() -> None:
    assert same_origin("https://Board:443", "board", secure=True)
    assert not same_origin("http://board", "board", secure=True)
    assert not same_origin("http://board:80", "board:8501", secure=False)


def test_another_sites_page_may_link_here_and_embed_nothing(server: Server) -> None:
    site = {"Sec_Fetch_Site": "cross-site"}
    assert server.ask("/", **site, Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document").status == 200
    assert server.ask("/", **site, Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="iframe").status == 403
    assert server.ask("/healthz", **site, Sec_Fetch_Mode="no-cors", Sec_Fetch_Dest="image").status == 403
    assert server.ask("/", "POST", **site, Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document").status == 403


# --- uploads -----------------------------------------------------------------------------------------


def test_an_upload_takes_the_token_of_our_own_page(server: Server) -> None:
    cookie = server.ask("/_stcore/health").headers["Set-Cookie"].partition(";")[0]
    token = cookie.partition("=")[2]
    assert server.ask(UPLOAD, "PUT", body="x").status == 403
    assert server.ask(UPLOAD, "PUT", body="x", Cookie=cookie).status == 403
    assert server.ask(UPLOAD, "PUT", body="x", X_Xsrftoken=token).status == 403
    assert server.ask(UPLOAD, "PUT", body="x", Cookie=cookie, X_Xsrftoken="2|00|00|0").status == 403
    assert server.ask(UPLOAD, "DELETE", Cookie=cookie).status == 403
    # With both the token is no obstacle any more, but there is no such session.
    assert server.ask(UPLOAD, "PUT", body="x", Cookie=cookie, X_Xsrftoken=token).status == 400


def test_the_interface_for_programs_that_drive_pages_is_off(server: Server) -> None:
    assert server.ask("/_stcore/agent/interact", "POST", body="{}").status in (403, 404)
