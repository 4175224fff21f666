"""XEP-0186: Invisible Command; XEP-0018: Invisible Presence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from palaver import jid
from palaver.errors import StanzaError
from palaver.events import SessionUnbound
from palaver.modules import SELF, Module, iq, on
from palaver.routing import announce, presence, visibility
from palaver.routing.pipeline import DROP, FROM_CLIENT, Drop
from palaver.routing.sessions import Session
from palaver.stanza import Stanza
from palaver.waiting import settled

if TYPE_CHECKING:
    from palaver.interfaces import ISession

NS_INVISIBLE = "urn:xmpp:invisible:1"
# MongooseIM announces XEP-0018 by this name; the XEP gives none.
FEATURE_PRESENCE = "presence-invisible"
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
# Each one is in memory until the session ends; nobody chooses among more contacts by hand.
MAX_CHOSEN = 1000


class _Chosen:
    """Whom a session has hidden from, and whom it has shown itself to while invisible: bare JIDs."""

    __slots__ = ("hidden_from", "shown_to")

    def __init__(self) -> None:
        self.hidden_from: set[str] = set()
        self.shown_to: set[str] = set()


class Invisible(Module):
    """Lets a client be there without being seen: by a request, or by presence of a type of its own."""

    features = (NS_INVISIBLE, FEATURE_PRESENCE)

    def start(self) -> None:
        """Take the types of XEP-0018, and what the sessions that use them send."""
        # Only of sessions that have chosen somebody.
        self._chosen: dict[ISession, _Chosen] = {}
        host = self.host
        self.undo(host.add_presence_type("invisible", self.invisible_presence))
        self.undo(host.add_presence_type("visible", self.visible_presence))
        add = host.pipeline.add
        self.undo(add(FROM_CLIENT, "guard", ("presence",), self.name, self.guard, guarded=True))
        self.undo(add(FROM_CLIENT, "notice", ("presence",), self.name, self.notice, guarded=True))

    def stop(self) -> None:
        """Forget who has chosen whom; whoever is invisible stays so: nobody is shown against their will."""
        for session in list(self._chosen):
            self._forget(session)

    @on(SessionUnbound)
    def gone(self, event: SessionUnbound) -> None:
        """Forget a session."""
        self._forget(event.session)

    # -- XEP-0186 ------------------------------------------------------------------------------

    @iq("set", NS_INVISIBLE, "invisible", to=(SELF,))
    async def invisible(self, request: Stanza) -> None:
        """Hide the session (section 3.1)."""
        session = _session(request)
        node = request.child(NS_INVISIBLE, "invisible")
        text = node.getAttribute("probe", "false") if node is not None else "false"
        if text not in BOOLEANS:
            raise StanzaError("bad-request", "The attribute probe is a boolean")
        self._forget(session)
        await settled(visibility.hide(session, BOOLEANS[text]))

    @iq("set", NS_INVISIBLE, "visible", to=(SELF,))
    async def visible(self, request: Stanza) -> None:
        """End that: the session is as before its first presence (section 3.2)."""
        session = _session(request)
        self._forget(session)
        await settled(visibility.withdraw(session))

    # -- XEP-0018 ------------------------------------------------------------------------------

    def invisible_presence(self, session: Session, stanza: Stanza) -> Deferred[Any] | None:
        """Hide a session from everybody, or from the addressee."""
        if "to" in stanza.attrs:
            return self._hide_from(session, stanza)
        self._forget(session)
        waiting = [visibility.hide(session, True), presence.available(session, stanza.replace(type=None))]
        return announce.settle([one for one in waiting if one is not None])

    def visible_presence(self, session: Session, stanza: Stanza) -> Deferred[Any] | None:
        """Show a session to everybody, or to the addressee."""
        if "to" in stanza.attrs:
            return self._show_to(session, stanza)
        chosen = self._chosen.get(session)
        hidden_from = sorted(chosen.hidden_from) if chosen is not None else []
        self._forget(session)
        if session.presence is None:
            session.invisible, session.asks_contacts = False, True
            return presence.available(session, stanza.replace(type=None))
        if session.invisible:
            return visibility.show(session)
        return self._send_presence(session, hidden_from)

    def _hide_from(self, session: Session, stanza: Stanza) -> Deferred[Any] | None:
        contact = self._contact(session, stanza)
        if contact is None:
            return None
        chosen = self._choose(session)
        sees = not session.invisible or contact in chosen.shown_to
        chosen.shown_to.discard(contact)
        if len(chosen.hidden_from) >= MAX_CHOSEN:
            return self.host.router.bounce(stanza, StanzaError("policy-violation"))
        # Before it is noted, or the guard would stop it.
        gone = (
            stanza.replace(type="unavailable", to=contact) if sees and session.presence is not None else None
        )
        told = announce.route(self.host, gone) if gone is not None else None
        chosen.hidden_from.add(contact)
        if session.directed is not None:
            session.directed.discard(contact)
        return told

    def _show_to(self, session: Session, stanza: Stanza) -> Deferred[Any] | None:
        contact = self._contact(session, stanza)
        if contact is None:
            return None
        chosen = self._choose(session)
        was_hidden = contact in chosen.hidden_from
        chosen.hidden_from.discard(contact)
        if not session.invisible:
            return self._send_presence(session, [contact]) if was_hidden else None
        if len(chosen.shown_to) >= MAX_CHOSEN:
            return self.host.router.bounce(stanza, StanzaError("policy-violation"))
        chosen.shown_to.add(contact)
        # As directed presence, so that the contact hears of the end.
        shown = session.presence or stanza.replace(type=None)
        return presence.outbound(self.host, session, shown.replace(to=contact))

    def _send_presence(self, session: Session, contacts: list[str]) -> Deferred[Any] | None:
        """Send a session's presence to those of the contacts who may see it."""
        shown = session.presence
        if shown is None:
            return None
        seeing = [contact for contact in contacts if session.user.roster.is_seen_by(contact)]
        stanzas = [shown.replace(to=contact) for contact in seeing]
        return announce.settle(announce.route_all(self.host, stanzas))

    def _contact(self, session: Session, stanza: Stanza) -> str | None:
        """Give the bare JID that a presence is for; None, and an answer, when it is none."""
        try:
            contact = jid.parse(stanza.attrs["to"]).bare
        except jid.InvalidJID as error:
            session.send(stanza.replace(to=None).error(StanzaError("jid-malformed", str(error))))
            return None
        return contact if contact != session.user.bare else None

    # -- what a session that has chosen sends -------------------------------------------------------

    def guard(self, stanza: Stanza, session: ISession) -> Drop | None:
        """Keep a session's presence from those whom it has hidden from."""
        chosen = self._chosen.get(session)
        if chosen is None or "to" not in stanza.attrs or stanza.type not in (None, "unavailable"):
            return None
        return DROP if stanza.attrs["to"].partition("/")[0] in chosen.hidden_from else None

    def notice(self, stanza: Stanza, session: ISession) -> Deferred[Any] | None:
        """Show an invisible session's new presence to those whom it has shown itself to."""
        chosen = self._chosen.get(session)
        if chosen is None or not chosen.shown_to or "to" in stanza.attrs or stanza.type is not None:
            return None
        copies = [stanza.replace(to=contact) for contact in sorted(chosen.shown_to)]
        waiting = announce.settle(announce.route_all(self.host, copies))
        return waiting.addCallback(lambda _: None) if waiting is not None else None

    def _choose(self, session: Session) -> _Chosen:
        session.user.guard(self.name)
        return self._chosen.setdefault(session, _Chosen())

    def _forget(self, session: ISession) -> None:
        if self._chosen.pop(session, None) is not None:
            user = session.user
            if self._chosen.keys().isdisjoint(user.sessions.values()):
                user.unguard(self.name)


def _session(request: Stanza) -> Any:
    if request.origin is None:
        raise StanzaError("forbidden")
    return request.origin
