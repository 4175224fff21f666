"""Keeps chat states (XEP-0085) from clients that nobody looks at (XEP-0352 section 3.2)."""

from __future__ import annotations

from collections.abc import Callable

from palaver.events import ClientActive, ClientInactive, SessionUnbound
from palaver.interfaces import ISession
from palaver.modules import Module, on
from palaver.routing.pipeline import DROP, TO_SESSION, Drop
from palaver.stanza import NS_CLIENT, Child, Stanza, forwarded

NS_CHAT_STATES = "http://jabber.org/protocol/chatstates"
NS_CARBONS = "urn:xmpp:carbons:2"
NS_HINTS = "urn:xmpp:hints"

# What goes with a chat state and says nothing without it.
IDLE: frozenset[Child] = frozenset(
    (
        (NS_CLIENT, "thread"),
        (NS_HINTS, "no-copy"),
        (NS_HINTS, "no-store"),
        (NS_HINTS, "no-permanent-store"),
    )
)


class FilterChatStates(Module):
    """Spares an inactive client who is typing and who has stopped to.

    A message that says nothing else is not sent, nor a copy of one (XEP-0280); another one loses its chat
    state. Nothing is repeated later. Without mod_csi no client is inactive.
    """

    def start(self) -> None:
        """Begin with every client active."""
        self._inactive: set[ISession] = set()
        self._let_go: Callable[[], None] | None = None

    def stop(self) -> None:
        """Stop looking at messages."""
        self._inactive.clear()
        self._look_away()

    @on(ClientInactive)
    def went(self, event: ClientInactive) -> None:
        """Begin to filter."""
        if self._let_go is None:
            self._let_go = self.host.pipeline.add(
                TO_SESSION, "hold", ("message",), self.name, self.without_states
            )
        self._inactive.add(event.session)

    @on(ClientActive)
    @on(SessionUnbound)
    def came(self, event: ClientActive | SessionUnbound) -> None:
        """Stop filtering."""
        self._inactive.discard(event.session)
        if not self._inactive:
            self._look_away()

    def _look_away(self) -> None:
        if self._let_go is not None:
            self._let_go()
            self._let_go = None

    def without_states(self, message: Stanza, session: ISession) -> Stanza | Drop | None:
        """Take chat states out of a message; the message too when nothing is left of it."""
        if session not in self._inactive or message.type == "error":
            return None
        if message.has(NS_CARBONS):
            copied = forwarded(message, NS_CARBONS, "received") or forwarded(message, NS_CARBONS, "sent")
            return DROP if copied is not None and _is_state(copied) else None
        if _is_state(message):
            return DROP
        return message.without_child(NS_CHAT_STATES)


def _is_state(message: Stanza) -> bool:
    """Tell whether a message has a chat state and nothing else that matters."""
    others = [child for child in message.children if child[0] != NS_CHAT_STATES]
    return len(others) < len(message.children) and IDLE.issuperset(others)
