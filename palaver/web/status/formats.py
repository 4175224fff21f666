"""A status in each format that Prosody's mod_webpresence has."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from palaver.markup import element, escape
from palaver.web.pages.html import document, tag, void
from palaver.web.status.shown import Status

NO_BREAK_SPACE = "\u00a0"


class Body(NamedTuple):
    """What is answered, and of which type."""

    type: str
    data: bytes


Format = Callable[[Status, bytes], Body]
"""Takes a status and its icon."""


def image(status: Status, icon: bytes) -> Body:
    """Give the icon."""
    return Body("image/png", icon)


def html(status: Status, icon: bytes) -> Body:
    """Give a page with the names that style sheets and scripts know from Prosody."""
    # A name for elements, no secret.
    prefix = hashlib.sha1(status.jid.encode(), usedforsecurity=False).hexdigest()
    picture = void(
        "img",
        id=f"{prefix}_img",
        class_=f"xmpp_status_image xmpp_status_{status.state}",
        src=f"data:image/png;base64,{base64.b64encode(icon).decode()}",
        alt="",
    )
    name = tag("span", NO_BREAK_SPACE, status.state, id=f"{prefix}_status_name", class_="xmpp_status_name")
    said = tag(
        "span",
        NO_BREAK_SPACE,
        status.text or "",
        id=f"{prefix}_status_message",
        class_="xmpp_status_message",
    )
    title = f"XMPP Status Page for {status.jid}"
    page = document(title, tag("div", picture, name, said, id=f"{prefix}_status", class_="xmpp_status"))
    return Body("text/html; charset=utf-8", page)


def text(status: Status, icon: bytes) -> Body:
    """Give the state."""
    return Body("text/plain; charset=utf-8", status.state.encode())


def message(status: Status, icon: bytes) -> Body:
    """Give the status text, nothing when there is none."""
    return Body("text/plain; charset=utf-8", (status.text or "").encode())


def as_json(status: Status, icon: bytes) -> Body:
    """Give an object; ``status`` is null when there is no text."""
    found = {"jid": status.jid, "show": status.state, "status": status.text}
    return Body("application/json", json.dumps(found).encode())


def xml(status: Status, icon: bytes) -> Body:
    """Give an element; ``status`` is empty when there is no text."""
    inner = (
        element("jid", None, escape(status.jid))
        + element("show", None, escape(status.state))
        + element("status", None, escape(status.text or ""))
    )
    return Body(
        "application/xml; charset=utf-8",
        b'<?xml version="1.0" encoding="utf-8"?>' + element("result", None, inner),
    )


FORMATS: Mapping[str, Format] = {
    "": image,
    "image": image,
    "html": html,
    "text": text,
    "message": message,
    "json": as_json,
    "xml": xml,
}
