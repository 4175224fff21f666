"""Keeps the presence of contacts from clients that nobody looks at (XEP-0352 section 3.2)."""

from __future__ import annotations

from collections.abc import Callable

from palaver.events import ClientActive, ClientInactive, SessionUnbound
from palaver.interfaces import IClientState, ISession
from palaver.modules import Module, on
from palaver.routing.pipeline import HANDLED, TO_SESSION, Handled
from palaver.stanza import Stanza

# More than anybody has contacts; a client in several large rooms may come to it.
MAX_HELD_PRESENCES = 1000


class ThrottlePresence(Module):
    """Gives an inactive client the latest presence of each contact when it is active again, and none between.

    Something else from a contact brings that contact's presence with it, in order. What a room says about
    the occupant itself, requests and errors are not held back. Without mod_csi no client is inactive.
    """

    def start(self) -> None:
        """Begin with every client active."""
        # By session: the latest presence of each full JID, oldest first.
        self._held: dict[ISession, dict[str, Stanza]] = {}
        # Sessions whose presences are on their way just now.
        self._flushing: set[ISession] = set()
        self._let_go: Callable[[], None] | None = None

    def stop(self) -> None:
        """Send what is held back."""
        for session in list(self._held):
            self._end(session)

    @on(ClientInactive)
    def went(self, event: ClientInactive) -> None:
        """Begin to hold back."""
        if self._let_go is None:
            names = ("message", "presence", "iq")
            self._let_go = self.host.pipeline.add(TO_SESSION, "hold", names, self.name, self.hold)
        self._held[event.session] = {}

    @on(ClientActive)
    def came(self, event: ClientActive) -> None:
        """Send what was held back."""
        self._end(event.session)

    @on(SessionUnbound)
    def unbound(self, event: SessionUnbound) -> None:
        """Forget a session that has ended: its client asks for presence anew."""
        self._forget(event.session)

    def _end(self, session: ISession) -> None:
        held = self._held.get(session)
        if held is not None:
            self._flush(session, held)
            self._forget(session)

    def _forget(self, session: ISession) -> None:
        self._held.pop(session, None)
        if not self._held and self._let_go is not None:
            self._let_go()
            self._let_go = None

    def hold(self, stanza: Stanza, session: ISession) -> Handled | None:
        """Hold a presence back, or let something else pass behind its sender's presence."""
        held = self._held.get(session)
        states = self.host.query(IClientState)
        if held is None or session in self._flushing or states is None or states.is_flushing(session):
            return None
        sender = stanza.attrs.get("from", "")
        before = held.pop(sender, None)
        if stanza.name != "presence" or states.is_important(stanza):
            if before is not None:
                self._flush(session, {sender: before})
            return None
        held[sender] = stanza
        if len(held) > MAX_HELD_PRESENCES:
            self._flush(session, held)
        return HANDLED

    def _flush(self, session: ISession, held: dict[str, Stanza]) -> None:
        self._flushing.add(session)
        try:
            while held:
                session.send(held.pop(next(iter(held))))
        finally:
            self._flushing.discard(session)
