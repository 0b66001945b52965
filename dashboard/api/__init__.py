"""The HTTP API under /api/v1, and /metrics: everything the pages can do, for programs that bring a personal token.

One table, `doors`, says what there is and which right it takes; it makes the routes, the OpenAPI document and the
tests. A door asks through `tasks.ledger.control` and reads through the same read models as the pages, with a ledger in
the hands of the token's person. Cookies open nothing here.
"""

from dashboard.api.serving import routes

__all__ = ["routes"]
