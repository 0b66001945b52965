"""Where others reach the board, people sign in, or it does not start; each refusal is a sentence without a secret."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks import settings as settings_of
from tasks.access import sign_in
from tasks.cli import examination
from tasks.errors import NoSignIn, RolesUnreadable, SignInUnusable
from tasks.settings import Settings
from tasks.supervisor import Supervisor
from tests.pages.signing import SECRET, roles_file, sign_in_file, with_oidc, with_proxy

ROOT = Path(__file__).parents[2]
ELSEWHERE = ("0.0.0.0", "::", "10.0.0.7", "192.168.1.2", "board.example.com", "localhost.example.com", "127.1", "")
HERE = ("127.0.0.1", "127.8.9.10", "::1", "localhost", "LOCALHOST")


# --- nobody signs in ---------------------------------------------------------------------------------


@pytest.mark.parametrize("host", HERE)
def test_without_a_sign_in_the_board_starts_on_loopback(tmp_path: Path, host: str) -> None:
    sign_in.ready(settings_of.read(data=tmp_path, host=host))


@pytest.mark.parametrize("host", ELSEWHERE)
def test_without_a_sign_in_it_starts_nowhere_else(tmp_path: Path, host: str) -> None:
    with pytest.raises(NoSignIn, match="while nobody signs in"):
        sign_in.ready(settings_of.read(data=tmp_path, host=host))


SENTENCE = (
    "The board does not start on 0.0.0.0 while nobody signs in (INGESTBOARD_AUTH=local): set INGESTBOARD_AUTH to oidc "
    "or proxy as docs/sign-in.md shows, or INGESTBOARD_HOST to 127.0.0.1.\n"
)


@pytest.mark.parametrize("program", [("dashboard",), ("tasks.cli", "up"), ("tasks.cli", "dashboard")])
def test_no_program_listens_elsewhere_without_a_sign_in(tmp_path: Path, program: tuple[str, ...]) -> None:
    told = {"INGESTBOARD_HOST": "0.0.0.0", "INGESTBOARD_DATA": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-m", *program],
        cwd=ROOT,
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.replace("Error: ", "").endswith(SENTENCE)
    assert not (tmp_path / "data").exists()  # nothing was begun


def test_the_supervisor_refuses_before_it_begins(tmp_path: Path) -> None:
    using = settings_of.read(data=tmp_path / "data", host="0.0.0.0")
    with pytest.raises(NoSignIn):
        Supervisor(using, say=lambda _: None).run()
    assert not using.data.exists()


# --- oidc --------------------------------------------------------------------------------------------


def refusal(using: Settings) -> str:
    with pytest.raises((SignInUnusable, RolesUnreadable)) as caught:
        sign_in.ready(using)
    said = str(caught.value)
    assert SECRET not in said
    assert "of the client" not in said
    return said


def test_a_whole_file_for_its_owner_alone_is_good(tmp_path: Path) -> None:
    using = with_oidc(tmp_path, host="0.0.0.0")
    sign_in.ready(using)
    found = sign_in.provider(sign_in.file_of(using))
    assert (found.origin, found.secure) == ("http://127.0.0.1:8501", False)
    assert SECRET not in repr(found)


def test_oidc_needs_a_file(tmp_path: Path) -> None:
    using = settings_of.read(data=tmp_path, auth="oidc", roles=roles_file(tmp_path))
    assert "set INGESTBOARD_SIGN_IN" in refusal(using)
    assert "No such file" in refusal(using.model_copy(update={"sign_in": tmp_path / "none.toml"}))
    assert "does not end in .toml" in refusal(using.model_copy(update={"sign_in": tmp_path / "secrets"}))
    (tmp_path / "folder.toml").mkdir()
    assert "cannot be used" in refusal(using.model_copy(update={"sign_in": tmp_path / "folder.toml"}))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601, 0o610])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    using = with_oidc(tmp_path)
    assert using.sign_in is not None
    using.sign_in.chmod(mode)
    assert f"run chmod 600 {using.sign_in}" in refusal(using)


@pytest.mark.parametrize("name", ["redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_file_that_is_not_whole_is_refused(tmp_path: Path, name: str, value: str | None) -> None:
    using = with_oidc(tmp_path)
    sign_in_file(tmp_path, **{name: value})
    assert f"auth.{name}" in refusal(using)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("cookie_secret", "x" * 31, "32 characters or more"),
        ("redirect_uri", "http://board.example.com/oauth2callback", "https://"),
        ("redirect_uri", "https://board.example.com/", "/oauth2callback"),
        ("redirect_uri", "https://board.example.com/oauth2callback?x=1", "no more"),
        ("redirect_uri", "https://ana:pw@board.example.com/oauth2callback", "no web address"),
        ("redirect_uri", "javascript:alert(1)/oauth2callback", "no web address"),
        ("server_metadata_url", "http://id.example.com/.well-known/openid-configuration", "https://"),
        ("server_metadata_url", "id.example.com", "no web address"),
        ("expose_tokens", "access", "not permitted"),
    ],
)
def test_what_would_not_be_safe_is_refused(tmp_path: Path, name: str, value: str, reason: str) -> None:
    using = with_oidc(tmp_path)
    sign_in_file(tmp_path, **{name: value})
    assert reason in refusal(using)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[auth", "no TOML"),
        (b"\xff\xfe", "UTF-8"),
        (b"", "auth: Field required"),
        (b"auth = 3", "auth"),
        (b"# " + b"x" * 70_000, "larger"),
        (b'DATABASE_PASSWORD = "x"\n', "auth"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    using = with_oidc(tmp_path)
    assert using.sign_in is not None
    using.sign_in.write_bytes(content)
    assert reason in refusal(using)


def test_a_name_beside_the_section_is_refused_because_streamlit_would_put_it_into_the_environment(
    tmp_path: Path,
) -> None:
    using = with_oidc(tmp_path)
    assert using.sign_in is not None
    using.sign_in.write_text(f"AWS_SECRET = {json.dumps('x')}\n{using.sign_in.read_text()}")
    assert "AWS_SECRET" in refusal(using)


# --- roles, proxies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, "[roles\n", '[roles]\nadmin = ["ana"]\n', "[rules]\n"])
def test_without_roles_that_can_be_read_nobody_could_do_anything_so_it_does_not_start(
    tmp_path: Path, content: str | None
) -> None:
    for using in (with_oidc(tmp_path), with_proxy(tmp_path)):
        assert using.roles is not None
        using.roles.unlink(missing_ok=True)
        if content is not None:
            using.roles.write_text(content)
        assert "The roles file" in refusal(using)


def test_a_proxy_is_believed_only_where_it_is_named(tmp_path: Path) -> None:
    sign_in.ready(with_proxy(tmp_path, host="0.0.0.0"))
    assert "set INGESTBOARD_PROXIES" in refusal(with_proxy(tmp_path, proxies=""))


def test_nothing_of_the_file_is_in_the_settings(tmp_path: Path) -> None:
    told = io.StringIO()
    print(with_oidc(tmp_path), file=told)
    assert SECRET not in told.getvalue()


def test_the_doctor_says_who_signs_people_in(tmp_path: Path) -> None:
    def found(using: Settings) -> tuple[str, str]:
        one = examination._sign_in(using)
        return one.verdict, one.found

    assert found(settings_of.read(data=tmp_path)) == (
        "works",
        "Nobody signs in; the board listens on this machine alone.",
    )
    assert found(settings_of.read(data=tmp_path, host="0.0.0.0"))[0] == "warns"
    assert found(with_oidc(tmp_path)) == ("works", "An OpenID provider signs people in.")
    assert found(with_proxy(tmp_path)) == ("works", "A proxy signs people in, believed from 10.0.0.0/24.")
    assert found(with_proxy(tmp_path, proxies=""))[0] == "fails"
