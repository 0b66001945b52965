"""The door of every route: closed to whoever has no role, however the path is written and whatever is sent along."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from dashboard import server
from dashboard.gate.auth_answers import NOTICE, REFUSED, RETURN, UNREACHABLE, AuthAnswers
from dashboard.gate.door import NO_ROLE, NO_UPLOAD, NOT_SIGNED_IN, STRANGER, TWICE, Door
from dashboard.gate.protection import Asgi, Protected, Receive, Scope, Send
from dashboard.gate.proxies import Behind
from tasks import settings as settings_of
from tasks.settings import Settings
from tests.pages.signing import alone, asked, inside, roles_file, session, with_oidc, with_proxy

OPEN = ("/", "/board", "/job", "/documents/", "/static/js/main.js", "/favicon.png", "/board.js", "/healthz")
PARTS = ("/_stcore/health", "/_stcore/host-config")
CLOSED = (
    *("/exports/abc", "/media/abc.csv", "/_stcore/upload_file/a/b", "/_stcore/metrics", "/component/x/index.html"),
    *("/_stcore/bidi-components/x", "/_stcore/agent/mcp", "/_stcore/script-health-check", "/app/static/x", "/nothing"),
)
TRICKS = (
    *("//exports/abc", "/exports//abc", "/exports/abc/", "/EXPORTS/abc", "/./exports/abc", "/static/../exports/abc"),
    *("/board/../exports/abc", "/board/exports/abc", "/staticexports/abc", "/static", "/media/../board", "/board//"),
    *("/exports/abc;/static/", "/exports/abc?/static/", "\\exports\\abc", "/exports/abc\x00", "/boardx", "/healthz/x"),
    *("/_stcore/health/../upload_file/a/b", "/_stcore//upload_file/a/b", "/auth/login/x", "/apix", "/metricsx"),
)
EMAIL, GROUPS = "X-Forwarded-Email", "X-Forwarded-Groups"


def ask(using: Settings, path: str, method: str = "GET", **more: Any) -> tuple[int, str]:
    app: Asgi = Door(inside, using)
    return asked(app, path, method, **more)[:2]


# --- nobody ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*OPEN, *PARTS])
def test_the_files_of_the_sign_in_page_are_open(tmp_path: Path, path: str) -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        assert ask(with_oidc(tmp_path), path, method)[0] == 200


@pytest.mark.parametrize("path", [*OPEN, *PARTS])
def test_nothing_can_be_sent_to_them(tmp_path: Path, path: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "get"):
        assert ask(with_oidc(tmp_path), path, method)[0] == 401


@pytest.mark.parametrize("path", [*CLOSED, *TRICKS])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"])
def test_everything_else_is_closed_however_it_is_written(tmp_path: Path, path: str, method: str) -> None:
    assert ask(with_oidc(tmp_path), path, method)[0] == 401
    assert ask(with_proxy(tmp_path), path, method)[0] == 401


def test_the_way_to_the_provider_is_open_with_oidc_alone(tmp_path: Path) -> None:
    for path in ("/auth/login", "/auth/logout", "/oauth2callback"):
        assert ask(with_oidc(tmp_path), path)[0] == 200
        assert ask(with_proxy(tmp_path), path)[0] == 401


def test_the_websocket_of_the_pages_is_open_and_no_other(tmp_path: Path) -> None:
    assert ask(with_oidc(tmp_path), "/_stcore/stream", kind="websocket")[0] == 101
    for path in ("/_stcore/stream/", "//_stcore/stream", "/", "/exports/abc"):
        assert ask(with_oidc(tmp_path), path, kind="websocket")[0] == 403


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/metrics"])
def test_who_asks_with_a_token_is_let_through_untouched(tmp_path: Path, path: str) -> None:
    for using in (with_oidc(tmp_path), with_proxy(tmp_path)):
        assert ask(using, path, "POST", peer="192.0.2.1") == (200, "inside -")


# --- somebody ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CLOSED)
def test_somebody_with_a_role_passes_under_their_name(tmp_path: Path, path: str) -> None:
    assert ask(with_oidc(tmp_path), path, headers=[("cookie", session("vera"))]) == (200, "inside vera@example.com")


@pytest.mark.parametrize("path", CLOSED)
def test_somebody_without_a_role_does_not(tmp_path: Path, path: str) -> None:
    assert ask(with_oidc(tmp_path), path, headers=[("cookie", session("eve"))]) == (403, NO_ROLE)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_an_upload_takes_the_right_to_submit(tmp_path: Path, method: str) -> None:
    using, path = with_oidc(tmp_path), "/_stcore/upload_file/a/b"
    assert ask(using, path, method, headers=[("cookie", session("vera"))]) == (403, NO_UPLOAD)
    assert ask(using, path, method, headers=[("cookie", session("otto", "operators"))])[0] == 200


def test_the_groups_come_from_the_claim_of_the_settings(tmp_path: Path) -> None:
    using = with_oidc(tmp_path, groups_claim="roles")
    asks = [("cookie", session("otto", "operators"))]
    assert ask(using, "/media/x", headers=asks) == (403, NO_ROLE)
    asks = [("cookie", session("otto", roles=["operators"]))]
    assert ask(using, "/media/x", headers=asks)[0] == 200


def test_an_address_that_nobody_verified_counts_only_where_the_roles_file_says_so(tmp_path: Path) -> None:
    using, asks = with_oidc(tmp_path), [("cookie", session("ada", email_verified=False))]
    assert ask(using, "/media/x", headers=asks) == (403, NO_ROLE)
    roles = roles_file(tmp_path, 'trust_unverified_email = true\n[roles]\nadmin = ["ada@example.com"]\n')
    trusting = using.model_copy(update={"roles": roles.rename(tmp_path / "trusting.toml")})
    assert ask(trusting, "/media/x", headers=asks)[0] == 200


def test_a_session_is_as_long_as_the_settings_say(tmp_path: Path) -> None:
    asks = [("cookie", session(iat=int(time.time()) - 5_000, auth_time=1))]
    assert ask(with_oidc(tmp_path), "/media/x", headers=asks)[0] == 200
    assert ask(with_oidc(tmp_path, session_hours=1), "/media/x", headers=asks) == (401, NOT_SIGNED_IN)


def test_the_headers_of_a_proxy_mean_nothing_to_oidc_and_cookies_nothing_to_a_proxy(tmp_path: Path) -> None:
    assert ask(with_oidc(tmp_path), "/media/x", headers=[(EMAIL, "ada@example.com")])[0] == 401
    assert ask(with_proxy(tmp_path), "/media/x", headers=[("cookie", session())])[0] == 401


def test_where_nobody_signs_in_everybody_passes(tmp_path: Path) -> None:
    using = settings_of.read(data=tmp_path)
    for path in (*OPEN, *CLOSED, *TRICKS):
        assert ask(using, path)[0] == 200


# --- behind a proxy ----------------------------------------------------------------------------------


def test_whom_a_believed_proxy_names_passes(tmp_path: Path) -> None:
    using = with_proxy(tmp_path)
    assert ask(using, "/media/x", headers=[(EMAIL, "vera@example.com")]) == (200, "inside vera@example.com")
    assert ask(using, "/media/x", headers=[(EMAIL, "x@y.z"), (GROUPS, "a, operators")]) == (200, "inside x@y.z")
    assert ask(using, "/media/x", headers=[(EMAIL, "x@y.z"), (GROUPS, "a,b")]) == (403, NO_ROLE)


@pytest.mark.parametrize("path", [*OPEN, *CLOSED])
@pytest.mark.parametrize("peer", ["10.0.1.7", "127.0.0.1", "::1", "", "10.0.0.7.evil", "::ffff:10.0.1.7"])
def test_a_stranger_is_refused_whatever_they_say(tmp_path: Path, path: str, peer: str) -> None:
    said = [(EMAIL, "ada@example.com"), ("X-Forwarded-For", "10.0.0.7")]
    expected = (200, "inside -") if path == "/healthz" else (403, STRANGER)
    assert ask(with_proxy(tmp_path), path, peer=peer, headers=said) == expected


def test_a_stranger_opens_no_websocket(tmp_path: Path) -> None:
    asks: dict[str, Any] = {"kind": "websocket", "headers": [(EMAIL, "ada@example.com")]}
    assert ask(with_proxy(tmp_path), "/_stcore/stream", peer="10.0.1.7", **asks)[0] == 403
    assert ask(with_proxy(tmp_path), "/_stcore/stream", **asks)[0] == 101


@pytest.mark.parametrize("name", [EMAIL, EMAIL.lower(), GROUPS])
def test_a_header_that_is_there_twice_names_nobody(tmp_path: Path, name: str) -> None:
    said = [(EMAIL, "vera@example.com"), (GROUPS, "a"), (name, "ada@example.com")]
    for path in ("/", "/media/x"):
        assert ask(with_proxy(tmp_path), path, headers=said) == (403, TWICE)
    assert ask(with_proxy(tmp_path), "/_stcore/stream", kind="websocket", headers=said)[0] == 403


@pytest.mark.parametrize("email", ["", " ", "\t"])
def test_an_empty_header_names_nobody(tmp_path: Path, email: str) -> None:
    said = [(EMAIL, email), (GROUPS, "operators")]
    assert ask(with_proxy(tmp_path), "/media/x", headers=said) == (401, NOT_SIGNED_IN)


@pytest.mark.parametrize("email", ["ada@example.com, vera@example.com", "ada@example.com.evil.net", "Ada"])
def test_what_is_no_address_has_the_role_of_none(tmp_path: Path, email: str) -> None:
    assert ask(with_proxy(tmp_path), "/media/x", headers=[(EMAIL, email)]) == (403, NO_ROLE)


def test_other_names_of_the_headers_are_those_of_the_settings(tmp_path: Path) -> None:
    using = with_proxy(tmp_path, proxy_email_header="Remote-Email")
    assert ask(using, "/media/x", headers=[("remote-email", "ada@example.com"), (EMAIL, "x@y.z")])[0] == 200
    assert ask(using, "/media/x", headers=[(EMAIL, "ada@example.com")])[0] == 401


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.7", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.7", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.7", ["198.51.100.1", "203.0.113.9, 10.0.0.8"], "203.0.113.9"),
        ("::ffff:10.0.0.7", ["203.0.113.9"], "::ffff:10.0.0.7"),
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("10.0.0.7", [], "10.0.0.7"),
    ],
)
def test_the_client_is_whom_the_nearest_proxy_saw(tmp_path: Path, peer: str, forwarded: list[str], client: str) -> None:
    seen: list[tuple[str, str]] = []

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope["client"][0], scope["ingestboard.peer"]))
        await inside(scope, receive, send)

    app = Behind(noting, with_proxy(tmp_path))
    asked(app, "/healthz", peer=peer, headers=[("x-forwarded-for", one) for one in forwarded])
    assert seen == [(client, peer)]


# --- the answers of the sign-in ----------------------------------------------------------------------


def answered(
    using: Settings, path: str, status: int, *headers: tuple[str, str], **more: Any
) -> tuple[int, dict[str, str]]:
    """What becomes of an answer of Streamlit's."""

    async def streamlit(scope: Scope, receive: Receive, send: Send) -> None:
        told = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": told})
        await send({"type": "http.response.body", "body": b"Authentication error"})

    found = asked(Door(streamlit, using), path, **more)
    return found[0], found[2]


