"""Our own script in the browser (board.js): held back ticks, soft links, focus, keys, and the name that is kept.

It is a file of ours that the page asks for, and no text in the page: the content security policy runs no other.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import Response

SOURCE = (Path(__file__).parent / "board.js").read_bytes()
ROUTE = "/board.js"
# The address changes with the content, so browsers may keep it for good. Relative, as behind a proxy with a prefix.
ADDRESS = f"{ROUTE.removeprefix('/')}?v={hashlib.sha256(SOURCE).hexdigest()[:12]}"
FOR_GOOD = {"Cache-Control": "public, max-age=31536000, immutable"}


def start() -> None:
    """Bring the script into the page; it starts itself once and takes no room."""
    with st.container(key="board-script"):
        st.html(f'<script src="{ADDRESS}"></script>', unsafe_allow_javascript=True)


async def script(request: Request) -> Response:
    """The script itself."""
    return Response(SOURCE, media_type="text/javascript", headers=FOR_GOOD)
