"""E-mail (RFC 5322), by the standard library: the headers that people search for, and the body."""

from __future__ import annotations

from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import cast

from tasks.errors import DocumentFailed
from tasks.ingest.loading import web
from tasks.ingest.loading.portions import Piece

SIZE_MAX = 64 << 20  # bytes; a message is parsed as a whole, and above this it is attachments
TOO_LARGE = "The e-mail is larger than 64 MB; save its attachments as files of their own and upload those."

_HEADERS = ("Subject", "From", "To", "Cc", "Date")


def read(path: Path) -> Iterator[Piece]:
    """Subject, sender, receivers, date, names of the attachments, then the text (the HTML where there is none)."""
    if path.stat().st_size > SIZE_MAX:
        raise DocumentFailed(reason=TOO_LARGE)
    with path.open("rb") as file:
        message = BytesParser(policy=policy.default).parse(file)
    lines = [f"{name}: {value}" for name in _HEADERS if (value := _header(message, name))]
    names = [name for part in message.walk() if (name := _attachment(part))]
    if names:
        lines.append(f"Attachments: {', '.join(names)}")
    yield Piece("\n".join(lines) + "\n\n" + _body(message), 1, 1)


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message[name] or "").strip()
    except (AttributeError, IndexError, TypeError, ValueError):
        # The library's header parser trips over some malformed addresses and dates: take them as they stand.
        return next((str(value).strip() for key, value in message.raw_items() if key.lower() == name.lower()), "")


def _attachment(part: EmailMessage) -> str:
    try:
        return part.get_filename() or "" if part.is_attachment() else ""
    except (AttributeError, IndexError, TypeError, ValueError):
        return ""


def _body(message: EmailMessage) -> str:
    try:
        chosen = message.get_body(preferencelist=("plain", "html"))
    except (AttributeError, KeyError, ValueError):
        chosen = None
    if chosen is not None:
        text = _text(cast(EmailMessage, chosen))
        if text.strip():
            return text
    texts = [_text(part) for part in message.walk() if part.get_content_maintype() == "text" and not _attachment(part)]
    return "\n\n".join(text for text in texts if text.strip())


def _text(part: EmailMessage) -> str:
    try:
        content = part.get_content()
    except (LookupError, UnicodeError, ValueError, TypeError, AttributeError):
        # An unknown charset or a broken transfer encoding: the bytes are still worth reading.
        payload = part.get_payload(decode=True)
        content = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    if not isinstance(content, str):
        return ""
    return web.words(content) if part.get_content_subtype() == "html" else content