SET = ("set-cookie", "_streamlit_user=abc; HttpOnly; Max-Age=2592000; Path=/; SameSite=lax")


def test_a_provider_that_does_not_answer_is_told_on_the_sign_in_page(tmp_path: Path) -> None:
    status, told = answered(with_oidc(tmp_path), "/auth/login", 400)
    assert (status, told["location"]) == (302, f"/?{NOTICE}={UNREACHABLE}")


@pytest.mark.parametrize(
    ("kept", "place"),
    [
        ("/job?job=abc&x=%20", "/job?job=abc&x=%20"),
        ("/documents", "/documents"),
        ("//evil.example", "/"),
        ("https://evil.example/job", "/"),
        ("/\\evil.example", "/"),
        ("/job?x=\r\nSet-Cookie: a=b", "/"),
        ("/exports/abc", "/"),
        ("", "/"),
    ],
)
def test_after_the_sign_in_one_is_where_one_wanted_to_be_and_nowhere_else(
    tmp_path: Path, kept: str, place: str
) -> None:
    asks = [("cookie", f"{RETURN}={quote(kept, safe='')}")]
    status, told = answered(with_oidc(tmp_path), "/oauth2callback", 302, ("location", "/"), SET, headers=asks)
    assert (status, told["location"]) == (302, place)


