"""A dashboard that people sign in to, over a ledger with jobs in collections that are for some alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, expect
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from tasks.ledger import Ledger, activity
from tests.browser.scratch_board import ScratchBoard
from tests.factories import submitted
from tests.pages.test_server import free_port
from tests.programs import ROOT

SECRET = "a secret of forty characters, or some more"
ROLES = """
[roles]
admin = ["ada@example.com"]
operator = ["group:operators"]
viewer = ["@example.com"]

[collections.payroll]
see = ["group:hr"]
"""


def claims(name: str, *groups: str, **more: object) -> dict[str, Any]:
    return {"email": f"{name}@example.com", "email_verified": True, "groups": list(groups), **more}


USERS = {
    "ada": claims("ada"),
    "otto": claims("otto", "operators"),
    "vera": claims("vera"),
    "hana": claims("hana", "hr"),
    "eve": {"email": "eve@example.com.attacker.net", "email_verified": True},
    "mallory": {"email": "ada@example.com", "email_verified": False},
}


class SignedBoard(ScratchBoard):
    """The dashboard's process with AUTH=oidc, and its provider."""

    def settings_for(self, folder: Path) -> dict[str, str]:
        self.issuer = f"http://127.0.0.1:{free_port()}"
        self.provider = subprocess.Popen(
            [sys.executable, "-m", "tests.browser.provider", self.issuer.rpartition(":")[2]],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.provider.stdin is not None
        with self.provider.stdin as users:
            json.dump(USERS, users)
        self.roles = folder / "roles.toml"
        self.roles.write_text(ROLES)
        secrets = folder / "sign-in.toml"
        secrets.write_text(f'''
[auth]
redirect_uri = "{self.address}/oauth2callback"
cookie_secret = "{SECRET}"
client_id = "ingestboard"
client_secret = "of the client"
server_metadata_url = "{self.issuer}/.well-known/openid-configuration"
''')
        secrets.chmod(0o600)
        return {
            "INGESTBOARD_AUTH": "oidc",
            "INGESTBOARD_SIGN_IN": str(secrets),
            "INGESTBOARD_ROLES": str(self.roles),
            # What lies around on the machine must not open another way in.
            "STREAMLIT_SERVER_TRUSTED_USER_HEADERS": '{"X-Forwarded-Email": "email"}',
        }

    def answers(self) -> bool:
        return super().answers() and self.provider_answers()

    def provider_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.issuer}/jwks", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def fill(self) -> None:
        super().fill()
        self.hidden = submitted(self.ledger, title="Salaries of May", owner="hana", collection="payroll")
        self.asked_for, self.stays = (submitted(self.ledger, title=title) for title in ("Asked for", "To stay"))

    def say_issuer(self, issuer: str) -> None:
        """From now on the provider's tokens say that they are from there; '' for the truth."""
        asked = urllib.request.Request(f"{self.issuer}/issuer", issuer.encode(), method="PUT")
        urllib.request.urlopen(asked, timeout=5).close()

    def cookie(self, sub: str = "ada", *, secret: str = SECRET, name: str = USER_COOKIE_NAME, **changes: object) -> str:
        """A signed cookie, as the board would set it for that user."""
        told: dict[str, Any] = {
            **{"iss": self.issuer, "sub": sub, "aud": "ingestboard", "iat": int(time.time()), **USERS[sub]},
            **{"origin": self.address, "is_logged_in": True, "provider": "default", **changes},
        }
        return create_signed_value(secret, name, json.dumps(told)).decode()

    def carry(self, context: BrowserContext, value: str, *, name: str = USER_COOKIE_NAME) -> None:
        """Put a session's cookie into a browser."""
        context.add_cookies([{"name": name, "value": value, "url": self.address}])

    def stop(self) -> None:
        super().stop()
        self.provider.terminate()
        self.provider.wait(10)


def sign_in(page: Page, sub: str) -> None:
    """From the sign-in page through the provider's form and back."""
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name=sub, exact=True).click()


def shows(page: Page, words: str) -> None:
    expect(page.get_by_text(words).first).to_be_visible()


def recorded(ledger: Ledger, job: str) -> list[tuple[str, str, str, str]]:
    """What was done to a job: action, by whom, from where, with which outcome."""
    rows = activity.page(ledger, activity.Wanted(subject=job)).rows
    return [(row.action, row.by, row.origin, row.outcome) for row in rows]
