"""Outlook messages (.msg), by python-oxmsg: the same headers and body as of an e-mail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from oxmsg import Message

from tasks.errors import DocumentFailed
from tasks.ingest.loading import mail, web
from tasks.ingest.loading.portions import Piece


def read(path: Path) -> Iterator[Piece]:
    """Subject, sender, receivers, date, names of the attachments, then the text (the HTML where there is none)."""
    if path.stat().st_size > mail.SIZE_MAX:
        raise DocumentFailed(reason=mail.TOO_LARGE)
    with path.open("rb") as file:
        message = Message.load(file)
    receivers = [receiver.email_address or receiver.name for receiver in message.recipients]
    fields = {
        "Subject": message.subject,
        "From": message.sender or "",
        "To": message.message_headers.get("To") or ", ".join(receivers),
        "Date": message.sent_date.isoformat(" ") if message.sent_date else "",
        "Attachments": ", ".join(name for one in message.attachments if (name := one.file_name)),
    }
    lines = [f"{name}: {' '.join(value.split())}" for name, value in fields.items() if value]
    yield Piece("\n".join(lines) + "\n\n" + _body(message), 1, 1)


def _body(message: Message) -> str:
    if (body := message.body) and body.strip():
        return body.replace("\r\n", "\n")
    try:
        return web.words((message.html_body or "").replace("\0", ""))
    except (LookupError, UnicodeError):
        return ""
