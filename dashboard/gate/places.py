"""The addresses of our pages, from the files of `views`: a page is where its file says, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

DASHBOARD = Path(__file__).parents[1]
NAMES = sorted(view.stem for view in (DASHBOARD / "views").glob("*.py"))
PAGES = frozenset(f"/{name}" for name in NAMES)
# A page of ours and its parameters, and nothing that a browser could take for another host (RFC 3986, 3.2).
_OURS = re.compile(rf"/(?:{'|'.join(NAMES)})?(?:\?[A-Za-z0-9._~%!$'()*+,;=:@/?&-]*)?")


def is_ours(address: str) -> bool:
    """Whether an address, its path and parameters alone, is one of a page of ours."""
    return bool(_OURS.fullmatch(address))
