"""Which messages devices are notified of, and what they are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from zope.interface import implementer

from palaver.interfaces import IPushPlugin
from palaver.jid import JID
from palaver.push.elements import Summary
from palaver.push.registrations import Registration
from palaver.stanza import NS_CLIENT, Child, Stanza

NS_CALLS = "urn:xmpp:jingle-message:0"
# Nobody but the addressee can tell whether there is something to read in these.
ENCRYPTED: frozenset[Child] = frozenset(
    (
        ("eu.siacs.conversations.axolotl", "encrypted"),
        ("urn:xmpp:omemo:2", "encrypted"),
        ("urn:xmpp:openpgp:0", "openpgp"),
        ("jabber:x:encrypted", "x"),
    )
)
NEVER = frozenset(("headline", "error"))
# A notification of Apple's or Google's has 4 KiB, and a screen shows less.
MAX_BODY_CHARS = 1000


class Content(NamedTuple):
    """How much of a message a notification tells; ``instead`` is the body where the real one is not told."""

    sender: bool = False
    body: bool = False
    instead: str = "New Message!"


@implementer(IPushPlugin)
class Plugin:
    """Notifies every registered device of what there is to read, or of a call, while nobody is online.

    The base for others: an application registers its own IPushPlugin by name in the registry of the host or
    the server.
    """

    waiting = False

    def __init__(self, content: Content = Content()) -> None:  # noqa: B008  a Content never changes
        self._content = content

    def should_publish(
        self, message: Stanza, to: JID, registrations: Sequence[Registration]
    ) -> Sequence[Registration]:
        """See IPushPlugin."""
        return registrations if is_important(message) else ()

    def prepare(self, message: Stanza, to: JID) -> Summary:
        """See IPushPlugin."""
        content = self._content
        summary = {"message-count": "1"}
        sender = message.sender
        if content.sender and sender is not None:
            summary["last-message-sender"] = sender.full if message.type == "groupchat" else sender.bare
        text = body_of(message) if content.body else ""
        if text or content.instead:
            summary["last-message-body"] = text or content.instead
        return summary


class WakingPlugin(Plugin):
    """Notifies a device at once too when its session waits for it to come back (XEP-0198)."""

    waiting = True


def is_important(message: Stanza) -> bool:
    """Tell whether a message is worth a notification: something to read, or a call that begins."""
    if message.type in NEVER:
        return False
    if any(child in ENCRYPTED or child == (NS_CALLS, "propose") for child in message.children):
        return True
    return bool(body_of(message))


def body_of(message: Stanza) -> str:
    """Give the first body's text, cut to what a notification has room for; empty when there is none."""
    node = message.child(NS_CLIENT, "body")
    return str(node)[:MAX_BODY_CHARS] if node is not None else ""


PLUGINS = {
    "mod_event_pusher_push_plugin_defaults": Plugin,
    "mod_event_pusher_push_plugin_enhanced": WakingPlugin,
}
"""Those that are built in, by name."""