def test_the_cookie_of_a_session_goes_with_the_session(tmp_path: Path) -> None:
    using = with_oidc(tmp_path, session_hours=2)
    assert b"Max-Age=7200;" in AuthAnswers(inside, using)._shortened(SET[1].encode())


def test_nobody_is_signed_out_by_a_link_of_another_site(tmp_path: Path) -> None:
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 302), ("none", 302)):
        asks = [("sec-fetch-site", site)]
        assert answered(with_oidc(tmp_path), "/auth/logout", 302, ("location", "/"), headers=asks)[0] == status


def test_an_answer_without_a_session_is_told(tmp_path: Path) -> None:
    async def once(query: bytes) -> str:
        sent: list[Any] = []

        async def streamlit(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 302, "headers": [(b"location", b"/")]})

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request"}

        scope: Scope = {
            **{"type": "http", "method": "GET", "path": "/oauth2callback", "query_string": query, "headers": []},
            **{"scheme": "http", "server": ("127.0.0.1", 8501), "client": ("127.0.0.1", 1)},
        }
        await Door(streamlit, with_oidc(tmp_path))(scope, receive, send)
        return str(dict(sent[0]["headers"])[b"location"], "ascii")

    assert alone(once(b"code=1&state=2")) == f"/?{NOTICE}={REFUSED}"
    assert alone(once(b"error=access_denied")) == f"/?{NOTICE}={REFUSED}"
    assert alone(once(b"")) == "/"  # back from signing out at the provider


