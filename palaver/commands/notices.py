"""What the server itself says to people: plain messages from the host."""

from __future__ import annotations

from collections.abc import Mapping
from string import Template
from typing import TYPE_CHECKING

from palaver.markup import element, escape
from palaver.stanza import NS_CLIENT, Stanza
from palaver.waiting import settled

if TYPE_CHECKING:
    from palaver.routing.host import Host


async def say(host: Host, to: str, body: str, subject: str = "", kind: str = "normal") -> None:
    """Send a message from the host; returns when what it needed stored is committed."""
    texts = {"subject": subject, "body": body} if subject else {"body": body}
    inner = b"".join(element(name, None, escape(text)) for name, text in texts.items())
    attrs = {"from": host.domain, "to": to, "type": kind}
    message = Stanza("message", attrs, tuple((NS_CLIENT, name) for name in texts), inner)
    await settled(host.router.route(message))


def filled(text: str, words: Mapping[str, str]) -> str:
    """Give a text with its ``$names`` filled in; names that are not known stay."""
    return Template(text).safe_substitute(words)


def everybody(host: Host) -> list[str]:
    """Give the full JIDs of all sessions that are available."""
    return [session.jid.full for user in list(host.users.values()) for session in user.available()]
