"""`python -m dashboard`: serve the pages until told to stop."""

from __future__ import annotations

import sys

from dashboard.server import serve

if __name__ == "__main__":
    sys.exit(serve())