# --- Streamlit's options -----------------------------------------------------------------------------


def test_each_mode_sets_all_of_streamlits_ways_to_sign_in(tmp_path: Path) -> None:
    assert server.signing_in(settings_of.read(data=tmp_path)) == {
        "secrets.files": [],
        "server.trustedUserHeaders": {},
    }
    oidc = server.signing_in(with_oidc(tmp_path))
    assert oidc == {"secrets.files": [str(tmp_path / "sign-in.toml")], "server.trustedUserHeaders": {}}
    proxy = server.signing_in(with_proxy(tmp_path))
    assert proxy == {"secrets.files": [], "server.trustedUserHeaders": {EMAIL: "email", GROUPS: "groups"}}


def test_cookies_are_secure_where_browsers_come_over_https_whatever_the_proxy_tells(tmp_path: Path) -> None:
    async def setting(scope: Scope, receive: Receive, send: Send) -> None:
        told = [(name.encode(), value.encode()) for name, value in (SET,)]
        await send({"type": "http.response.start", "status": 200, "headers": told})
        await send({"type": "http.response.body", "body": b""})

    for secure in (True, False):
        app = Protected(setting, with_oidc(tmp_path), secure=secure)
        told = asked(app, "/", headers=[("host", "127.0.0.1:8501")])[2]["set-cookie"]
        assert ("Secure" in told) is secure
        assert "HttpOnly" in told
