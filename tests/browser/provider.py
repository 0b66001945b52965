"""`python -m tests.browser.provider PORT`: a real OpenID provider on loopback (oidc-provider-mock), in its own process.

Its users come as JSON on standard input: {sub: claims}. PUT /issuer names whom its tokens say that they are from; an
empty body tells the truth again.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import werkzeug.serving

# The package uses what Authlib is about to leave behind.
warnings.simplefilter("ignore")

import oidc_provider_mock  # noqa: E402
from oidc_provider_mock import _app as provider  # noqa: E402

TRUTH = provider.OpenIDCode.get_jwt_config


def main() -> None:
    users: dict[str, dict[str, Any]] = json.load(sys.stdin)
    app = oidc_provider_mock.app(
        user_claims=[oidc_provider_mock.User(sub=sub, claims=claims) for sub, claims in users.items()]
    )
    said = {"iss": ""}

    def telling(self: Any, grant: Any, client: Any = None) -> dict[str, Any]:
        return {**TRUTH(self, grant, client), **{name: value for name, value in said.items() if value}}

    provider.OpenIDCode.get_jwt_config = telling

    def issuer() -> tuple[str, int]:
        said["iss"] = provider.flask.request.get_data(as_text=True)
        return "", 204

    app.add_url_rule("/issuer", view_func=issuer, methods=["PUT"])
    werkzeug.serving.run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)


if __name__ == "__main__":
    main()
